//! The counts of what arrived: events, repeats, and order.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher as _, Hash, RandomState};

use super::events::Event;
use crate::outcome::count;

/// The number of events that are remembered to tell repeats, and of keys to tell order.
const REMEMBERED: usize = 1_000_000;
const KEYS: usize = 100_000;

/// The counts of a receiver. Bounded: about 60 MB when all of it is used.
#[derive(Debug, Default)]
pub(crate) struct ArrivalStats {
    /// Requests by the status that they were answered.
    pub(crate) answers: BTreeMap<u16, u64>,
    /// Requests that a fault happened to, or that were none.
    pub(crate) unanswered: u64,
    /// Requests whose signature was missing or wrong.
    pub(crate) untrusted: u64,
    /// Events that arrived, each time that they did.
    pub(crate) arrived: u64,
    /// Events that were accepted.
    pub(crate) accepted: u64,
    /// Of these, events that had been accepted before.
    pub(crate) repeats: u64,
    /// Of these, events that came after a later one of their key.
    pub(crate) disorder: u64,
    hasher: RandomState,
    known: HashSet<u64>,
    oldest: VecDeque<u64>,
    latest: HashMap<u64, String>,
}

/// The mark of an accepted event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Repeated,
    OutOfOrder,
}

impl ArrivalStats {
    /// Counts an answered request.
    pub(crate) fn answered(&mut self, status: u16) {
        *self.answers.entry(status).or_default() += 1;
    }

    /// Counts an event that arrived at a path and was accepted or not.
    ///
    /// Each path is counted for itself, as each hook has its own order. Events are the same when
    /// their `source` and `id` are. Order can be seen where events of the same `source` and
    /// `partitionkey`, else `subject`, have a `sequence`, else a `time`.
    pub(crate) fn event(&mut self, path: &str, event: &Event, is_accepted: bool) -> Option<Mark> {
        self.arrived += 1;
        if !is_accepted {
            return None;
        }
        self.accepted += 1;
        if !self.remember((path, &event.source, &event.id)) {
            self.repeats += 1;
            return Some(Mark::Repeated);
        }
        if self.is_late(path, event) {
            self.disorder += 1;
            return Some(Mark::OutOfOrder);
        }
        None
    }

    /// Events that were accepted, each once.
    pub(crate) fn distinct(&self) -> u64 {
        self.accepted - self.repeats
    }

    /// False when it is known already.
    fn remember(&mut self, event: impl Hash) -> bool {
        let hash = self.hasher.hash_one(event);
        if !self.known.insert(hash) {
            return false;
        }
        self.oldest.push_back(hash);
        if self.oldest.len() > REMEMBERED
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    fn is_late(&mut self, path: &str, event: &Event) -> bool {
        let key = event.partitionkey.as_ref().or(event.subject.as_ref());
        let (kind, mark) = match (&event.sequence, &event.time) {
            (Some(sequence), _) => ("sequence", sequence),
            (None, Some(time)) => ("time", time),
            (None, None) => return false,
        };
        let key = self.hasher.hash_one((path, &event.source, key, kind));
        if let Some(latest) = self.latest.get_mut(&key) {
            let is_late = is_before(kind, mark, latest);
            if !is_late {
                latest.clone_from(mark);
            }
            return is_late;
        }
        if self.latest.len() < KEYS {
            self.latest.insert(key, mark.clone());
        }
        false
    }

    /// The counts in words, one fact a line.
    pub(crate) fn summary(&self) -> String {
        let requests: u64 = self.answers.values().sum::<u64>() + self.unanswered;
        let mut answers: Vec<_> =
            self.answers.iter().map(|(status, count)| format!("{count} answered {status}")).collect();
        if self.unanswered > 0 {
            answers.push(format!("{} not answered well", self.unanswered));
        }
        let mut text = count(requests, "request");
        if !answers.is_empty() {
            text.push_str(&format!(": {}", answers.join(", ")));
        }
        if self.untrusted > 0 {
            text.push_str(&format!("; {} without a right signature", self.untrusted));
        }
        text.push_str(&format!(
            "\n{} arrived, {} accepted: {} distinct, {} repeated, {} out of order",
            count(self.arrived, "event"),
            self.accepted,
            self.distinct(),
            self.repeats,
            self.disorder
        ));
        if self.distinct() > REMEMBERED as u64 {
            text.push_str(&format!("\n(repeats were looked for among the last {REMEMBERED} events)"));
        }
        if self.latest.len() == KEYS {
            text.push_str(&format!("\n(order was looked at for the first {KEYS} sources and subjects)"));
        }
        text
    }
}

/// `sequence` is compared as text (CloudEvents' extension of that name), unless both are numbers.
fn is_before(kind: &str, mark: &str, latest: &str) -> bool {
    if kind == "time" {
        let times = [mark, latest].map(|time| time.parse::<jiff::Timestamp>().ok());
        return matches!(times, [Some(mark), Some(latest)] if mark < latest);
    }
    match (mark.parse::<u128>(), latest.parse::<u128>()) {
        (Ok(mark), Ok(latest)) => mark < latest,
        _ => mark < latest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::events;

    fn event(id: &str, more: &str) -> Event {
        events(format!(r#"{{"id":"{id}","source":"s","type":"t"{more}}}"#).as_bytes()).0.remove(0)
    }

    #[test]
    fn repeats_are_what_was_accepted_twice() {
        let mut stats = ArrivalStats::default();
        assert_eq!(stats.event("/a", &event("1", ""), false), None);
        assert_eq!(stats.event("/a", &event("1", ""), true), None);
        assert_eq!(stats.event("/b", &event("1", ""), true), None, "another hook's");
        assert_eq!(stats.event("/a", &event("1", ""), true), Some(Mark::Repeated));
        assert_eq!((stats.arrived, stats.accepted, stats.distinct(), stats.repeats), (4, 3, 2, 1));
    }

    #[test]
    fn order_is_seen_by_sequence_or_time_within_a_subject() {
        let mut stats = ArrivalStats::default();
        for (id, more, mark) in [
            ("1", r#","subject":"a","time":"2026-01-01T00:00:02Z""#, None),
            ("2", r#","subject":"b","time":"2026-01-01T00:00:01Z""#, None),
            ("3", r#","subject":"a","time":"2026-01-01T01:00:01+01:00""#, Some(Mark::OutOfOrder)),
            ("4", r#","subject":"a","time":"2026-01-01T00:00:02Z""#, None),
            ("5", r#","subject":"a","sequence":"9""#, None),
            ("6", r#","subject":"a","sequence":"10""#, None),
            ("7", r#","subject":"a","sequence":"8""#, Some(Mark::OutOfOrder)),
            ("8", r#","subject":"a","partitionkey":"k","sequence":"1""#, None),
            ("9", "", None),
        ] {
            assert_eq!(stats.event("/", &event(id, more), true), mark, "{id}");
        }
        assert_eq!(stats.disorder, 2);
    }

    #[test]
    fn the_summary_says_what_came_of_requests_and_events() {
        let mut stats = ArrivalStats { unanswered: 1, untrusted: 2, ..ArrivalStats::default() };
        for status in [200, 503, 200] {
            stats.answered(status);
        }
        stats.event("/", &event("1", ""), true);
        stats.event("/", &event("1", ""), true);
        assert_eq!(
            stats.summary(),
            "4 requests: 2 answered 200, 1 answered 503, 1 not answered well; 2 without a right signature\n\
             2 events arrived, 2 accepted: 1 distinct, 1 repeated, 0 out of order"
        );
        assert_eq!(
            ArrivalStats::default().summary(),
            "0 requests\n0 events arrived, 0 accepted: 0 distinct, 0 repeated, 0 out of order"
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut stats = ArrivalStats::default();
        for number in 0..REMEMBERED + 10 {
            stats.remember(number);
        }
        assert_eq!((stats.known.len(), stats.oldest.len()), (REMEMBERED, REMEMBERED));
        assert!(!stats.remember(REMEMBERED));
        assert!(stats.remember(0), "the first is forgotten");
    }
}
