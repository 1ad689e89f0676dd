//! The events that were accepted lately, by name: one that is published again is known.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::ops::Range;
use std::time::Duration;

use hashbrown::HashTable;
use hooks_core::{ConfigProblem, Envelope, HumanDuration, Slice};
use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// More ids than that are no use: they would take gigabytes.
const MOST_IDS: u32 = 100_000_000;

/// How long an event is known, and how many are at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DuplicateLimits {
    /// Zero: none is known.
    pub(crate) window: HumanDuration,
    pub(crate) ids: u32,
}

/// The default of `duplicate_window`, which NATS servers have, too.
pub(crate) fn window() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(120))
}

/// The default of `duplicate_ids`.
pub(crate) fn ids() -> u32 {
    200_000
}

impl DuplicateLimits {
    pub(crate) fn problems(self) -> impl Iterator<Item = ConfigProblem> {
        let is_short = !self.window.get().is_zero() && self.window.get().as_secs() == 0;
        let window = is_short.then(|| {
            ConfigProblem::new("duplicate_window", "must be at least 1s, or 0s: every event is taken, known or not")
        });
        let ids = (!(1..=MOST_IDS).contains(&self.ids))
            .then(|| ConfigProblem::new("duplicate_ids", format!("{} is not between 1 and {MOST_IDS}", self.ids)));
        window.into_iter().chain(ids)
    }

    pub(crate) fn is_off(self) -> bool {
        self.window.get().is_zero()
    }
}

/// A keyed hash of an event's `tenant`, `source` and `id`: nobody can find two that have one name.
type Name = [u64; 2];

/// The events that were accepted within the window, by name.
///
/// Takes the time as whole seconds of a clock that nobody sets, and remembers a name for the window, or up to a second
/// longer. When there are more than it may remember, the oldest names give way.
pub(crate) struct Duplicates {
    limits: DuplicateLimits,
    key: SipHasher13,
    /// In the order of acceptance.
    names: VecDeque<Name>,
    /// The number of the first of `names`. Numbers wrap.
    first: u32,
    /// The numbers of the names.
    numbers: HashTable<u32>,
    /// The seconds at which names came, and how many.
    times: VecDeque<(i64, usize)>,
    /// The time of the youngest name that gave way before its time.
    gave_way: Option<i64>,
}

/// The part of a slice that is new.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// `None`: all of it.
    new: Option<Vec<Range<usize>>>,
    /// How many names were entered.
    entered: usize,
    pub(crate) duplicates: usize,
}

impl Admitted {
    const ALL: Self = Self { new: None, entered: 0, duplicates: 0 };

    /// The events that are new.
    pub(crate) fn parts(&self, slice: &Slice) -> Vec<Slice> {
        match &self.new {
            None => vec![slice.clone()],
            Some(new) => new.iter().map(|range| slice.part(range.clone())).collect(),
        }
    }
}

impl Duplicates {
    pub(crate) fn new(limits: DuplicateLimits) -> Self {
        let random = RandomState::new();
        Self {
            limits,
            key: SipHasher13::new_with_keys(random.hash_one(0), random.hash_one(1)),
            names: VecDeque::new(),
            first: 0,
            numbers: HashTable::new(),
            times: VecDeque::new(),
            gave_way: None,
        }
    }

    /// Enters the events of a slice, and finds those that are known. The time is asked only where it is needed.
    pub(crate) fn admit(&mut self, slice: &Slice, now: impl FnOnce() -> i64) -> Admitted {
        if self.limits.is_off() || !slice.has_chosen_ids() {
            return Admitted::ALL;
        }
        let now = now();
        self.forget(now);
        let (mut known, mut entered) = (Vec::new(), 0);
        for (at, event) in slice.iter().enumerate() {
            match self.enter(event, now) {
                true => entered += 1,
                false => known.push(at),
            }
        }
        let new = (!known.is_empty()).then(|| between(&known, slice.len()));
        Admitted { new, entered, duplicates: known.len() }
    }

    /// Takes back what [`admit`](Self::admit) did last: none of the events was accepted.
    pub(crate) fn withdraw(&mut self, admitted: &Admitted) {
        let mut left = admitted.entered.min(self.names.len());
        let kept = self.names.len() - left;
        for at in kept..self.names.len() {
            self.remove(at);
        }
        self.names.truncate(kept);
        while left > 0
            && let Some((_, count)) = self.times.back_mut()
        {
            let gone = left.min(*count);
            (*count, left) = (*count - gone, left - gone);
            if *count == 0 {
                self.times.pop_back();
            }
        }
    }

    /// Enters an event that was accepted at this time, not before any that was entered. Returns false if it is known.
    pub(crate) fn enter(&mut self, event: &Envelope, time: i64) -> bool {
        let name = self.name(event);
        let (first, names) = (self.first, &self.names);
        let is_it = |number: &u32| names.get(number.wrapping_sub(first) as usize) == Some(&name);
        if self.numbers.find(name[0], is_it).is_some() {
            return false;
        }
        if self.names.len() >= self.limits.ids as usize {
            self.gave_way = self.times.front().map(|(time, _)| *time);
            self.forget_first(1);
        }
        let number = self.first.wrapping_add(self.names.len() as u32);
        self.names.push_back(name);
        let (first, names) = (self.first, &self.names);
        let hash_of = |number: &u32| names.get(number.wrapping_sub(first) as usize).map_or(0, |name| name[0]);
        self.numbers.insert_unique(name[0], number, hash_of);
        match self.times.back_mut() {
            Some((last, count)) if *last >= time => *count += 1,
            _ => self.times.push_back((time, 1)),
        }
        true
    }

    /// The time within which an event is known now. `None`: every event is taken.
    pub(crate) fn window(&self, now: i64) -> Option<Duration> {
        let window = self.limits.window.get();
        let since = self.gave_way.map(|time| Duration::from_secs(now.saturating_sub(time).max(0).cast_unsigned()));
        (!self.limits.is_off()).then(|| since.map_or(window, |since| since.min(window)))
    }

    /// Forgets names that are older than the window.
    fn forget(&mut self, now: i64) {
        let window = self.limits.window.get().as_secs().min(u64::from(u32::MAX)).cast_signed();
        while let Some((time, count)) = self.times.front().copied()
            && now.saturating_sub(time) > window
        {
            self.forget_first(count);
        }
    }

    fn forget_first(&mut self, mut count: usize) {
        count = count.min(self.names.len());
        for at in 0..count {
            self.remove(at);
        }
        self.names.drain(..count);
        self.first = self.first.wrapping_add(count as u32);
        while count > 0
            && let Some((_, here)) = self.times.front_mut()
        {
            let gone = count.min(*here);
            (*here, count) = (*here - gone, count - gone);
            if *here == 0 {
                self.times.pop_front();
            }
        }
    }

    /// Removes the number of this name, which the caller takes out.
    fn remove(&mut self, at: usize) {
        let number = self.first.wrapping_add(at as u32);
        if let Ok(entry) = self.numbers.find_entry(self.names[at][0], |other| *other == number) {
            entry.remove();
        }
    }

    fn name(&self, event: &Envelope) -> Name {
        let mut hasher = self.key;
        for part in [event.tenant().unwrap_or(""), event.source(), event.id()] {
            hasher.write(part.as_bytes());
            // In no UTF-8 text: where one part ends is part of the name.
            hasher.write_u8(0xff);
        }
        let hash = hasher.finish128();
        [hash.h1, hash.h2]
    }
}

impl fmt::Debug for Duplicates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names.len();
        f.debug_struct("Duplicates").field("limits", &self.limits).field("names", &names).finish_non_exhaustive()
    }
}

/// The ranges between these rising numbers, up to `len`.
fn between(known: &[usize], len: usize) -> Vec<Range<usize>> {
    let mut next = 0;
    let before = known.iter().copied().chain([len]).map(|at| {
        let range = next..at;
        next = at + 1;
        range
    });
    before.filter(|range| !range.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use hooks_core::SliceBuilder;
    use proptest::prelude::*;

    use super::*;

    fn limits(window: u64, ids: u32) -> DuplicateLimits {
        DuplicateLimits { window: HumanDuration::new(Duration::from_secs(window)), ids }
    }

    fn slice(events: &[(&str, &str, &str)]) -> Slice {
        let mut slice = SliceBuilder::new("/s");
        for (tenant, source, id) in events {
            let tenant = if tenant.is_empty() { String::new() } else { format!(r#","tenant":"{tenant}""#) };
            let json = format!(r#"{{"type":"t","source":"{source}","id":"{id}"{tenant}}}"#);
            slice.push_json(json.as_bytes()).unwrap();
        }
        slice.finish()
    }

    fn numbered(ids: &[u8]) -> Slice {
        let ids: Vec<String> = ids.iter().map(u8::to_string).collect();
        slice(&ids.iter().map(|id| ("", "s", id.as_str())).collect::<Vec<_>>())
    }

    #[test]
    fn an_event_is_known_by_tenant_source_and_id() {
        let mut duplicates = Duplicates::new(limits(10, 100));
        let different =
            [("", "s", "1"), ("", "s1", "1"), ("", "s", "11"), ("s", "s", "1"), ("a", "s", "1"), ("", "a", "s1")];
        assert_eq!(duplicates.admit(&slice(&different), || 0).duplicates, 0);
        assert_eq!(duplicates.admit(&slice(&different), || 10).duplicates, 6);
        assert_eq!(duplicates.window(10), Some(Duration::from_secs(10)));
        assert_eq!(duplicates.admit(&slice(&different), || 11).duplicates, 0, "the window is over");
    }

    #[test]
    fn what_is_new_lies_between_what_is_known() {
        let mut duplicates = Duplicates::new(limits(10, 100));
        let first = numbered(&[1, 2, 1]);
        let admitted = duplicates.admit(&first, || 0);
        let ids = |parts: &[Slice]| -> Vec<Vec<String>> {
            parts.iter().map(|part| part.iter().map(|event| event.id().to_owned()).collect()).collect()
        };
        assert_eq!((ids(&admitted.parts(&first)), admitted.duplicates), (vec![vec!["1".into(), "2".into()]], 1));
        let second = numbered(&[1, 3, 4, 2, 5]);
        let admitted = duplicates.admit(&second, || 0);
        assert_eq!(ids(&admitted.parts(&second)), [vec!["3", "4"], vec!["5"]]);
        assert!(duplicates.admit(&first, || 0).parts(&first).is_empty());
    }

    #[test]
    fn ids_that_were_filled_in_take_no_room() {
        let mut duplicates = Duplicates::new(limits(10, 100));
        let mut builder = SliceBuilder::new("/s");
        for json in [r#"{"type":"t"}"#, r#"{"type":"t","id":null}"#] {
            builder.push_json(json.as_bytes()).unwrap();
        }
        let filled = builder.finish();
        assert_eq!(duplicates.admit(&filled, || unreachable!("nobody asks the time")), Admitted::ALL);
        assert!(duplicates.names.is_empty());
    }

    #[test]
    fn when_ids_come_too_fast_the_oldest_give_way_and_that_shows() {
        let mut duplicates = Duplicates::new(limits(100, 3));
        for (id, second) in [(1, 0), (2, 1), (3, 2), (4, 3)] {
            assert_eq!(duplicates.admit(&numbered(&[id]), || second).duplicates, 0);
        }
        assert_eq!(duplicates.window(3), Some(Duration::from_secs(3)), "what came at 0 gave way");
        assert_eq!(duplicates.admit(&numbered(&[4, 3, 2]), || 4).duplicates, 3);
        assert_eq!(duplicates.admit(&numbered(&[1]), || 4).duplicates, 0);
        assert_eq!(duplicates.window(90), Some(Duration::from_secs(89)));
        assert_eq!(duplicates.window(500), Some(Duration::from_secs(100)), "long ago");
    }

    /// What happens: slices are admitted, some of them withdrawn at once, and time passes.
    fn happenings() -> impl Strategy<Value = Vec<(Vec<u8>, bool, i64)>> {
        let ids = proptest::collection::vec(0u8..30, 1..8);
        proptest::collection::vec((ids, proptest::bool::weighted(0.2), 0i64..4), 1..80)
    }

    proptest! {
        /// A plain map from the id to the time of its acceptance agrees, however numbers wrap.
        #[test]
        fn it_knows_what_a_map_knows(happenings in happenings(), first: u32) {
            let mut duplicates = Duplicates::new(limits(5, 1000));
            duplicates.first = first;
            let (mut accepted, mut now) = (HashMap::<u8, i64>::new(), 0);
            for (ids, is_withdrawn, passed) in happenings {
                now += passed;
                let before = accepted.clone();
                let mut expected = 0;
                for id in &ids {
                    match accepted.get(id) {
                        Some(time) if now - time <= 5 => expected += 1,
                        _ => drop(accepted.insert(*id, now)),
                    }
                }
                let admitted = duplicates.admit(&numbered(&ids), || now);
                prop_assert_eq!(admitted.duplicates, expected);
                if is_withdrawn {
                    duplicates.withdraw(&admitted);
                    accepted = before;
                }
                let alive = accepted.values().filter(|time| now - **time <= 5).count();
                prop_assert_eq!((duplicates.names.len(), duplicates.numbers.len()), (alive, alive));
                prop_assert_eq!(duplicates.times.iter().map(|(_, count)| count).sum::<usize>(), alive);
            }
        }

        /// With a bound, it never takes a new event for a known one, and remembers no more than it may.
        #[test]
        fn a_bound_forgets_and_never_invents(happenings in happenings(), ids in 1u32..10) {
            let mut duplicates = Duplicates::new(limits(5, ids));
            let (mut accepted, mut now) = (HashMap::<u8, i64>::new(), 0);
            for (slice, _, passed) in happenings {
                now += passed;
                for id in slice {
                    let is_new = duplicates.admit(&numbered(&[id]), || now).duplicates == 0;
                    prop_assert!(is_new || accepted.get(&id).is_some_and(|time| now - time <= 5));
                    if is_new {
                        accepted.insert(id, now);
                    }
                    prop_assert!(duplicates.names.len() <= ids as usize);
                }
            }
        }
    }
}
