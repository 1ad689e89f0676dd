//! What a bus says when it can't.

use std::ops::Range;

/// Why a bus did not do what was asked.
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
    /// Some events of a call were accepted before the error. Only where the bus's documentation says so.
    #[error("{error}; {} of {events} events were accepted before: {}", accepted.iter().map(Range::len).sum::<usize>(), numbers(accepted))]
    Partly {
        /// Which, from 0, in order. Whether the others were is not always known.
        accepted: Vec<Range<usize>>,
        /// How many events the call had.
        events: usize,
        /// Why the others were not.
        error: Box<BusError>,
    },
}

impl BusError {
    /// What went wrong, and which events of the call were accepted all the same: none, but for some buses.
    pub fn parts(&self) -> (&Self, &[Range<usize>]) {
        match self {
            Self::Partly { accepted, error, .. } => (error, accepted),
            error => (error, &[]),
        }
    }
}

/// For people, who count from 1.
fn numbers(ranges: &[Range<usize>]) -> String {
    let one = |range: &Range<usize>| match range.len() {
        1 => format!("{}", range.end),
        _ => format!("{} to {}", range.start + 1, range.end),
    };
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}
