//! A hook that just came is known only when its checkpoint is safe.

use std::io::ErrorKind;
use std::sync::Arc;

use hooks_core::{Bus, BusError, Filter, Position, StartAt, bus::Expected};

use super::sim::{Call, Fault, SimDisk};
use super::{End, block_on, gone, hook, open, slice};
use crate::durable::DurableBus;

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

#[test]
fn where_a_hook_began_is_known_until_it_is_forgotten() {
    let disk = SimDisk::default();
    let bus = open(&disk).unwrap();
    let began = |bus: &DurableBus, id: &str| block_on(bus.hooks().began(&hook(id))).unwrap().map(Position::get);
    block_on(bus.publish(slice([1, 2, 3]))).unwrap();
    drop(block_on(End::new(&bus, "new", Filter::all())));
    drop(block_on(End::earliest(&bus, "early")));
    assert_eq!(began(&bus, "early"), Some(0), "it has just come");
    block_on(bus.hooks().define(&hook("defined"), "{}", Expected::Any, StartAt::End)).unwrap();
    block_on(bus.publish(slice([4]))).unwrap();
    assert_eq!(began(&bus, "new"), Some(3), "no event is accepted before it is kept");
    block_on(bus.hooks().define(&hook("new"), "{}", Expected::Any, StartAt::Earliest)).unwrap();
    gone(bus);
    let bus = open(&disk.after_power_cut(|| false)).unwrap();
    let all = ["new", "early", "defined", "nobody"].map(|id| began(&bus, id));
    assert_eq!(all, [Some(3), Some(0), Some(3), None]);
    drop(block_on(End::new(&bus, "new", Filter::all())));
    block_on(bus.publish(slice([5]))).unwrap();
    assert_eq!(began(&bus, "new"), Some(3), "it goes on");
    block_on(bus.unsubscribe(&hook("new"))).unwrap();
    assert!(block_on(bus.hooks().forget(&hook("new"))).unwrap());
    assert_eq!(began(&bus, "new"), None);
    drop(block_on(End::new(&bus, "new", Filter::all())));
    block_on(bus.publish(slice([6]))).unwrap();
    assert_eq!(began(&bus, "new"), Some(5), "it is another one");
}

/// It came and went before a checkpoint.
#[test]
fn one_that_is_forgotten_at_once_has_no_beginning() {
    let disk = SimDisk::default();
    let bus = open(&disk).unwrap();
    drop(block_on(End::new(&bus, "new", Filter::all())));
    block_on(bus.unsubscribe(&hook("new"))).unwrap();
    block_on(bus.hooks().forget(&hook("new"))).unwrap();
    bus.0.inner.checkpoint().unwrap();
    assert_eq!(block_on(bus.hooks().began(&hook("new"))).unwrap(), None);
}
