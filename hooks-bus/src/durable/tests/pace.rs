//! When positions are kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hooks_core::Bus as _;
use hooks_test::LATE;

use super::sim::SimDisk;
use super::{DurableBus, End, HOUR, Hold, Pace, TUNING, Tuning, block_on, config, gone, open, slice};

/// The position of a hook if the power were cut now.
fn kept(disk: &SimDisk, hook: &str) -> u64 {
    let bus = open(&disk.after_power_cut(|| false)).unwrap();
    let position = bus.info().hooks.iter().find(|info| info.hook == hook).map(|info| info.position);
    gone(bus);
    position.unwrap()
}

/// A process that is killed again and again gets on, however long changes are gathered.
#[test]
fn the_first_settled_batch_of_each_hook_is_kept_at_once() {
    let disk = SimDisk::default();
    let pace = Pace { gather: HOUR, first: Duration::ZERO, expiry: HOUR };
    let bus = DurableBus::on(Arc::new(disk.clone()), &config(), Tuning { pace, ..TUNING }, Hold::UntilPublished);
    let bus = bus.unwrap();
    let mut hooks = ["a", "b"].map(|hook| (hook, block_on(End::earliest(&bus, hook))));
    block_on(bus.publish(slice(0..9))).unwrap();
    for (hook, end) in &mut hooks {
        let read = block_on(end.take(3));
        assert_eq!(kept(&disk, hook), 0);
        end.settle(&read);
        let begin = Instant::now();
        while kept(&disk, hook) < 3 {
            assert!(begin.elapsed() < LATE, "the position of {hook} is not kept");
            std::thread::yield_now();
        }
    }
    drop(hooks);
    gone(bus);
}
