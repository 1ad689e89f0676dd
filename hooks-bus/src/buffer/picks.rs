//! The events of a slice that one subscriber receives, and their size.

use std::sync::Arc;

use hooks_core::{Envelope, Slice};

use super::budget::Amount;

/// The events of a slice that one subscriber receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Picks {
    /// All events, with their number.
    All(u32),
    /// Some events, by rising index.
    Some(Arc<[u32]>),
}

impl Picks {
    pub(crate) fn len(&self) -> u32 {
        match self {
            Self::All(events) => *events,
            Self::Some(picks) => picks.len() as u32,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        let (all, some) = match self {
            Self::All(events) => (*events, &[][..]),
            Self::Some(picks) => (0, &picks[..]),
        };
        (0..all).chain(some.iter().copied())
    }

    /// True if both are the same allocation, not only equal.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All(a), Self::All(b)) => a == b,
            (Self::Some(a), Self::Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    pub(crate) fn size(&self, events: &[Envelope]) -> Amount {
        let mut size = Amount::default();
        self.iter().for_each(|at| size.add(size_of_one(&events[at as usize])));
        size
    }
}

/// The size of one event.
pub(crate) fn size_of_one(envelope: &Envelope) -> Amount {
    Amount { events: 1, bytes: envelope.len() }
}

/// The size of a slice.
pub(crate) fn size_of_all(slice: &Slice) -> Amount {
    Amount { events: slice.len(), bytes: slice.bytes() }
}
