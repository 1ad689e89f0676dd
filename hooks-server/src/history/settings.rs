//! `[history]`: what is kept of attempts.

use std::path::PathBuf;
use std::time::Duration;

use hooks_core::{ByteSize, ConfigProblem, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is kept of attempts to deliver. `hooks serve` keeps a history wherever it has a folder for it; `hooks pipe` where
/// this section is there. Changing it takes a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HistorySettings {
    /// Most bytes on disk: half for attempts that failed, half for those that went well. The oldest go. 0: no history is
    /// kept.
    pub max_bytes: ByteSize,
    /// Attempts that are older go.
    pub max_age: HumanDuration,
    /// Most bytes that are kept of an answer, at most 1KiB. 0: none.
    pub answer_bytes: ByteSize,
    /// Its folder. A relative path begins at the folder of this file. Not set: `history` in the bus's folder; without one no
    /// history is kept.
    pub folder: Option<PathBuf>,
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            max_bytes: ByteSize::new(256 << 20),
            max_age: HumanDuration::new(Duration::from_secs(30 * 24 * 60 * 60)),
            answer_bytes: MOST_ANSWER,
            folder: None,
        }
    }
}

/// The least `max_bytes`, but for 0.
const LEAST: ByteSize = ByteSize::new(1 << 20);

/// The most `answer_bytes`: more of an answer no sink keeps.
const MOST_ANSWER: ByteSize = ByteSize::new(1 << 10);

impl HistorySettings {
    /// True if no history is to be kept.
    pub fn is_off(&self) -> bool {
        self.max_bytes.bytes() == 0
    }

    /// Everything that makes no sense: the name of a setting, and what is wrong with it.
    pub fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut wrong = |name: &str, why: String| problems.push(ConfigProblem::new(name, why));
        if !self.is_off() && self.max_bytes < LEAST {
            wrong("max_bytes", format!("{} is less than {LEAST}; 0 keeps no history", self.max_bytes));
        }
        if self.max_age.get().is_zero() {
            wrong("max_age", "must be longer than 0s; `max_bytes = 0` keeps no history".to_owned());
        }
        if self.answer_bytes > MOST_ANSWER {
            wrong("answer_bytes", format!("{} is more than {MOST_ANSWER}", self.answer_bytes));
        }
        if self.folder.as_ref().is_some_and(|folder| folder.as_os_str().is_empty()) {
            wrong("folder", "expected the path of a folder".to_owned());
        }
        problems
    }
}
