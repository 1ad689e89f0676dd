//! Events that are too old are given up, and counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hooks_core::{Bus, DropReason, Filter, Span};

use super::sim::SimDisk;
use super::{CLOCK, End, TUNING, block_on, config, number, slice};
use crate::durable::DurableBus;

#[test]
fn what_is_older_than_max_age_is_given_up_a_segment_at_a_time() {
    let mut config = config();
    config.max_age = Some(Span(Duration::from_secs(100)));
    let bus = DurableBus::on(Arc::new(SimDisk::default()), &config, TUNING).unwrap();
    block_on(async {
        let mut slow = End::new(&bus, "slow", Filter::types(["test.0"])).await;
        for round in 0..20 {
            bus.publish(&slice(round * 3..round * 3 + 3)).await.unwrap();
            CLOCK.fetch_add(10, Ordering::Relaxed);
            bus.0.inner.expire().unwrap();
        }
        // Of 200 seconds the last 100 are there, and at most a quarter more that shares a segment with them.
        let left: Vec<usize> = slow.read(usize::MAX).await.iter().map(number).collect();
        let dropped = slow.ledger.counts().dropped_for(DropReason::Expired) as usize;
        assert!((7..=10).contains(&dropped), "{dropped} dropped, {left:?} left");
        assert_eq!(left, (dropped * 3..60).step_by(3).collect::<Vec<_>>());
        assert!(slow.ledger.counts().balances());
    });
}
