//! The journal of the run, with the time since the start.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines that people read while it runs.
#[derive(Debug)]
pub(super) struct Journal {
    started: Instant,
    lines: Mutex<Vec<(Duration, String)>>,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), lines: Mutex::default() }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn say(&self, text: String) {
        let at = self.elapsed();
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push((at, text));
    }

    pub(super) fn all(&self) -> Vec<(Duration, String)> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
