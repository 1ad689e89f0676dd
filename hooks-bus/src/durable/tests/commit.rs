//! One commit that goes over the end of a segment.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::sim::{Ignored, SimDisk};
use super::slice;
use crate::durable::append::{Appender, slice_bytes};
use crate::durable::disk::Disk;
use crate::durable::log::Log;
use crate::durable::recover::scan;
use crate::durable::store::Known;

/// Appends several slices, as many as go into several segments, as one commit.
fn commit(disk: &SimDisk) -> std::io::Result<u64> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let log = Arc::new(Log::new(shared.clone(), Vec::new(), 0));
    let mut appender = Appender::new(shared, log, Uuid::nil(), 4096);
    for first in (0..40).step_by(2) {
        let events = slice(first..first + 2);
        if let Some(size) = appender.grows_by(slice_bytes(&events), false) {
            appender.begin(size, 1).map_err(|error| std::io::Error::other(format!("{error:?}")))?;
        }
        appender.append(&[events], 1)?;
    }
    appender.commit()?;
    Ok(appender.next())
}

/// The end of the log, and whether all before it is there.
fn end(disk: &SimDisk) -> (u64, bool) {
    let found = scan(disk, Path::new("/simulated"), &Known::new(Uuid::nil())).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let log = Log::new(disk, found.segments, found.end);
    let is_whole = log.parts().iter().all(|part| {
        let mut place = part.segment.begin();
        while place.position < part.end {
            let piece = part.segment.read(place, part.end, 1 << 16).unwrap();
            if !piece.gaps.is_empty() {
                return false;
            }
            place = piece.next;
        }
        true
    });
    (found.end, is_whole && found.damage.is_empty())
}

#[test]
fn every_single_sync_of_a_commit_is_needed() {
    let disk = SimDisk::default();
    let committed = commit(&disk).unwrap();
    assert_eq!(end(&disk.after_power_cut(|| false)), (committed, true));
    let syncs = disk.syncs();
    assert!(syncs > 5, "{syncs} syncs");
    // Only the first segment is begun with nothing to make safe before.
    let mut useless = Vec::new();
    for number in 0..syncs {
        let disk = SimDisk::default();
        disk.ignore(Ignored::Nth(number));
        commit(&disk).unwrap();
        if end(&disk.after_power_cut(|| false)) == (committed, true) {
            useless.push(number);
        }
    }
    // Syncing names makes all names so far survive, so only the last one shows alone.
    let names = |number: &usize| number.is_multiple_of(2) && *number < syncs - 2;
    assert!(useless.iter().all(names), "{useless:?} of {syncs}");
}

#[test]
fn a_power_cut_in_the_middle_of_a_commit_leaves_whole_slices_and_no_holes() {
    let disk = SimDisk::default();
    commit(&disk).unwrap();
    for cut in 0..disk.operations() {
        let disk = SimDisk::default();
        disk.cut_at(cut);
        commit(&disk).unwrap_err();
        for survives in [false, true] {
            let (end, is_whole) = end(&disk.after_power_cut(|| survives));
            assert!(is_whole && end % 2 == 0, "cut before operation {cut}: ends at {end}");
        }
    }
}
