//! What was learned of others stays when no sink holds it, up to a limit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest;

/// What no sink holds is kept up to this many. What was forgotten is learned again.
const KEPT: usize = 1 << 16;

/// Things by what they are about, which may hold secrets and is kept as a hash.
pub(crate) struct Kept<T>(Mutex<HashMap<[u8; 32], Arc<T>>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Kept<T> {
    /// The one about this. The first caller makes it.
    pub(crate) fn of(&self, about: &[u8], make: impl FnOnce() -> T) -> Arc<T> {
        let digest = digest::digest(&digest::SHA256, about);
        let mut key = [0; 32];
        key.copy_from_slice(digest.as_ref());
        let mut things = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if things.len() >= KEPT && things.len() == things.capacity() {
            things.retain(|_, thing| Arc::strong_count(thing) > 1);
        }
        things.entry(key).or_insert_with(|| Arc::new(make())).clone()
    }
}
