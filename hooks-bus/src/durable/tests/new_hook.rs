//! A hook that just came is known only when its checkpoint is safe.

use std::io::ErrorKind;
use std::sync::Arc;

use hooks_core::{Bus, BusError, Filter};

use super::sim::{Call, Fault, SimDisk};
use super::{End, block_on, gone, open, slice};

/// Until then nothing may be accepted for it: a crash would forget the hook, and it would begin behind that.
#[test]
fn a_new_hook_is_known_only_when_its_checkpoint_is_safe() {
    let disk = SimDisk::default();
    let bus = open(&disk).unwrap();
    drop(block_on(End::new(&bus, "new", Filter::all())));
    let (has_begun, go_on) = disk.pause_next_sync();
    let inner = bus.0.inner.clone();
    let checkpointing = std::thread::spawn(move || inner.checkpoint());
    has_begun.recv().unwrap();
    let is_unsaved_before_the_sync = bus.0.inner.dirty.has_unsaved_hooks();
    go_on.send(()).unwrap();
    checkpointing.join().unwrap().unwrap();
    assert!(is_unsaved_before_the_sync);
    assert!(!bus.0.inner.dirty.has_unsaved_hooks());
    gone(bus);
}

/// They are in the log, but after a crash the hook would begin behind them.
#[test]
fn events_of_a_hook_that_could_not_be_made_known_are_not_accepted() {
    let disk = SimDisk::default();
    let bus = Arc::new(open(&disk).unwrap());
    block_on(bus.publish(slice([1]))).unwrap();
    let (has_begun, go_on) = disk.pause_next_sync();
    let publisher = bus.clone();
    let publishing = std::thread::spawn(move || block_on(publisher.publish(slice([2]))));
    has_begun.recv().unwrap();
    let _new = block_on(End::new(&*bus, "new", Filter::all()));
    disk.fail(Fault { at: 0, times: usize::MAX, calls: &[Call::Write], kind: ErrorKind::StorageFull });
    go_on.send(()).unwrap();
    let answer = publishing.join().unwrap();
    assert!(matches!(&answer, Err(BusError::Unavailable(why)) if why.contains("publish them again")), "{answer:?}");
}
