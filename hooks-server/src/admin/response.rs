//! The answers to operators.

use std::collections::BTreeSet;
use std::fmt;

use hooks_core::bus::Sought;
use hooks_core::settings::Fault;
use hooks_core::{DeadLetterId, HookId, HookReport, ReplayReport};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dead_letter::DeadLetterReport;
use super::events::{EventPage, Resent};
use super::outcomes::EventOutcomes;
use super::overview::Overview;
use crate::history::AttemptPage;
use crate::http::without_right;
use crate::{Access, Right};

/// The answer to a [`Request`](super::Request). Over HTTP the body is what the variant holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Response {
    /// To [`Status`](super::Request::Status).
    Status(Status),
    /// To [`Overview`](super::Request::Overview).
    Overview(Box<Overview>),
    /// To [`Log`](super::Request::Log): the bus's own report.
    Log(serde_json::Value),
    /// To [`Enable`](super::Request::Enable), [`Disable`](super::Request::Disable) and
    /// [`Forget`](super::Request::Forget).
    Done(Done),
    /// To [`Seek`](super::Request::Seek).
    Sought(Sought),
    /// To [`DeadLetters`](super::Request::DeadLetters).
    DeadLetters(DeadLetterPage),
    /// To [`Replay`](super::Request::Replay).
    Replayed(Replayed),
    /// To [`Resend`](super::Request::Resend).
    Resent(Resent),
    /// To [`Drop`](super::Request::Drop).
    Dropped(Dropped),
    /// To [`Attempts`](super::Request::Attempts).
    Attempts(AttemptPage),
    /// To [`Outcomes`](super::Request::Outcomes).
    Outcomes(EventOutcomes),
    /// To [`Rekey`](super::Request::Rekey).
    Rekeyed(Rekeyed),
    /// To [`Events`](super::Request::Events).
    Events(EventPage),
    /// It was not done.
    Failed(Problem),
}

/// The status of all hooks.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Every hook, by name.
    pub hooks: Vec<HookReport>,
    /// True if a daemon answers, and so the hooks are delivered.
    pub running: bool,
    /// The error of the bus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The reason why the config file was not applied when it was last read again, so that what runs is older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<String>,
}

/// It is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    /// False if it was so already.
    pub changed: bool,
}

/// A page of dead letters; an empty one is the end.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetterPage {
    /// The oldest first.
    pub dead_letters: Vec<DeadLetterReport>,
}

/// The outcome of a replay.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Replayed {
    /// How far it came.
    #[serde(flatten)]
    pub report: ReplayReport,
    /// Dead letters that were named and are not there.
    #[serde(default)]
    pub missing: BTreeSet<DeadLetterId>,
}

/// The outcome of sealing definitions anew.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Rekeyed {
    /// The id of the key that seals now.
    pub key: String,
    /// Number of definitions that were sealed with another key, and are sealed with this one now.
    pub rekeyed: usize,
    /// Number of definitions that were sealed with it already.
    pub current: usize,
    /// Definitions that stay as they are.
    #[serde(default)]
    pub failed: Vec<NotRekeyed>,
}

/// A definition that could not be sealed anew.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct NotRekeyed {
    /// The hook.
    pub hook: HookId,
    /// The reason.
    pub why: String,
}

/// The outcome of dropping dead letters.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Dropped {
    /// Number of dead letters that were dropped.
    pub dropped: usize,
    /// Dead letters that were named and are not there.
    #[serde(default)]
    pub missing: BTreeSet<DeadLetterId>,
}

/// The reason why something was not done, as RFC 9457 has it (`application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// The name of the status.
    pub title: String,
    /// A status of HTTP.
    pub status: u16,
    /// The reason.
    pub detail: String,
    /// Everything that is wrong with a definition: `{"pointer": "/sink/urll", "reason": "…"}`, with JSON pointers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Fault>")]
    pub faults: Vec<serde_json::Value>,
}

impl Problem {
    /// With this status and reason.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or_default().to_owned();
        Self { title, status: status.as_u16(), detail: detail.into(), faults: Vec::new() }
    }

    /// With these faults of a definition.
    pub(crate) fn with_faults(self, faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { faults: faults.into_iter().filter_map(|fault| serde_json::to_value(fault).ok()).collect(), ..self }
    }
}

/// # Errors
/// When the sender does not have the right.
pub(super) fn demand(access: &Access, right: Right) -> Result<(), Problem> {
    if access.may(right) { Ok(()) } else { Err(Problem::new(StatusCode::FORBIDDEN, without_right(right))) }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

/// A conflict with what is there.
impl From<String> for Problem {
    fn from(detail: String) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }
}

impl Response {
    /// The answer, where it is not that it was not done.
    ///
    /// # Errors
    /// When it was not done.
    pub fn into_result(self) -> Result<Self, Problem> {
        match self {
            Self::Failed(problem) => Err(problem),
            done => Ok(done),
        }
    }
}

impl From<Result<Response, Problem>> for Response {
    fn from(result: Result<Response, Problem>) -> Self {
        result.unwrap_or_else(Self::Failed)
    }
}
