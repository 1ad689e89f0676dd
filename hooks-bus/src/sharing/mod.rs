//! What buses have in common whose hooks several instances share: one of them owns each hook, by a lease and by a
//! revision of the hook's entry. No I/O but for the name of the machine, and whether processes on it have ended.

mod assignment;
mod backoff;
mod cursor;
mod hook;
mod lease;
mod machine;
mod name;
mod overrides;
mod seek;
mod step;
mod unfollowed;

pub(crate) use assignment::{Hooks, assign, hook_hash};
pub(crate) use backoff::reconnect_delay;
pub(crate) use cursor::PositionRange;
pub(crate) use hook::Hook;
pub(crate) use lease::Lease;
pub(crate) use machine::Mark;
pub(crate) use name::instance;
pub(crate) use overrides::Overrides;
pub(crate) use seek::{Place, raised, ranges_before, ranges_behind};
pub(crate) use step::{CheckpointWrite, Reading, Step};
pub(crate) use unfollowed::Unfollowed;
