//! The protocol of the socket: one JSON object a line, each way.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hooks_core::{
    DeadLetter, DeadLetterId, DeadLetterReason, DisabledBy, HookId, HookStatus, Lag, Override, Pattern, RawValue,
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
        delivered: usize,
        refused: usize,
        untried: usize,
        error: Option<String>,
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

/// RFC 3339, to the second.
pub(crate) fn timestamp(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| String::new(), |at| format!("{at:.0}"))
}

/// The report of a hook. Counts are since the daemon started; without one there are none.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HookReport {
    pub(crate) id: HookId,
    /// `healthy`, `backing_off`, `throttled`, `held`, `disabled`; `stopped` where no daemon runs, `not in the
    /// config` where none has it; where daemons share hooks `no owner` until one has taken it over, and `unknown`
    /// if its owner does not answer.
    pub(crate) state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disabled: Option<Switched>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sink: Option<String>,
    /// The daemon that has it, where daemons share hooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    /// Everything up to here is done with, where that is known apart from the daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) counts: Option<Counted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lag: Option<Behind>,
    pub(crate) dead_letters: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_error: Option<String>,
}

impl HookReport {
    /// The report of a hook of which nothing else is known.
    pub(super) fn stopped(id: HookId) -> Self {
        Self {
            id,
            state: "stopped".to_owned(),
            disabled: None,
            sink: None,
            owner: None,
            position: None,
            counts: None,
            lag: None,
            dead_letters: 0,
            last_error: None,
        }
    }
}

/// By whom a hook was disabled, why and when.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Switched {
    pub(crate) by: DisabledBy,
    /// The receiver's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) since: String,
}

impl From<Override> for Switched {
    fn from(disabled: Override) -> Self {
        let since = timestamp(UNIX_EPOCH + Duration::from_secs(disabled.since));
        Self { by: disabled.by, reason: disabled.reason, since }
    }
}

/// The ledger of a hook.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) taken: u64,
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
    pub(crate) dead_lettered: u64,
    pub(crate) in_hand: u64,
    /// Given back to the bus, and taken again by the next reader.
    #[serde(default)]
    pub(crate) handed_over: u64,
    pub(crate) attempts: u64,
}

/// The lag of a hook.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Behind {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// The time at which the oldest pending event was accepted.
    pub(crate) oldest: Option<String>,
    /// False where events that the hook's filter will pass over are counted, too: it is behind at most so far, since
    /// then at the earliest.
    pub(crate) exact: bool,
}

impl From<Lag> for Behind {
    fn from(lag: Lag) -> Self {
        Self { events: lag.events, bytes: lag.bytes, oldest: lag.oldest.map(timestamp), exact: lag.exact }
    }
}

impl From<HookStatus> for HookReport {
    fn from(status: HookStatus) -> Self {
        let counts = &status.counts;
        Self {
            state: status.state.name().to_owned(),
            disabled: status.disabled.map(Switched::from),
            sink: Some(status.sink),
            owner: None,
            position: None,
            counts: Some(Counted {
                taken: counts.taken,
                delivered: counts.delivered,
                dropped: counts.dropped(),
                dead_lettered: counts.dead_lettered,
                in_hand: counts.in_flight,
                handed_over: counts.handed_over,
                attempts: status.attempts,
            }),
            lag: status.lag.map(Behind::from),
            dead_letters: status.dead_letters.unwrap_or(0),
            last_error: status.last_error,
            id: status.id,
        }
    }
}
