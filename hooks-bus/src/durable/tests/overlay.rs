//! A folder that is looked at stays as it is.

use std::sync::Arc;

use hooks_core::{Bus as _, Filter};
use proptest::prelude::*;

use super::sim::SimDisk;
use super::{End, TUNING, block_on, config, gone, open, slice};
use crate::durable::DurableBus;
use crate::durable::disk::Disk as _;
use crate::durable::hold::Hold;
use crate::durable::overlay::Overlay;

#[derive(Debug, Clone)]
enum Step {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Read(u64, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = || 0u64..20_000;
    let step = prop_oneof![
        (at(), any::<u8>(), 0usize..9000).prop_map(|(at, byte, len)| Step::Write(at, vec![byte; len])),
        at().prop_map(Step::SetLen),
        (at(), 0usize..9000).prop_map(|(at, len)| Step::Read(at, len)),
    ];
    prop::collection::vec(step, 0..30)
}

proptest! {
    /// It behaves as the disk itself would, and the disk stays as it was.
    #[test]
    fn an_overlay_is_like_the_disk_under_it(before in steps(), steps in steps()) {
        let (disk, changed) = (SimDisk::default(), SimDisk::default());
        for file in [disk.create("a").unwrap(), changed.create("a").unwrap()] {
            for step in &before {
                if let Step::Write(at, data) = step {
                    file.write_at(data, *at).unwrap();
                }
            }
        }
        let overlay = Overlay::new(Arc::new(disk.clone()));
        let (over, plain) = (overlay.open("a").unwrap(), changed.open("a").unwrap());
        let operations = disk.operations();
        for step in &steps {
            match step {
                Step::Write(at, data) => {
                    over.write_at(data, *at).unwrap();
                    plain.write_at(data, *at).unwrap();
                }
                Step::SetLen(len) => {
                    over.set_len(*len).unwrap();
                    plain.set_len(*len).unwrap();
                }
                Step::Read(at, len) => {
                    let mut buffers = [vec![1; *len], vec![2; *len]];
                    let read = over.read_at(&mut buffers[0], *at).unwrap();
                    prop_assert_eq!(read, plain.read_at(&mut buffers[1], *at).unwrap());
                    prop_assert_eq!(&buffers[0][..read], &buffers[1][..read]);
                }
            }
            prop_assert_eq!(over.len().unwrap(), plain.len().unwrap());
        }
        prop_assert_eq!(disk.operations(), operations);
    }
}

#[test]
fn names_come_and_go_in_the_overlay_alone() {
    let disk = SimDisk::default();
    disk.create("a").unwrap();
    let overlay = Overlay::new(Arc::new(disk.clone()));
    overlay.create("b").unwrap();
    assert!(overlay.create("a").is_err() && overlay.create("b").is_err());
    overlay.remove("a").unwrap();
    assert!(overlay.open("a").is_err());
    assert_eq!((overlay.list().unwrap(), disk.list().unwrap()), (vec!["b".to_owned()], vec!["a".to_owned()]));
}

/// A crash leaves a database to repair, files that nobody needs and one that is longer than it has to be.
#[test]
fn to_look_at_what_a_crash_left_changes_nothing_and_sees_the_same() {
    let disk = SimDisk::default();
    block_on(async {
        let bus = open(&disk).unwrap();
        let mut all = End::new(&bus, "all", Filter::all()).await;
        for first in (0..60).step_by(3) {
            bus.publish(slice(first..first + 3)).await.unwrap();
        }
        let read = all.read(40).await;
        all.settle(&read);
        bus.sync_positions().await.unwrap();
        let crashed = disk.after_power_cut(|| true);
        drop(all);
        gone(bus);

        let looks = DurableBus::on(Arc::new(Overlay::new(Arc::new(crashed.clone()))), &config(), TUNING, Hold::Always);
        let looks = looks.unwrap();
        let seen = looks.info();
        assert_eq!((seen.hooks[0].position, seen.end), (40, 60));
        looks.hooks().forget(&super::hook("all")).await.unwrap();
        looks.publish(slice([60])).await.unwrap();
        gone(looks);
        assert_eq!((crashed.operations(), crashed.syncs()), (0, 0));

        let opened = open(&crashed).unwrap();
        assert_eq!(opened.info(), seen);
        gone(opened);
    });
}
