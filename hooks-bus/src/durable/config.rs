//! Settings of the durable bus.

use std::path::PathBuf;
use std::time::Duration;

use hooks_core::{ByteSize, ConfigProblem, HumanDuration};
use serde::{Deserialize, Serialize};

use super::dead_letter_table::MAX_OVERHEAD;
use super::error::OpenError;
use crate::duplicates::{self, DuplicateLimits};

/// Keeps events on disk, in one log that all hooks share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DurableConfig {
    /// The folder of the log. It is made when it is not there. One process has it at a time. A relative path begins
    /// at the folder of the config file.
    #[serde(default = "dir")]
    pub dir: PathBuf,
    /// Size of the files that the log is made of. Each takes its room on the disk when it is begun, and goes as a whole.
    /// At least 4KiB.
    #[serde(default = "segment_size")]
    pub segment_size: ByteSize,
    /// Most bytes of log on the disk. At least two segments. What is published at once may take half of it.
    #[serde(default = "max_bytes")]
    pub max_bytes: ByteSize,
    /// Events stay readable this long, also when every hook has settled them: for new hooks that begin in the past. Room
    /// that is needed for new events is taken from them first. A whole segment goes at a time, once a newer one was
    /// begun. `"0s"`: a segment goes as soon as every hook is done with it.
    #[serde(default = "retain")]
    pub retain: HumanDuration,
    /// Events older than this are dropped, delivered or not; a whole segment at a time, once a newer one
    /// was begun. Not set: never.
    #[serde(default)]
    pub max_age: Option<HumanDuration>,
    /// The policy at `max_bytes`. Disabled hooks lose their events first.
    #[serde(default)]
    pub on_full: OnFull,
    /// An event whose `source` and `id` one had that was accepted this long ago, or less, is accepted and not taken
    /// again, if the publisher chose the id; also after a restart, as far as the log has the first one. At least 1s.
    /// `"0s"`: every event is taken.
    #[serde(default = "duplicates::window")]
    pub duplicate_window: HumanDuration,
    /// Most ids that are remembered for it, at about 30 bytes each. When more come within the window, it is shorter.
    #[serde(default = "duplicates::ids")]
    pub duplicate_ids: u32,
    /// Bounds of the dead letters of each hook.
    #[serde(default)]
    pub dead_letters: DeadLetterLimits,
    /// Most bytes of events in the memory of the process, for all hooks together. Hooks that fall
    /// further behind read from the disk.
    #[serde(default = "max_memory")]
    pub max_memory: ByteSize,
}

/// The policy of a full log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnFull {
    /// Publishing is refused until the slowest hook has caught up.
    #[default]
    Refuse,
    /// The oldest segment is removed. Events that a hook loses with it count as dropped (`overflow`).
    DropOldest,
}

/// Bounds of the dead letters of one hook. At either of them the hook is held until some are replayed
/// or dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetterLimits {
    /// Most events.
    pub max_events: u64,
    /// Most bytes, reasons included.
    pub max_bytes: ByteSize,
}

impl Default for DeadLetterLimits {
    fn default() -> Self {
        Self { max_events: 10_000, max_bytes: ByteSize::new(64 << 20) }
    }
}

fn dir() -> PathBuf {
    "hooks-data".into()
}

fn segment_size() -> ByteSize {
    ByteSize::new(64 << 20)
}

fn max_bytes() -> ByteSize {
    ByteSize::new(10 << 30)
}

fn retain() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(24 * 60 * 60))
}

fn max_memory() -> ByteSize {
    ByteSize::new(256 << 20)
}

impl DurableConfig {
    /// The defaults, in this folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_size: segment_size(),
            max_bytes: max_bytes(),
            retain: retain(),
            max_age: None,
            on_full: OnFull::default(),
            duplicate_window: duplicates::window(),
            duplicate_ids: duplicates::ids(),
            dead_letters: DeadLetterLimits::default(),
            max_memory: max_memory(),
        }
    }

    pub(crate) fn duplicates(&self) -> DuplicateLimits {
        DuplicateLimits { window: self.duplicate_window, ids: self.duplicate_ids }
    }

    /// Settings that are out of range or contradict each other: the path of each, and the problem.
    pub fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if self.dir.as_os_str().is_empty() {
            problems.push(ConfigProblem::new("dir", "is empty: name a folder".to_owned()));
        }
        if self.segment_size.bytes() < 4096 {
            problems.push(ConfigProblem::new("segment_size", format!("{} is less than 4KiB", self.segment_size)));
        }
        if self.segment_size.bytes() > 1 << 32 {
            problems.push(ConfigProblem::new("segment_size", format!("{} is more than 4GiB", self.segment_size)));
        }
        if self.max_bytes.bytes() < self.segment_size.bytes().saturating_mul(2) {
            let need = ByteSize::new(self.segment_size.bytes().saturating_mul(2));
            problems.push(ConfigProblem::new(
                "max_bytes",
                format!(
                    "{} is less than two segments: raise it to at least {need}, or lower segment_size",
                    self.max_bytes
                ),
            ));
        }
        if self.max_age.is_some_and(|age| age.get().as_secs() == 0) {
            problems.push(ConfigProblem::new("max_age", "must be at least 1s".to_owned()));
        }
        if !self.retain.get().is_zero() && self.retain.get().as_secs() == 0 {
            problems.push(ConfigProblem::new("retain", "must be 0s, or at least 1s".to_owned()));
        }
        if self.dead_letters.max_events == 0 {
            problems.push(ConfigProblem::new("dead_letters.max_events", "must be at least 1".to_owned()));
        }
        if self.largest_event() == 0 {
            let (max, need) = (self.dead_letters.max_bytes, ByteSize::new(MAX_OVERHEAD as u64));
            problems.push(ConfigProblem::new(
                "dead_letters.max_bytes",
                format!("{max} leaves no room for an event beside its reason, up to {need}"),
            ));
        }
        problems.extend(self.duplicates().problems());
        problems
    }

    /// Bytes of the longest event that fits among a hook's dead letters. The bus refuses longer ones, because a hook
    /// whose receiver rejects one could not go on.
    pub fn largest_event(&self) -> usize {
        self.dead_letters.max_bytes.get().saturating_sub(MAX_OVERHEAD)
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        match self.problems().into_iter().next() {
            Some(ConfigProblem { path, message }) => Err(OpenError::Setting { setting: path, problem: message }),
            None => Ok(()),
        }
    }
}
