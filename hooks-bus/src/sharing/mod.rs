//! What buses have in common whose hooks several instances share: one of them owns each hook, by a lease and by a
//! revision of the hook's entry. No I/O.

mod assignment;
mod cursor;
mod hook;
mod lease;
mod machine;
mod overrides;
mod step;
mod unfollowed;

pub(crate) use assignment::{Hooks, assign, hook_hash};
pub(crate) use cursor::PositionRange;
pub(crate) use hook::Hook;
pub(crate) use lease::Lease;
pub(crate) use machine::Mark;
pub(crate) use overrides::Overrides;
pub(crate) use step::{CheckpointWrite, Reading, Step};
pub(crate) use unfollowed::Unfollowed;
