//! The conformance kit for buses on a disk whose power is cut.

use std::sync::Arc;

use hooks_core::conformance::bus::{Store, check_only, names};
use hooks_core::{BoxError, Bus, async_trait, bus::BusTraits};
use parking_lot::Mutex;

use super::sim::SimDisk;
use super::{block_on, open};

struct Simulated(Mutex<SimDisk>);

#[async_trait]
impl Store for Simulated {
    fn traits(&self) -> BusTraits {
        BusTraits::new().outlives_process().keeps_events().atomic().counts_tenants()
    }

    async fn open(&self) -> Result<Arc<dyn Bus>, BoxError> {
        Ok(Arc::new(open(&self.0.lock())?))
    }

    async fn crash(&self, bus: Arc<dyn Bus>) {
        let crashed = self.0.lock().after_power_cut(|| false);
        drop(bus);
        *self.0.lock() = crashed;
    }
}

#[test]
fn conforms() {
    // One that opens a folder locks it, which this disk can't; and a full window takes long on it.
    let checks: Vec<&str> = names().filter(|name| !["one_at_a_time", "window"].contains(name)).collect();
    block_on(async {
        let report = check_only(&checks, async || Simulated(Mutex::default())).await;
        report.assert_passed();
        let shared = ["takeover", "takeover_after_crash", "sharing", "shared_overrides", "shared_definitions"];
        assert_eq!(report.skipped(), [&["dead_letter_limit"][..], &shared].concat(), "{report}");
    });
}
