//! The lag of a hook that scans the log is an upper bound, and close.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use hooks_core::{Bus, ByteSize, Filter, Lag};

use super::sim::SimDisk;
use super::{End, TUNING, block_on, config, gone, hook, slice};
use crate::durable::DurableBus;
use crate::durable::config::DurableConfig;
use crate::durable::hold::Hold;
use crate::durable::tuning::Tuning;

/// The first time of the clock, in seconds since 1970.
const BEGIN: u64 = 1_000_000;

/// Seconds from one call to the next.
const BETWEEN: u64 = 45;

static NOW: AtomicU64 = AtomicU64::new(BEGIN);

fn opened(disk: &SimDisk, segment_size: u64) -> DurableBus {
    let config = DurableConfig { segment_size: ByteSize::new(segment_size), ..config() };
    let now = || NOW.load(Ordering::Relaxed);
    let tuning = Tuning { clock: now, steady: now, ..TUNING };
    DurableBus::on(Arc::new(disk.clone()), &config, tuning, Hold::UntilPublished).unwrap()
}

const CALLS: usize = 200;

/// Checks the lag of a hook that settled the first event of `done` calls of three. Bytes may be up to `more` too many.
fn check(lag: &Lag, done: usize, more: usize) {
    assert!(!lag.exact);
    let all = slice(0..CALLS * 3);
    let from = all.len() - lag.events as usize;
    assert!(from <= done * 3 && from + 3 > done * 3, "from {from} on, {done} are done");
    let bytes: usize = all[from..].iter().map(|event| event.len()).sum();
    assert!((bytes..=bytes + more).contains(&(lag.bytes as usize)), "{} of {bytes}", lag.bytes);
}

/// Seconds by which the lag's time may be earlier than that of the oldest pending event.
fn early(lag: &Lag) -> u64 {
    let from = CALLS as u64 * 3 - lag.events;
    let accepted = UNIX_EPOCH + Duration::from_secs(BEGIN + from / 3 * BETWEEN);
    accepted.duration_since(lag.oldest.unwrap()).expect("not after it was accepted").as_secs()
}

#[test]
fn a_hook_that_scans_is_at_most_as_far_behind_as_is_said() {
    for segment_size in [64 << 10, 1 << 20] {
        NOW.store(BEGIN, Ordering::Relaxed);
        let disk = SimDisk::default();
        let bus = opened(&disk, segment_size);
        block_on(async {
            let mut third = End::new(&bus, "third", Filter::types(["test.0"])).await;
            for call in 0..CALLS {
                bus.publish(slice(call * 3..call * 3 + 3)).await.unwrap();
                NOW.fetch_add(BETWEEN, Ordering::Relaxed);
            }
            let mut done = 0;
            for more in [0, 30, 70] {
                let read = third.read(more).await;
                third.settle(&read);
                done += more;
                let lag = bus.monitor().lag(&hook("third")).unwrap();
                check(&lag, done, 4 << 10);
                assert!(early(&lag) <= 60 + BETWEEN, "{} s too early", early(&lag));
            }
            bus.sync_positions().await.unwrap();
        });
        gone(bus);
        let lag = opened(&disk, segment_size).monitor().lag(&hook("third")).unwrap();
        check(&lag, 100, 20 << 10);
        let _ = early(&lag);
    }
}
