//! Where a hook goes on.

use std::time::SystemTime;

use hooks_core::Position;

use crate::buffer::published::Run;

/// The place that a hook goes to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// The first event at this position or behind it.
    Position(Position),
    /// The first event that was accepted at this time or later.
    Time(SystemTime),
}

impl Target {
    /// Number of events of a run that lie before it.
    pub(super) fn passes(self, run: &Run) -> usize {
        match self {
            Self::Position(position) => run.before(position),
            Self::Time(since) if run.accepted() < since => run.len(),
            Self::Time(_) => 0,
        }
    }

    /// True if it does not lie before the oldest event that a hook has. What it had before is gone.
    pub(super) fn is_reached(self, oldest: Option<Run>) -> bool {
        match self {
            Self::Position(position) => oldest.is_none_or(|run| run.first() <= position),
            Self::Time(since) => oldest.map_or_else(SystemTime::now, |run| run.accepted()) <= since,
        }
    }
}
