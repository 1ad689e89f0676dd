//! The protocol of the socket: one JSON object a line, each way.

use std::collections::BTreeSet;

use hooks_core::{
    DeadLetter, DeadLetterId, DeadLetterReason, HookId, HookReport, Pattern, RawValue, ReplayReport, timestamp,
};
use serde::{Deserialize, Serialize};

/// A request of an operator.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    Status,
    Log,
    Enable {
        hook: HookId,
    },
    Disable {
        hook: HookId,
    },
    Forget {
        hook: HookId,
    },
    /// A page of dead letters.
    Letters {
        hook: HookId,
        after: Option<DeadLetterId>,
    },
    Replay {
        hook: HookId,
        which: Which,
    },
    Drop {
        hook: HookId,
        which: Which,
    },
}

/// The answer to a request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Response {
    Status {
        hooks: Vec<HookReport>,
        running: bool,
        /// The error of the bus.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<String>,
        /// The reason why the config file was not applied when it was last read again, so that what runs is older.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reload: Option<String>,
    },
    /// The bus's own report.
    Log {
        details: serde_json::Value,
    },
    Done {
        changed: bool,
    },
    /// A page; an empty one is the end.
    Letters {
        letters: Vec<Letter>,
    },
    Replayed {
        #[serde(flatten)]
        report: ReplayReport,
        /// Letters that were named and are not there.
        #[serde(default)]
        missing: BTreeSet<DeadLetterId>,
    },
    Dropped {
        letters: usize,
        #[serde(default)]
        missing: BTreeSet<DeadLetterId>,
    },
    Failed {
        error: String,
    },
}

/// A selection of dead letters: those that fit everything that is set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Which {
    /// One of these; empty: any.
    pub(crate) ids: BTreeSet<DeadLetterId>,
    /// The event's type matches one of these globs; empty: any.
    pub(crate) types: Vec<String>,
    pub(crate) reason: Option<DeadLetterReason>,
}

impl Which {
    pub(crate) fn matches(&self, id: DeadLetterId, event_type: &str, reason: DeadLetterReason) -> bool {
        let fits = |types: &[String]| types.iter().any(|glob| Pattern::new(glob.as_str()).matches(event_type));
        (self.ids.is_empty() || self.ids.contains(&id))
            && (self.types.is_empty() || fits(&self.types))
            && self.reason.is_none_or(|wanted| wanted == reason)
    }

    /// The ids that none of these letters has.
    pub(crate) fn missing(&self, found: &BTreeSet<DeadLetterId>) -> BTreeSet<DeadLetterId> {
        self.ids.difference(found).copied().collect()
    }
}

/// A dead letter as it is shown.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) hook: HookId,
    pub(crate) id: DeadLetterId,
    pub(crate) reason: DeadLetterReason,
    /// The failure, with the receiver's answer.
    pub(crate) detail: String,
    pub(crate) attempts: u32,
    pub(crate) first_attempt: String,
    pub(crate) last_attempt: String,
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    /// The id of the event, unique together with its source.
    #[serde(default)]
    pub(crate) event_id: String,
    #[serde(default)]
    pub(crate) source: String,
    /// Byte for byte as it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<Box<RawValue>>,
}

impl Letter {
    pub(crate) fn new(hook: &HookId, id: DeadLetterId, letter: &DeadLetter) -> Result<Self, serde_json::Error> {
        Ok(Self {
            hook: hook.clone(),
            id,
            reason: letter.reason,
            detail: letter.detail.clone(),
            attempts: letter.attempts,
            first_attempt: timestamp(letter.first_attempt),
            last_attempt: timestamp(letter.last_attempt),
            event_type: letter.envelope.event_type().to_owned(),
            event_id: letter.envelope.id().to_owned(),
            source: letter.envelope.source().to_owned(),
            event: Some(RawValue::from_string(letter.envelope.json().to_owned())?),
        })
    }
}
