//! A hook that just came is known only when its row is safe.

use hooks_core::Filter;

use super::sim::SimDisk;
use super::{End, block_on, gone, open};

/// Until then nothing may be accepted for it: a crash would forget the hook, and it would begin behind that.
#[test]
fn a_new_hook_is_known_only_when_its_row_is_safe() {
    let disk = SimDisk::default();
    let bus = open(&disk).unwrap();
    drop(block_on(End::new(&bus, "new", Filter::all())));
    let (has_begun, go_on) = disk.pause_next_sync();
    let inner = bus.0.inner.clone();
    let keeping = std::thread::spawn(move || inner.keep());
    has_begun.recv().unwrap();
    let is_new_meanwhile = bus.0.inner.bell.has_new();
    go_on.send(()).unwrap();
    keeping.join().unwrap().unwrap();
    assert!(is_new_meanwhile);
    assert!(!bus.0.inner.bell.has_new());
    gone(bus);
}
