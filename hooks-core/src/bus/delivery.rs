//! An event in flight, and its position.

use std::fmt;

use crate::envelope::{Envelope, Slice};
use crate::wrapper::wrapper;

/// A place in a bus's log. Positions rise in the order in which events were accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

wrapper! {
    Position(u64),
    /// The position of this number.
    new,
    /// The number.
    get
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An event on its way to one hook: a slice, and which of its events it is.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The event's position in the log.
    pub position: Position,
    /// A slice with this event alone.
    pub(crate) slice: Slice,
}

impl Delivery {
    /// A delivery of the event at this index.
    ///
    /// # Panics
    /// When the slice has no such index.
    #[inline]
    pub fn new(position: Position, slice: &Slice, index: usize) -> Self {
        Self { position, slice: slice.part(index..index + 1) }
    }

    /// The event.
    #[inline]
    pub fn envelope(&self) -> &Envelope {
        &self.slice[0]
    }
}
