//! What a bus holds of events for its hooks, and the bounds of it.

pub(crate) mod in_hand;
pub(crate) mod published;
pub(crate) mod room;
