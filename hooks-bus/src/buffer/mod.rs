//! Buffered events of hooks, and their bounds.

pub(crate) mod budget;
pub(crate) mod in_flight;
pub(crate) mod picks;
pub(crate) mod published;
