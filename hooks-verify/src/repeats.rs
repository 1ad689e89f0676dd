//! Events that come again.

use std::collections::{HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::Event;

/// Tells events that came before, by their `source` and `id`: whoever delivers at least once delivers some of them twice. It
/// remembers the last ones, in this process; what must not be done twice in years needs a unique column in a database.
#[derive(Debug)]
pub struct Repeats {
    capacity: usize,
    known: HashSet<Arc<Name>>,
    /// The oldest first.
    order: VecDeque<Arc<Name>>,
}

/// `source` and `id`.
type Name = (String, String);

impl Repeats {
    /// Remembers this many events.
    #[must_use]
    pub fn new(capacity: NonZeroUsize) -> Self {
        Self { capacity: capacity.get(), known: HashSet::new(), order: VecDeque::new() }
    }

    /// True if this event is remembered: its work is done.
    pub fn contains(&self, event: &Event) -> bool {
        self.known.contains(&name(event))
    }

    /// Remembers an event, once its work is done. One that failed or was refused comes again, and is to be looked at again.
    pub fn insert(&mut self, event: &Event) {
        let name = name(event);
        if !self.known.insert(name.clone()) {
            return;
        }
        self.order.push_back(name);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

fn name(event: &Event) -> Arc<Name> {
    Arc::new((event.source().to_owned(), event.id().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events;

    fn event(source: &str, id: &str) -> Event {
        let json = serde_json::json!({ "source": source, "id": id, "type": "t" });
        events(json.to_string().as_bytes()).unwrap().remove(0)
    }

    fn repeats(capacity: usize) -> Repeats {
        Repeats::new(NonZeroUsize::new(capacity).unwrap())
    }

    #[test]
    fn source_and_id_tell_an_event() {
        let mut repeats = repeats(10);
        assert!(!repeats.contains(&event("/a", "1")));
        repeats.insert(&event("/a", "1"));
        repeats.insert(&event("/a1", ""));
        for (source, id, known) in [("/a", "1", true), ("/b", "1", false), ("/a", "2", false), ("/a1", "", true)] {
            assert_eq!(repeats.contains(&event(source, id)), known, "{source} {id}");
        }
    }

    #[test]
    fn the_oldest_are_forgotten_and_memory_is_bounded() {
        let mut repeats = repeats(2);
        for id in ["1", "2", "2", "3"] {
            repeats.insert(&event("/a", id));
        }
        let known = ["1", "2", "3"].map(|id| repeats.contains(&event("/a", id)));
        assert_eq!(known, [false, true, true]);
        assert_eq!((repeats.known.len(), repeats.order.len()), (2, 2));
    }
}
