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

    /// True if this event comes for the first time, as far as it is remembered. From now on it is.
    pub fn is_first(&mut self, event: &Event) -> bool {
        let name = name(event);
        if !self.known.insert(name.clone()) {
            return false;
        }
        self.order.push_back(name);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    /// Forgets an event: it could not be worked on, and is to be taken when it comes again.
    pub fn forget(&mut self, event: &Event) {
        let name = name(event);
        if self.known.remove(&name) {
            self.order.retain(|other| *other != name);
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
    fn an_event_is_first_once_and_source_and_id_tell_it() {
        let mut repeats = repeats(10);
        for (source, id, first) in [
            ("/a", "1", true),
            ("/a", "1", false),
            ("/b", "1", true),
            ("/a", "2", true),
            ("/a1", "", true),
            ("/a", "1", false),
        ] {
            assert_eq!(repeats.is_first(&event(source, id)), first, "{source} {id}");
        }
    }

    #[test]
    fn the_oldest_are_forgotten_and_memory_is_bounded() {
        let mut repeats = repeats(2);
        for id in ["1", "2", "3"] {
            assert!(repeats.is_first(&event("/a", id)));
        }
        assert!(!repeats.is_first(&event("/a", "2")));
        assert!(repeats.is_first(&event("/a", "1")));
        assert_eq!((repeats.known.len(), repeats.order.len()), (2, 2));
    }

    #[test]
    fn what_is_forgotten_is_taken_again() {
        let mut repeats = repeats(2);
        assert!(repeats.is_first(&event("/a", "1")));
        repeats.forget(&event("/a", "1"));
        repeats.forget(&event("/a", "never"));
        assert!(repeats.is_first(&event("/a", "1")));
        assert_eq!((repeats.known.len(), repeats.order.len()), (1, 1));
    }
}
