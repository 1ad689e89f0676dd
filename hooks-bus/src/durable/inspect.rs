//! Looks into folders that no process has open, and repairs them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use hooks_core::HookId;
use serde::Serialize;

use super::DurableBus;
use super::checkpoint::Checkpoint;
use super::dead_letter_table;
use super::disk::Disk;
use super::error::OpenError;
use super::folder::{self, Folder};
use super::format::{segment_first, segment_name};
use super::info::{self, HookInfo, LogInfo, RetainedInfo, SegmentInfo};
use super::log::{Log, Part};
use super::open::{self, Opened};
use super::overlay::Overlay;
use super::recover::{Found, scan};
use super::segment::{Gap, PIECE};
use super::store;

/// The result of reading all of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Number of intact events.
    pub events: u64,
    /// Number of positions whose events are damaged or missing.
    pub lost: u64,
    /// The damage, with the place of each.
    pub damage: Vec<String>,
}

impl DurableBus {
    /// True if a folder has a log, even a damaged one.
    pub fn exists(dir: &Path) -> bool {
        let is_segment = |name: &String| segment_first(name).is_some();
        dir.join(open::FORMAT).exists() || folder::names(dir).is_ok_and(|names| names.iter().any(is_segment))
    }

    /// Describes a folder that no process has open, without changing it.
    ///
    /// # Errors
    /// As for [`open`](Self::open), except that a log whose end is gone is described, too.
    pub fn inspect(dir: &Path) -> Result<LogInfo, OpenError> {
        let (disk, opened) = look(dir)?;
        let Opened { store, known, found } = opened;
        let dead_letters = store.read(dead_letter_table::totals).map_err(|error| unusable(dir, &error))?;
        let dead_letters: HashMap<HookId, u64> =
            dead_letters.into_iter().map(|(hook, totals)| (hook, totals.events)).collect();
        let end = found.end.max(known.end);
        let log = Log::new(disk, found.segments, end);
        let hook = |(hook, checkpoint): (HookId, Checkpoint)| {
            let position = match checkpoint {
                Checkpoint::AtEnd => known.end,
                Checkpoint::Behind(behind) => behind.raised(known.floor).committed,
            };
            let dead_letters = dead_letters.get(&hook).copied().unwrap_or_default();
            HookInfo { hook: hook.to_string(), position, to_end: end.saturating_sub(position), dead_letters }
        };
        let segments: Vec<SegmentInfo> = log.parts().iter().map(SegmentInfo::from).collect();
        let hooks: Vec<HookInfo> = known.hooks.into_iter().map(hook).collect();
        Ok(LogInfo {
            dir: dir.to_owned(),
            log: known.log,
            format: super::format::VERSION,
            end,
            retained: RetainedInfo::new(&segments, info::passed(&hooks, end)),
            segments,
            hooks,
            damage: found.damage,
        })
    }

    /// Reads every event of a folder that no process has open, and finds damage. Changes nothing.
    ///
    /// # Errors
    /// As for [`inspect`](Self::inspect).
    pub fn verify(dir: &Path) -> Result<Verified, OpenError> {
        let (disk, Opened { known, found, .. }) = look(dir)?;
        let log = Log::new(disk, found.segments, found.end.max(known.end));
        let mut verified = Verified { events: 0, lost: 0, damage: found.damage };
        // Files before the first one are missing.
        verified.lost += log.begin().saturating_sub(known.floor);
        for part in log.parts() {
            read_all(dir, &part, &mut verified)?;
        }
        verified.damage.dedup();
        Ok(verified)
    }

    /// Repairs a folder whose newest events are gone, by accepting the loss: the log goes on behind the last position
    /// that was ever safe. Returns the lost positions, from the first to before the second; `None` if there was
    /// nothing to repair.
    ///
    /// # Errors
    /// When another process has the folder, or it can't be written.
    pub fn repair(dir: &Path) -> Result<Option<(u64, u64)>, OpenError> {
        let (disk, Opened { known, found, .. }) = open(dir, || Ok(Arc::new(Folder::open(dir)?)))?;
        if found.end >= known.end {
            return Ok(None);
        }
        let failed = |source| OpenError::io(dir, "repair", source);
        let name = segment_name(known.end);
        disk.create(&name).map_err(failed)?;
        disk.sync_names().map_err(failed)?;
        tracing::warn!(dir = %dir.display(), from = found.end, to = known.end - 1, "repaired: events at these positions are lost");
        Ok(Some((found.end, known.end)))
    }
}

/// Opens a folder without changing it.
fn look(dir: &Path) -> Result<(Arc<dyn Disk>, Opened), OpenError> {
    open(dir, || Ok(Arc::new(Overlay::new(Arc::new(Folder::look(dir)?)))))
}

/// Opens a folder that must have a log.
fn open(
    dir: &Path,
    disk: impl FnOnce() -> Result<Arc<dyn Disk>, OpenError>,
) -> Result<(Arc<dyn Disk>, Opened), OpenError> {
    if !DurableBus::exists(dir) {
        let none = || std::io::Error::new(std::io::ErrorKind::NotFound, "it has no file `format`");
        // If this user may not list the folder, it may have one: report that error.
        return Err(OpenError::io(dir, "find a log in", folder::names(dir).err().unwrap_or_else(none)));
    }
    let disk = disk()?;
    let names = disk.list().map_err(|source| OpenError::io(dir, "list the files in", source))?;
    let has_store = names.iter().any(|name| name == store::FILE);
    let (store, known) = open::store(&disk, dir)?;
    let mut found: Found = scan(&*disk, dir, &known)?;
    if !has_store {
        found.damage.push(format!("`{}`, the database of the hooks' positions, is missing", store::FILE));
    }
    if found.end < known.end {
        found.damage.push(open::newest_gone(found.end, known.end));
    }
    Ok((disk, Opened { store, known, found }))
}

fn read_all(dir: &Path, part: &Part, verified: &mut Verified) -> Result<(), OpenError> {
    let name = segment_name(part.segment.first);
    let mut place = part.segment.begin();
    while place.position < part.end {
        let piece = part.segment.read(place, part.end, PIECE).map_err(|source| OpenError::io(dir, "read", source))?;
        verified.events += piece.records().count() as u64;
        for Gap(from, to) in piece.gaps.iter().filter(|gap| gap.0 < gap.1) {
            verified.lost += to - from;
            let (last, at) = (to - 1, place.offset);
            verified
                .damage
                .push(format!("`{name}`: positions {from} to {last} are damaged or missing, from byte {at} on"));
        }
        place = piece.next;
    }
    Ok(())
}

fn unusable(dir: &Path, error: &hooks_core::BusError) -> OpenError {
    OpenError::io(dir, "use the database in", std::io::Error::other(error.to_string()))
}
