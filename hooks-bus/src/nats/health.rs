//! Troubles of the bus: each is logged when it begins and when it ends.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// A part that the bus depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The stream of events.
    Events,
    /// The stream of dead letters.
    DeadLetters,
    /// The bucket as a whole.
    Bucket,
    /// The presence of entries and overrides in the bucket.
    Entries,
    /// The content of hooks' entries.
    Records,
    /// Heartbeats to the bucket, without which nothing may be delivered.
    Heartbeats,
}

/// The troubles of now, by part.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<BTreeMap<Part, String>>);

impl Health {
    /// A part has this trouble.
    pub(super) fn fails(&self, part: Part, why: String) {
        let mut parts = self.0.lock();
        if parts.get(&part) != Some(&why) {
            tracing::error!("NATS: {why}");
            parts.insert(part, why);
        }
    }

    /// A part works.
    pub(super) fn works(&self, part: Part) {
        if let Some(was) = self.0.lock().remove(&part) {
            tracing::info!(was, "this trouble with NATS is over");
        }
    }

    pub(super) fn is_failing(&self, part: Part) -> bool {
        self.0.lock().contains_key(&part)
    }

    /// All troubles as one text.
    pub(super) fn trouble(&self) -> Option<String> {
        let parts = self.0.lock();
        let all: Vec<&str> = parts.values().map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_stays_until_it_works() {
        let health = Health::default();
        assert_eq!(health.trouble(), None);
        health.fails(Part::Heartbeats, "b".into());
        health.fails(Part::Events, "a".into());
        health.fails(Part::Events, "c".into());
        assert_eq!(health.trouble().as_deref(), Some("c; b"));
        health.works(Part::Events);
        health.works(Part::DeadLetters);
        assert!(health.is_failing(Part::Heartbeats) && !health.is_failing(Part::Events));
        assert_eq!(health.trouble().as_deref(), Some("b"));
    }
}
