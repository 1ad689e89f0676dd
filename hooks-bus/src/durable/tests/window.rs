//! Events settled out of order stay settled across a restart, up to the window.

use hooks_core::{
    Bus, Filter,
    bus::{Delivery, Read, WINDOW},
};

use super::sim::SimDisk;
use super::{End, block_on, gone, number, open, slice};

#[test]
fn a_window_full_of_settled_events_behind_one_that_is_not_survives_a_crash() {
    let disk = SimDisk::default();
    block_on(async {
        let bus = open(&disk).unwrap();
        let mut all = End::new(&bus, "all", Filter::all()).await;
        for first in (0..WINDOW + 600).step_by(600) {
            bus.publish(slice(first..first + 600)).await.unwrap();
        }
        let mut read: Vec<Delivery> = Vec::new();
        all.reader.close();
        while read.len() < WINDOW {
            assert!(matches!(all.reader.next(5000, &mut read).await, Ok(Read::Events(_))));
        }
        assert_eq!(read.len(), WINDOW, "and not one more");
        assert!(matches!(all.reader.next(5000, &mut read).await, Ok(Read::Flush)), "the window is full");
        // All but the first and every hundredth.
        all.settle(read[1..].iter().filter(|delivery| !number(delivery).is_multiple_of(100)));
        bus.sync_positions().await.unwrap();
        let crashed = disk.after_power_cut(|| false);
        drop(all);
        gone(bus);

        let bus = open(&crashed).unwrap();
        let mut all = End::new(&bus, "all", Filter::all()).await;
        let again = all.read(WINDOW / 100 + 1).await;
        let expected: Vec<usize> = (0..WINDOW).step_by(100).collect();
        assert_eq!(again.iter().map(number).collect::<Vec<_>>(), expected);
        assert_eq!(all.read(1).await.iter().map(number).collect::<Vec<_>>(), [WINDOW]);
        drop(all);
        gone(bus);
    });
}
