//! The errors of a bus.

use std::ops::Range;

use crate::envelope::EnvelopeError;

/// The error of a call to a bus.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// The bus accepts nothing any more.
    #[error("the bus is closed")]
    Closed,
    /// There is no room, and the bus is set to refuse rather than wait.
    #[error("the bus is full: {0}")]
    Full(String),
    /// The events are longer than the bus takes. Publishing them again won't help; fewer at once may.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The bus can't be reached or can't do its work now.
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
    /// The type of an event is the dispatcher's own.
    #[error("an event of type `{0}` can't be published: types that begin with `hooks.` are the dispatcher's own")]
    Reserved(String),
    /// Some events of a call were accepted before the error. Only buses whose documentation says so return it.
    #[error("{error}; {} of {events} events were accepted before: {}", accepted.iter().map(Range::len).sum::<usize>(), numbers(accepted))]
    Partly {
        /// Indices of the accepted events, from 0, in order. Some of the others may have been accepted, too.
        accepted: Vec<Range<usize>>,
        /// Number of events in the call.
        events: usize,
        /// The error that ended the call.
        error: Box<BusError>,
    },
}

/// The reason why [`Bus::publish_event`](crate::Bus::publish_event) did not publish an event.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The event is no CloudEvent.
    #[error(transparent)]
    Event(#[from] EnvelopeError),
    /// The bus did not accept it.
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl BusError {
    /// The error that ended the call, and the indices of the events that were accepted before it.
    pub fn parts(&self) -> (&Self, &[Range<usize>]) {
        match self {
            Self::Partly { accepted, error, .. } => (error, accepted),
            error => (error, &[]),
        }
    }
}

/// The ranges as text, counted from 1.
fn numbers(ranges: &[Range<usize>]) -> String {
    let one = |range: &Range<usize>| match range.len() {
        1 => format!("{}", range.end),
        _ => format!("{} to {}", range.start + 1, range.end),
    };
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}
