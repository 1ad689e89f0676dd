//! The store of the bus under test.

use std::sync::Arc;

use async_trait::async_trait;

use crate::BoxError;
use crate::bus::{Bus, BusTraits};

/// The store of the bus under test, with the means to open the bus there.
///
/// One method is required. With the others the kit can check more: checks that a store can't support are skipped, and
/// [`Report::skipped`](crate::conformance::Report::skipped) names them.
#[async_trait]
pub trait Store: Send + Sync {
    /// The expected promises of the bus, which decide which checks apply. The check `claims` compares them with
    /// [`Bus::traits`].
    fn traits(&self) -> BusTraits {
        BusTraits::new()
    }

    /// Opens the bus: for the first time, when nothing is there, or after the bus before has ended. A
    /// [shared](BusTraits::shared) bus is also opened while others are open, as a further process would.
    ///
    /// # Errors
    /// When it can't be opened: the check fails.
    async fn open(&self) -> Result<Arc<dyn Bus>, BoxError>;

    /// Ends a bus as a crash of its process at this moment would, leftovers included. Its readers and settlers are
    /// gone; it was not closed.
    async fn crash(&self, bus: Arc<dyn Bus>) {
        drop(bus);
    }

    /// Maximum number of a hook's dead letters here: a few, so that the limit is soon reached, and at least four.
    /// `None`: not checked.
    fn max_dead_letters(&self) -> Option<usize> {
        None
    }

    /// The length of an event that the bus refuses as too large. `None`: it takes events of any length.
    fn too_large(&self) -> Option<usize> {
        None
    }
}
