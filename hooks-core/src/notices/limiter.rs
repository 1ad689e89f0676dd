//! At most one notice of a kind about a hook in a minute. Has no clock.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::notice::Notice;
use crate::id::HookId;
use crate::operational::OperationalEvent;

/// The time in which there is one.
const WINDOW: Duration = Duration::from_secs(60);

type Key = (OperationalEvent, Option<HookId>);

/// Passes the first notice of a kind about a hook at once, and keeps what comes within a minute of it for its end, as one.
/// There are no more windows than hooks, for each kind.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    /// The notice that waits for the end of its window.
    windows: HashMap<Key, Option<Notice>>,
    /// The end of each window, the first one first: all are as long.
    ends: VecDeque<(Instant, Key)>,
}

impl Limiter {
    /// The notice, if it may be published now.
    pub(super) fn take(&mut self, notice: Notice, now: Instant) -> Option<Notice> {
        match self.windows.entry(notice.key()) {
            Entry::Vacant(window) => {
                self.ends.push_back((now + WINDOW, window.key().clone()));
                window.insert(None);
                Some(notice)
            }
            Entry::Occupied(mut window) => {
                let waiting = window.get_mut();
                *waiting = Some(match waiting.take() {
                    Some(before) => before.merged(notice),
                    None => notice,
                });
                None
            }
        }
    }

    /// The notices whose time has come.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Notice> {
        let mut due = Vec::new();
        while self.ends.front().is_some_and(|(end, _)| *end <= now)
            && let Some((_, key)) = self.ends.pop_front()
        {
            if let Some(waiting) = self.windows.remove(&key).flatten() {
                self.ends.push_back((now + WINDOW, key.clone()));
                self.windows.insert(key, None);
                due.push(waiting);
            }
        }
        due
    }

    /// The time when the next ones may be due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.ends.front().map(|(end, _)| *end)
    }

    /// Notices that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.windows.values().flatten().map(Notice::count).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::event::Event as _;

    fn notice(kind: OperationalEvent, number: usize) -> Notice {
        Notice::new(kind, None, json!({ "number": number }))
    }

    fn data(notice: &Notice) -> Json {
        serde_json::from_str(notice.data().unwrap().unwrap().get()).unwrap()
    }

    proptest! {
        /// None comes within a minute of another, each is published or counted, and the last one comes.
        #[test]
        fn there_is_one_in_a_minute_and_the_others_are_counted(gaps in prop::collection::vec(0..100_u64, 1..40)) {
            let (mut limiter, mut now) = (Limiter::default(), Instant::now());
            let mut published: Vec<(Instant, Json)> = Vec::new();
            for (number, gap) in gaps.iter().enumerate() {
                let until = now + Duration::from_secs(*gap);
                while let Some(next) = limiter.next().filter(|next| *next <= until) {
                    now = next;
                    published.extend(limiter.due(now).iter().map(|notice| (now, data(notice))));
                }
                now = until;
                let taken = limiter.take(notice(OperationalEvent::Failing, number), now);
                published.extend(taken.iter().map(|notice| (now, data(notice))));
            }
            while let Some(next) = limiter.next() {
                published.extend(limiter.due(next).iter().map(|notice| (next, data(notice))));
            }
            prop_assert!(published.windows(2).all(|pair| pair[1].0 - pair[0].0 >= WINDOW));
            let left_out: u64 = published.iter().map(|(_, data)| data["left_out"].as_u64().unwrap()).sum();
            prop_assert_eq!(left_out as usize + published.len(), gaps.len());
            prop_assert_eq!(&published.last().unwrap().1["number"], &json!(gaps.len() - 1));
            prop_assert_eq!(limiter.waiting(), 0);
        }
    }

    #[test]
    fn kinds_are_apart_and_so_are_states() {
        use crate::endpoint_state::EndpointState::{Healthy, Held};
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        assert!(limiter.take(notice(OperationalEvent::Failing, 0), now).is_some());
        assert!(limiter.take(notice(OperationalEvent::Recovered, 0), now).is_some());
        for state in [Held, Healthy] {
            assert!(limiter.take(notice(OperationalEvent::Endpoint(state), 0), now).is_some());
            assert!(
                (1..3).all(|number| limiter.take(notice(OperationalEvent::Endpoint(state), number), now).is_none())
            );
        }
        assert!(limiter.take(notice(OperationalEvent::Failing, 1), now).is_none());
        assert_eq!(limiter.waiting(), 5);
        let due: Vec<Json> = limiter.due(now + WINDOW).iter().map(data).collect();
        let told = |number, left_out| json!({ "number": number, "left_out": left_out });
        assert_eq!(due, [told(1, 0), told(2, 1), told(2, 1)]);
    }
}
