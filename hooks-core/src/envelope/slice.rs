//! Slices: events that are published together.

use std::any::Any;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::{Arc, Weak};

use super::Envelope;

/// Events that are published together: one block of bytes, and a range of the events in it. Cloning costs a
/// reference count.
///
/// A [`SliceBuilder`](super::SliceBuilder) makes one; a single event becomes one by `into()`.
///
/// ```
/// use hooks_core::{Envelope, Slice};
///
/// let slice: Slice = Envelope::from_json(br#"{"type":"a"}"#)?.into();
/// assert_eq!(slice[0].event_type(), "a");
/// # Ok::<(), hooks_core::EnvelopeError>(())
/// ```
#[derive(Clone)]
pub struct Slice {
    /// All events of the block, or only one of them.
    events: Arc<[Envelope]>,
    from: u32,
    to: u32,
}

/// Lives as long as a bus holds events of a block. See [`Slice::guard`].
pub type BlockGuard = Arc<dyn Any + Send + Sync>;

impl Slice {
    /// Bytes of the events' JSON.
    pub fn bytes(&self) -> usize {
        match &**self {
            [first, .., last] if !first.block.has_decoded => {
                // Each stands right behind the one before, only a line feed in between.
                (last.entry.span.end() - first.entry.span.start) as usize + 1 - self.len()
            }
            events => events.iter().map(Envelope::len).sum(),
        }
    }

    /// Some of its events, which share its memory.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    #[inline]
    pub fn part(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len(), "{range:?} of {} events", self.len());
        let at = |index: usize| self.from + index as u32;
        Self { events: self.events.clone(), from: at(range.start), to: at(range.end) }
    }

    /// Takes the first events off.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    pub fn split_to(&mut self, count: usize) -> Self {
        let front = self.part(0..count);
        self.from = front.to;
        front
    }

    /// Joins the other slice to this one, if it has the events right behind. Returns whether it did.
    pub(crate) fn join(&mut self, next: &Self) -> bool {
        let joins = self.to == next.from && Arc::ptr_eq(&self.events, &next.events);
        if joins {
            self.to = next.to;
        }
        joins
    }

    /// The JSON of all events, a line feed behind each, in as few pieces as possible.
    pub(crate) fn text(&self) -> impl Iterator<Item = &str> {
        let together = self.first().is_some_and(|event| !event.block.has_decoded);
        self.chunk_by(move |a, b| together || a.is_before(b)).map(|piece| piece[0].lines_to(&piece[piece.len() - 1]))
    }

    /// Bytes of memory that the slice keeps: those of the whole block.
    pub fn memory(&self) -> usize {
        let block = self.events.first().map_or(0, |event| event.block.memory());
        size_of_val(&*self.events) + block
    }

    /// For buses: returns false if all ids were filled in, so that no other event has one of them.
    pub fn has_chosen_ids(&self) -> bool {
        self.first().is_some_and(|event| event.block.has_chosen_ids)
    }

    /// For buses: the guard that is tied to the block for as long as a bus holds the guard, a reservation of memory,
    /// say. All parts of a slice have one guard; so has a slice that is published twice.
    pub fn guard(&self) -> Option<BlockGuard> {
        self.first()?.block.guard.lock().as_ref().and_then(Weak::upgrade)
    }

    /// For buses: ties this guard to the block, unless another one is tied to it. Returns the guard of the block.
    pub fn guard_with(&self, guard: BlockGuard) -> BlockGuard {
        let Some(first) = self.first() else { return guard };
        let mut known = first.block.guard.lock();
        known.as_ref().and_then(Weak::upgrade).unwrap_or_else(|| {
            *known = Some(Arc::downgrade(&guard));
            guard
        })
    }

    /// Events that stand in one block, in its order.
    pub(super) fn of_block(events: impl Iterator<Item = Envelope>) -> Self {
        let events: Arc<[Envelope]> = events.collect();
        Self { from: 0, to: events.len() as u32, events }
    }

    /// The first event with a reserved type that no dispatcher made.
    pub(crate) fn forged(&self) -> Option<&Envelope> {
        let block = &self.first()?.block;
        if block.own || !block.has_reserved { None } else { self.iter().find(|event| event.is_reserved()) }
    }
}

impl Deref for Slice {
    type Target = [Envelope];

    #[inline]
    fn deref(&self) -> &[Envelope] {
        &self.events[self.from as usize..self.to as usize]
    }
}

impl<'a> IntoIterator for &'a Slice {
    type Item = &'a Envelope;
    type IntoIter = std::slice::Iter<'a, Envelope>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Envelope> for Slice {
    fn from(event: Envelope) -> Self {
        Self::of_block(std::iter::once(event))
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&**self).finish()
    }
}
