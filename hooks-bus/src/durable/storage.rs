//! The files of the bus: the log, the database beside it, and whether they work.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{BusError, HumanDuration};

use super::age::{self, Clock};
use super::disk::Disk;
use super::health::Health;
use super::log::Log;
use super::recover::Found;
use super::store::Store;
use super::tuning::Tuning;

/// The files of the bus.
#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) dir: PathBuf,
    pub(crate) log: Arc<Log>,
    pub(crate) store: Store,
    /// Tells the age of the log's files.
    pub(crate) clock: Clock,
    pub(crate) health: Health,
    /// Damage found in the files when they were opened.
    pub(crate) damage: Vec<String>,
}

impl Storage {
    pub(crate) fn new(disk: &Arc<dyn Disk>, dir: PathBuf, store: Store, found: Found, tuning: Tuning) -> Self {
        let log = Arc::new(Log::new(disk.clone(), found.segments, found.end));
        if !found.damage.is_empty() {
            log.set_damaged();
        }
        let is_ahead = age::check_future(&log, &dir, (tuning.clock)());
        let (clock, health, damage) = (Clock::new(tuning), Health::default(), found.damage);
        let storage = Self { dir, log, store, clock, health, damage };
        if is_ahead {
            storage.save_begun();
        }
        storage
    }

    /// The time in seconds since 1970. Moves the times of files along if the clock was set.
    pub(crate) fn now(&self) -> u64 {
        let time = self.clock.time();
        if let Some(jump) = self.clock.jumped(time) {
            self.log.move_along(jump, time);
            self.save_begun();
            let by = HumanDuration::new(Duration::from_secs(jump.unsigned_abs()));
            let way = if jump > 0 { "forward" } else { "back" };
            tracing::warn!(dir = %self.dir.display(), %by, "the clock was set {way}: the age of events stays the same");
        }
        time
    }

    /// Stores the times when files were begun, because they differ from the headers.
    fn save_begun(&self) {
        if let Err(error) = self.store.set_begun(&self.log.begun()) {
            tracing::error!(dir = %self.dir.display(), %error, "can't store the age of events: after a restart they count as too old or too new, by as much as the clock was set");
        }
    }

    /// The error of an operation on the files.
    pub(crate) fn unavailable(&self, what: &str, error: &dyn std::fmt::Display) -> BusError {
        BusError::Unavailable(format!("can't {what} in `{}`: {error}", self.dir.display()))
    }
}
