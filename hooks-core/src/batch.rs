//! Batches: events that are delivered together.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use uuid::Uuid;

use crate::bus::{Delivery, Position};
use crate::envelope::{Envelope, Metadata, Slice};
use crate::id::{HookId, uuid_v7};

/// The name of a frozen batch, the same over all its attempts. A UUID, and behind it `_0` or `_1` for each
/// time it was split; a name that would be longer than 64 bytes is another UUID instead.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BatchId(String);

/// Longest name in bytes: receivers keep names in columns and headers of some size, and a batch may be split down to
/// single events.
const MAX_LENGTH: usize = 64;

impl BatchId {
    /// A hash (UUIDv5) of hook and positions within a log, or within one run of sending events again.
    pub(crate) fn new(log: Uuid, hook: &HookId, deliveries: &[Delivery]) -> Self {
        let mut name = Vec::with_capacity(hook.as_str().len() + 32);
        name.extend_from_slice(hook.as_str().as_bytes());
        for run in deliveries.chunk_by(|a, b| a.position.get() + 1 == b.position.get()) {
            name.extend_from_slice(&run[0].position.get().to_be_bytes());
            name.extend_from_slice(&(run.len() as u64).to_be_bytes());
        }
        Self(Uuid::new_v5(&log, &name).to_string())
    }

    fn half(&self, half: u8) -> Self {
        let name = format!("{}_{half}", self.0);
        if name.len() <= MAX_LENGTH {
            Self(name)
        } else {
            Self(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string())
        }
    }

    /// The name; holds no `.`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Events that are delivered together, frozen: the same events, bytes and id at every attempt. Cloning costs little.
#[derive(Debug, Clone)]
pub struct Batch {
    id: BatchId,
    parts: Arc<Vec<Part>>,
    metadata: Arc<Metadata>,
}

/// Events of a slice, at this position and those behind it.
#[derive(Debug)]
struct Part {
    first: Position,
    slice: Slice,
}

impl Part {
    /// The number behind its last position.
    fn end(&self) -> u64 {
        self.first.get() + self.slice.len() as u64
    }

    fn positions(&self) -> impl Iterator<Item = Position> {
        (self.first.get()..).take(self.slice.len()).map(Position::new)
    }

    fn deliveries(&self) -> impl Iterator<Item = Delivery> {
        self.positions().zip(0..).map(|(position, index)| Delivery::new(position, &self.slice, index))
    }
}

impl Batch {
    pub(crate) fn new(id: BatchId, deliveries: Vec<Delivery>, metadata: Arc<Metadata>) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        for Delivery { position, slice } in deliveries {
            let continues = |last: &mut Part| {
                last.first.get() + last.slice.len() as u64 == position.get() && last.slice.join(&slice)
            };
            if !parts.last_mut().is_some_and(continues) {
                parts.push(Part { first: position, slice });
            }
        }
        Self { id, parts: Arc::new(parts), metadata }
    }

    /// A batch for trying out a sink, outside any log.
    pub fn for_test<S: Into<Slice>>(slices: impl IntoIterator<Item = S>) -> Self {
        let mut end = 0;
        let part = |slice: S| {
            let slice: Slice = slice.into();
            let first = Position::new(end);
            end += slice.len() as u64;
            Part { first, slice }
        };
        let parts = slices.into_iter().map(part).collect();
        Self { id: BatchId(uuid_v7().to_string()), parts: Arc::new(parts), metadata: Arc::default() }
    }

    /// The same batch with other metadata.
    pub(crate) fn with_metadata(self, metadata: Arc<Metadata>) -> Self {
        Self { metadata, ..self }
    }

    /// The batch's name, the same over all attempts.
    pub fn id(&self) -> &BatchId {
        &self.id
    }

    /// Number of events, at least one.
    #[allow(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.slice.len()).sum()
    }

    /// The events, oldest first.
    pub fn events(&self) -> impl Iterator<Item = &Envelope> {
        self.parts.iter().flat_map(|part| &part.slice)
    }

    /// The JSON of each event as it is to be delivered: one line each, the hook's metadata applied.
    pub fn lines(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.events().map(|event| self.metadata.apply(event))
    }

    /// Name and raw JSON value of each member of one of its events as it is to be delivered, the hook's metadata applied.
    /// Nothing is copied, and `data` is not looked into.
    pub fn members<'a>(&'a self, event: &'a Envelope) -> impl Iterator<Item = (&'a str, &'a str)> {
        let is_replaced = |name: &str| self.metadata.entries().any(|(known, _)| known == name);
        event.members().filter(move |(name, _)| !is_replaced(name)).chain(self.metadata.entries())
    }

    /// All [`lines`](Self::lines), a line feed behind each, in few pieces: events that were published
    /// together stand side by side in memory.
    ///
    /// ```
    /// use hooks_core::{sink::Batch, SliceBuilder};
    ///
    /// let mut slice = SliceBuilder::new("/s");
    /// for id in ["1", "2"] {
    ///     slice.push_json(format!(r#"{{"type":"a","id":"{id}"}}"#).as_bytes())?;
    /// }
    /// let batch = Batch::for_test([slice.finish()]);
    /// assert_eq!(batch.text().count(), 1);
    /// let lines: String = batch.lines().map(|line| format!("{line}\n")).collect();
    /// assert_eq!(batch.text().collect::<String>(), lines);
    /// # Ok::<(), hooks_core::EnvelopeError>(())
    /// ```
    pub fn text(&self) -> impl Iterator<Item = Cow<'_, str>> {
        // One of the two is there.
        let plain = self.metadata.is_empty();
        let as_they_are = plain.then(|| self.parts.iter().flat_map(|part| part.slice.text()).map(Cow::Borrowed));
        let changed = (!plain).then(|| self.lines().map(|line| Cow::Owned(line.into_owned() + "\n")));
        as_they_are.into_iter().flatten().chain(changed.into_iter().flatten())
    }

    /// Upper bound for the length of all [`lines`](Self::lines) with one byte behind each.
    pub fn max_bytes(&self) -> usize {
        let events: usize = self.parts.iter().map(|part| part.slice.bytes()).sum();
        events + self.len() * (1 + self.metadata.most_added())
    }

    /// Number of events from the front that stay within `max_bytes`; at least one.
    pub(crate) fn fitting(&self, max_bytes: usize) -> usize {
        let added = self.metadata.most_added();
        let mut bytes = 1;
        let fits = |event: &&Envelope| {
            bytes += event.len() + added + 1;
            bytes <= max_bytes
        };
        self.events().take_while(fits).count().max(1)
    }

    /// A batch without the refused events, and a batch of each refused event alone. `refused` is sorted by index.
    pub(crate) fn without<T>(self, refused: &[(usize, T)]) -> (Self, Vec<Self>) {
        if refused.is_empty() {
            return (self, Vec::new());
        }
        let part = |deliveries| Self::new(self.id.clone(), deliveries, self.metadata.clone());
        let (mut deliveries, mut indices) = (self.deliveries(), 0..);
        let mut refused = refused.iter().map(|(index, _)| *index).peekable();
        let is_refused = |_: &mut Delivery| indices.next().and_then(|index| refused.next_if_eq(&index)).is_some();
        let taken = deliveries.extract_if(.., is_refused).map(|delivery| part(vec![delivery])).collect();
        (part(deliveries), taken)
    }

    /// The positions as ranges, without those in between that are not in it.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = RangeInclusive<Position>> + '_ {
        self.parts.chunk_by(|a, b| a.end() == b.first.get()).map(|run| {
            let end = run.last().map_or(0, Part::end);
            run[0].first..=Position::new(end - 1)
        })
    }

    /// The position of the event at this index.
    pub(crate) fn position(&self, index: usize) -> Option<Position> {
        self.parts.iter().flat_map(Part::positions).nth(index)
    }

    pub(crate) fn positions(&self) -> Vec<Position> {
        self.parts.iter().flat_map(Part::positions).collect()
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.parts.iter().flat_map(Part::deliveries).collect()
    }

    /// Two batches with ids derived from this one: the first `at` events, and the others.
    pub(crate) fn split_at(self, at: usize) -> (Self, Self) {
        let mut left = self.deliveries();
        let right = left.split_off(at);
        let half = |half, deliveries| Self::new(self.id.half(half), deliveries, self.metadata.clone());
        (half(0, left), half(1, right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(position: u64) -> Delivery {
        let event = Envelope::from_json(br#"{"type":"a"}"#).unwrap();
        Delivery::new(Position::new(position), &event.into(), 0)
    }

    fn slice(ids: &[&str]) -> Slice {
        let mut slice = crate::SliceBuilder::new("/s");
        ids.iter().for_each(|id| slice.push_json(format!(r#"{{"type":"a","id":"{id}"}}"#).as_bytes()).unwrap());
        slice.finish()
    }

    /// Positions may go on where a slice does not, and a slice where positions do not.
    #[test]
    fn a_batch_has_the_events_it_was_made_of_whole_and_taken_apart() {
        let slice = slice(&["0", "1", "2", "3", "4"]);
        let of = |events: &[(usize, u64)]| -> Vec<(String, u64)> {
            events.iter().map(|(index, position)| (index.to_string(), *position)).collect()
        };
        let held = |batch: &Batch| -> Vec<(String, u64)> {
            assert_eq!(batch.len(), batch.events().count());
            let ids = batch.events().map(|event| event.id().to_owned());
            ids.zip(batch.positions().iter().map(|position| position.get())).collect()
        };
        for events in
            [[(0, 7), (1, 8), (3, 9), (4, 10)], [(0, 7), (1, 8), (2, 10), (3, 11)], [(1, 7), (0, 8), (1, 9), (2, 10)]]
        {
            let delivery = |(index, position): &(usize, u64)| Delivery::new(Position::new(*position), &slice, *index);
            let id = BatchId::new(Uuid::nil(), &HookId::new("a").unwrap(), &[]);
            let batch = Batch::new(id, events.iter().map(delivery).collect(), Arc::default());
            assert_eq!(held(&batch), of(&events));
            let within: Vec<u64> = batch.ranges().flat_map(|range| range.start().get()..=range.end().get()).collect();
            assert_eq!(within, events.iter().map(|(_, position)| *position).collect::<Vec<_>>());
            assert!(batch.ranges().is_sorted_by(|a, b| a.end().get() + 1 < b.start().get()), "as few as can be");
            for mask in 0..1 << events.len() {
                let (refused, others): (Vec<usize>, Vec<usize>) = (0..events.len()).partition(|at| mask >> at & 1 == 1);
                let named: Vec<(usize, ())> = refused.iter().map(|at| (*at, ())).collect();
                let (left, taken) = batch.clone().without(&named);
                assert_eq!(held(&left), of(&others.iter().map(|at| events[*at]).collect::<Vec<_>>()));
                let alone: Vec<_> = refused.iter().map(|at| of(&[events[*at]])).collect();
                assert_eq!(taken.iter().map(held).collect::<Vec<_>>(), alone);
            }
            for at in 0..=events.len() {
                let (left, right) = batch.clone().split_at(at);
                assert_eq!((held(&left), held(&right)), (of(&events[..at]), of(&events[at..])));
            }
        }
    }

    #[test]
    fn the_text_is_the_lines_whatever_stands_between_them_in_memory() {
        let escaped = slice(&["1", r"\u0041", r"\u0042", "2", "3"]);
        let events = [slice(&["4", "5", "6"]).to_vec(), escaped.to_vec(), slice(&["7"]).to_vec()].concat();
        for left_out in 0..events.len() {
            let mut events = events.clone();
            events.remove(left_out);
            let batch = Batch::for_test(events);
            let metadata = Arc::new(Metadata::new([("env", "prod".into())]).unwrap());
            for batch in [batch.clone(), batch.with_metadata(metadata)] {
                let lines: String = batch.lines().map(|line| format!("{line}\n")).collect();
                assert_eq!(batch.text().collect::<String>(), lines);
            }
        }
    }

    #[test]
    fn members_are_those_that_are_delivered() {
        let event = Envelope::from_json(br#"{"type":"a","id":"1","env":"test","data":{"env":1}}"#).unwrap();
        let metadata = Metadata::new([("env", "prod".into()), ("n", 7.into())]).unwrap();
        let batch = Batch::for_test([event]).with_metadata(Arc::new(metadata));
        let event = batch.events().next().unwrap();
        let mut members: Vec<(String, String)> =
            batch.members(event).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        members.sort();
        let line = batch.lines().next().unwrap();
        let read: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
            serde_json::from_str(&line).unwrap();
        let delivered: Vec<_> = read.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect();
        assert_eq!(members, delivered);
    }

    #[test]
    fn the_pieces_of_a_batch_have_short_names_of_their_own() {
        let hook = HookId::new("a").unwrap();
        let deliveries: Vec<_> = (0..2_000).map(delivery).collect();
        let id = BatchId::new(Uuid::nil(), &hook, &deliveries);
        let mut rest = Batch::new(id, deliveries, Arc::default());
        let mut names = std::collections::HashSet::new();
        while rest.len() > 1 {
            let (left, right) = rest.split_at(1);
            assert!(names.insert(left.id().to_string()) && names.insert(right.id().to_string()));
            rest = right;
        }
        assert!(names.iter().all(|name| name.len() <= 64 && !name.contains('.')));
    }

    #[test]
    fn ids_depend_on_log_hook_and_positions() {
        let hook = HookId::new("a").unwrap();
        let id = |log, hook: &HookId, positions: &[u64]| {
            BatchId::new(log, hook, &positions.iter().map(|at| delivery(*at)).collect::<Vec<_>>())
        };
        let base = id(Uuid::nil(), &hook, &[1, 2, 5]);
        assert_eq!(base, id(Uuid::nil(), &hook, &[1, 2, 5]));
        assert_ne!(base, id(Uuid::max(), &hook, &[1, 2, 5]));
        assert_ne!(base, id(Uuid::nil(), &HookId::new("b").unwrap(), &[1, 2, 5]));
        assert_ne!(base, id(Uuid::nil(), &hook, &[1, 2, 4, 5]));
        assert!(!base.as_str().contains('.'));
    }
}
