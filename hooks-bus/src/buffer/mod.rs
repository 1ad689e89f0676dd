//! What a bus holds of events for its hooks, and the bounds of it.

pub(crate) mod budget;
pub(crate) mod in_flight;
pub(crate) mod published;
