//! Descriptions of a folder for people, whether a bus has it open or not.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use hooks_core::{HookId, timestamp};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::format::segment_name;
use super::inner::Inner;
use super::log::Part;

/// A description of a folder's contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogInfo {
    /// The folder.
    pub dir: PathBuf,
    /// The log's id.
    pub log: Uuid,
    /// Version of the files' format.
    pub format: u32,
    /// The position behind the last event.
    pub end: u64,
    /// Its files, oldest first.
    pub segments: Vec<SegmentInfo>,
    /// What of it no hook needs any more.
    pub retained: RetainedInfo,
    /// Its hooks, by name.
    pub hooks: Vec<HookInfo>,
    /// Its damage, as far as visible without reading all of it.
    pub damage: Vec<String>,
}

/// The files of the log that no hook needs any more: they go when they are older than `retain`, or sooner for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct RetainedInfo {
    /// Events in them.
    pub events: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// The time when the oldest was begun, in seconds since 1970, where known. RFC 3339 in JSON.
    #[serde(serialize_with = "time")]
    pub since: Option<u64>,
}

impl RetainedInfo {
    /// Of these files, when every hook has settled every event before a position.
    pub(super) fn new(segments: &[SegmentInfo], passed: u64) -> Self {
        let kept = segments.split_last().map_or(&[][..], |(_, older)| older);
        let kept = &kept[..kept.partition_point(|segment| segment.first + segment.events <= passed)];
        Self {
            events: kept.iter().map(|segment| segment.events).sum(),
            bytes: kept.iter().map(|segment| segment.bytes).sum(),
            since: kept.first().and_then(|oldest| oldest.begun),
        }
    }
}

/// One file of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentInfo {
    /// Its name in the folder.
    pub file: String,
    /// The position of its first event.
    pub first: u64,
    /// Events in it.
    pub events: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// The time when it was begun, in seconds since 1970, where known. RFC 3339 in JSON.
    #[serde(serialize_with = "time")]
    pub begun: Option<u64>,
}

fn time<S: Serializer>(seconds: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    let at = seconds.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    at.map(timestamp).serialize(serializer)
}

/// A hook's place in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HookInfo {
    /// Its name.
    pub hook: String,
    /// Every event before this position is settled.
    pub position: u64,
    /// Events from there to the end, whether they match its filter or not: as many as
    /// [`BusMonitor::lag`](hooks_core::bus::BusMonitor::lag) counts, or more. 0 for a hook that has caught up.
    pub to_end: u64,
    /// Number of its dead letters.
    pub dead_letters: u64,
}

pub(super) fn of(inner: &Inner, log: Uuid) -> LogInfo {
    let end = inner.dispatched();
    let hook = |hook: HookId| {
        let position = inner.hooks.committed(&hook).unwrap_or(end);
        let dead_letters = inner.facts.dead_letters(&hook);
        HookInfo { hook: hook.to_string(), position, to_end: end.saturating_sub(position), dead_letters }
    };
    let segments: Vec<SegmentInfo> = inner.storage.log.parts().iter().map(SegmentInfo::from).collect();
    let hooks: Vec<HookInfo> = inner.known_hooks().into_iter().map(hook).collect();
    LogInfo {
        dir: inner.storage.dir.clone(),
        log,
        format: super::format::VERSION,
        end,
        retained: RetainedInfo::new(&segments, passed(&hooks, end)),
        segments,
        hooks,
        damage: inner.storage.damage.clone(),
    }
}

/// Every hook has settled every event before this position.
pub(super) fn passed(hooks: &[HookInfo], end: u64) -> u64 {
    hooks.iter().map(|hook| hook.position).min().unwrap_or(end)
}

impl From<&Part> for SegmentInfo {
    fn from(part: &Part) -> Self {
        Self {
            file: segment_name(part.segment.first),
            first: part.segment.first,
            events: part.end.saturating_sub(part.segment.first),
            bytes: part.segment.size(),
            begun: part.segment.begun(),
        }
    }
}
