//! What the events of each tenant take in the log is exact, also after restarts and crashes, and when files go.

use hooks_core::{Bus, Filter, SliceBuilder, TenantId};

use super::sim::SimDisk;
use super::{End, block_on, gone, open};
use crate::durable::DurableBus;
use crate::durable::format::RECORD_BYTES;

const TENANTS: [&str; 2] = ["acme", "umbrella"];

/// The tenant and the bytes of each event, by position.
type Published = Vec<(Option<&'static str>, u64)>;

/// Publishes so many slices of three events: one of each tenant, and one of nobody.
async fn publish(bus: &DurableBus, slices: usize, published: &mut Published) {
    for _ in 0..slices {
        let mut slice = SliceBuilder::new("test");
        for tenant in [Some(TENANTS[0]), None, Some(TENANTS[1])] {
            let attribute = tenant.map(|tenant| format!(r#","tenant":"{tenant}""#)).unwrap_or_default();
            let data = "x".repeat(published.len() * 31 % 200);
            slice.push_json(format!(r#"{{"type":"a"{attribute},"data":"{data}"}}"#).as_bytes()).unwrap();
        }
        let slice = slice.finish();
        let events = slice.iter().zip([Some(TENANTS[0]), None, Some(TENANTS[1])]);
        published.extend(events.map(|(event, tenant)| (tenant, (RECORD_BYTES + event.len()) as u64)));
        bus.publish(slice).await.unwrap();
    }
}

fn counted(bus: &DurableBus) -> [Option<u64>; 2] {
    TENANTS.map(|tenant| bus.monitor().tenant_bytes(&TenantId::new(tenant).unwrap()))
}

/// Of the events that the log has.
fn expected(bus: &DurableBus, published: &Published) -> [Option<u64>; 2] {
    let first = usize::try_from(bus.info().segments[0].first).unwrap();
    TENANTS.map(|of| {
        let own = published[first..].iter().filter(|(tenant, _)| *tenant == Some(of));
        Some(own.map(|(_, bytes)| bytes).sum())
    })
}

#[test]
fn what_tenants_take_survives_restarts_and_goes_with_the_files() {
    let disk = SimDisk::default();
    let mut published = Vec::new();
    block_on(async {
        let bus = open(&disk).unwrap();
        let mut slow = End::new(&bus, "slow", Filter::all()).await;
        publish(&bus, 40, &mut published).await;
        assert_eq!(counted(&bus), [None; 2], "nobody has asked");
        bus.count_tenants().await.unwrap();
        assert_eq!(counted(&bus), expected(&bus, &published));
        publish(&bus, 20, &mut published).await;
        assert_eq!(counted(&bus), expected(&bus, &published));
        assert_eq!(bus.monitor().tenant_bytes(&TenantId::new("other").unwrap()), Some(0));
        // As a kill leaves it, and as a clean end does.
        let killed = open(&disk.after_kill()).unwrap();
        killed.count_tenants().await.unwrap();
        assert_eq!(counted(&killed), expected(&killed, &published));
        gone(killed);
        bus.0.inner.checkpoint_and_clean();
        let full = bus.info().segments.len() - 1;
        assert!(full > 2 && bus.0.inner.kept_tenants().unwrap().len() == full, "{full}");
        let all = slow.read(usize::MAX).await;
        slow.settle(&all[..90]);
        bus.0.inner.checkpoint_and_clean();
        let left = counted(&bus);
        assert!(
            left == expected(&bus, &published) && left[0] > Some(0) && bus.info().segments[0].first > 0,
            "{left:?}"
        );
        drop((slow, all));
        bus.close().await;
        gone(bus);
        for _ in 0..2 {
            let bus = open(&disk).unwrap();
            bus.count_tenants().await.unwrap();
            assert_eq!(counted(&bus), expected(&bus, &published));
            publish(&bus, 1, &mut published).await;
            assert_eq!(counted(&bus), expected(&bus, &published));
            bus.0.inner.checkpoint_and_clean();
            bus.close().await;
            gone(bus);
        }
    });
}
