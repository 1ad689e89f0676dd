//! Counts requests to publish by the status of their answers.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Requests to publish, counted by the status of their answers.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<BTreeMap<u16, u64>>);

impl Requests {
    /// The number of requests by the status of their answer.
    pub(crate) fn answers(&self) -> BTreeMap<u16, u64> {
        self.0.lock().clone()
    }

    pub(crate) fn count(&self, status: u16) {
        *self.0.lock().entry(status).or_default() += 1;
    }
}
