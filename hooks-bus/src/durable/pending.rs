//! A hook's unsettled events.

use std::time::SystemTime;

use super::cursor::PositionRange;
use crate::buffer::budget::Amount;

/// A hook's unsettled events: in flight, queued, or still to be scanned.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) in_flight: Amount,
    pub(crate) oldest: Option<SystemTime>,
    pub(crate) queued: Vec<PositionRange>,
    pub(crate) scans_from: Option<u64>,
}

impl From<u64> for Pending {
    fn from(position: u64) -> Self {
        Self { in_flight: Amount::default(), oldest: None, queued: Vec::new(), scans_from: Some(position) }
    }
}
