//! The power is cut at every operation, and whatever was not synced survives or not.

use std::collections::BTreeSet;

use super::sim::{Ignored, SimDisk, Sync};
use super::workload::{GOING_ON, Plan, RETAINING, STUCK};
use super::{block_on, workload};
use crate::durable::disk::Disk as _;
use crate::durable::format::segment_name;

/// A small generator of bits, so that a failure can be repeated.
#[derive(Debug, Clone)]
struct Bits(u64);

impl Bits {
    fn next(&mut self) -> bool {
        // Xorshift (Marsaglia, 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 & 0x100 != 0
    }
}

/// Unsynced data that survives a cut: none, all, or some.
pub(super) fn images(disk: &SimDisk, seed: usize, some: usize) -> Vec<(String, SimDisk)> {
    let mut images = vec![
        ("nothing survives".to_owned(), disk.after_power_cut(|| false)),
        ("everything survives".to_owned(), disk.after_kill()),
    ];
    for number in 0..some {
        let seed = 0x9E37_79B9_7F4A_7C15u64.wrapping_mul((seed * 97 + number + 1) as u64);
        let mut bits = Bits(seed);
        images.push((format!("seed {seed}"), disk.after_power_cut(|| bits.next())));
    }
    images
}

/// The number of operations of an undisturbed workload, and its kinds of syncs.
fn undisturbed(plan: Plan) -> (usize, usize, BTreeSet<Sync>) {
    let disk = SimDisk::default();
    let promised = block_on(workload::run(plan, &disk));
    block_on(workload::check(plan, &disk.after_kill(), &promised)).unwrap();
    assert!(disk.open(&segment_name(0)).is_err(), "segments are removed on the way");
    (disk.operations(), disk.syncs(), disk.seen())
}

/// The first broken promise, when the power is cut before this operation.
fn broken_at(plan: Plan, cut: usize, ignored: Option<Ignored>, some: usize) -> Option<String> {
    let disk = SimDisk::default();
    disk.cut_at(cut);
    ignored.into_iter().for_each(|ignored| disk.ignore(ignored));
    let promised = block_on(workload::run(plan, &disk));
    images(&disk, cut, some).into_iter().find_map(|(what, image)| {
        let broken = block_on(workload::check(plan, &image, &promised)).err()?;
        Some(format!("cut before operation {cut}, {what}: {broken}"))
    })
}

fn cut_everywhere(plan: Plan, some: usize) {
    let (operations, ..) = undisturbed(plan);
    assert!(operations > 100, "{operations} operations");
    for cut in 0..=operations {
        if let Some(broken) = broken_at(plan, cut, None, some) {
            panic!("{broken}");
        }
    }
}

#[test]
fn a_power_cut_at_any_operation_breaks_no_promise() {
    cut_everywhere(GOING_ON, 3);
}

#[test]
fn a_power_cut_while_room_is_taken_from_the_past_loses_nothing_else() {
    cut_everywhere(RETAINING, 3);
}

#[test]
fn a_power_cut_while_the_oldest_events_are_given_up_loses_no_others() {
    cut_everywhere(STUCK, 3);
}

#[test]
#[ignore = "takes minutes: the same with forty times as many images"]
fn a_power_cut_at_any_operation_breaks_no_promise_looked_at_for_long() {
    cut_everywhere(GOING_ON, 120);
    cut_everywhere(RETAINING, 120);
    cut_everywhere(STUCK, 120);
}

/// The proof that the test above would notice: without any one kind of sync, a promise is broken.
#[test]
fn without_a_sync_a_promise_is_broken() {
    let plan = GOING_ON;
    let (operations, _, seen) = undisturbed(plan);
    assert_eq!(seen, BTreeSet::from([Sync::Segment, Sync::Store, Sync::Format, Sync::Names]));
    for sync in seen {
        let broken = (0..=operations).find_map(|cut| broken_at(plan, cut, Some(Ignored::Kind(sync)), 2));
        assert!(broken.is_some(), "nothing breaks without {sync:?}");
    }
}
