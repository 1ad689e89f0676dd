//! What an overview has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use hooks_core::bus::BusStats;
use hooks_core::{EndpointState, Figures, TenantId, timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Access, Right};

/// How it stands now, and how it went in the last hour: with all hooks, or with a tenant's.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Overview {
    /// How it stands.
    pub now: Now,
    /// How it went, the oldest first. None yet: the process has just started, or takes none.
    pub samples: Vec<Sample>,
    /// Seconds from one sample to the next.
    pub interval: u64,
    /// What the sender may do.
    pub access: Allowed,
    /// The version that answers.
    pub version: String,
}

/// How it stands. Counts are those since the process started, of the hooks that there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Now {
    /// Number of hooks that run here.
    pub hooks: u64,
    /// Number of them by state.
    pub states: BTreeMap<String, u64>,
    /// Events that were accepted. Missing for a tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<u64>,
    /// Events that their destinations have.
    pub delivered: u64,
    /// Events that were given up.
    pub dropped: u64,
    /// Attempts to deliver.
    pub attempts: u64,
    /// Of these, attempts that failed.
    pub failed: u64,
    /// Events that hooks are not done with, counted at each hook; an upper bound.
    pub pending: u64,
    /// Bytes of these events.
    pub pending_bytes: u64,
    /// Dead letters that are kept.
    pub dead_letters: u64,
    /// The log. Missing where the bus has none, and for a tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogFigures>,
    /// The error of the bus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The reason why the config file was not applied when it was last read again, so that what runs is older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<String>,
}

/// The size of the log, and how far back it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct LogFigures {
    /// Bytes of disk.
    pub bytes: u64,
    /// Bytes of these that no hook needs any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retained_bytes: Option<u64>,
    /// The most bytes that it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// When its oldest event was accepted, or somewhat earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
    /// True if damage was found in it since the process started.
    #[serde(default)]
    pub is_damaged: bool,
}

/// What happened between two moments, and how it stood at the second one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Sample {
    /// The second moment.
    pub at: String,
    /// Events that were accepted. Missing for a tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<u64>,
    /// Events that were delivered.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Hooks whose receivers failed, asked for a pause, or had their events held.
    pub failing: u64,
    /// Events that hooks were not done with.
    pub pending: u64,
}

/// What somebody may do here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Allowed {
    /// The rights.
    pub may: BTreeSet<Right>,
    /// The one tenant whose events and hooks it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// The time at which it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

impl Allowed {
    pub(super) fn by(access: &Access) -> Self {
        Self {
            may: access.rights().clone(),
            tenant: access.tenant().cloned(),
            expires: access.expires().map(timestamp),
        }
    }
}

impl Now {
    /// How it stands with hooks of a tenant, who hears nothing of others.
    pub(super) fn of_tenant(figures: &Figures) -> Self {
        let states = EndpointState::ALL.iter().map(|state| (state.name().to_owned(), figures.in_state(*state)));
        Self {
            hooks: figures.hooks,
            states: states.collect(),
            accepted: None,
            delivered: figures.delivered,
            dropped: figures.dropped,
            attempts: figures.attempts,
            failed: figures.failed,
            pending: figures.pending,
            pending_bytes: figures.pending_bytes,
            dead_letters: figures.dead_letters,
            log: None,
            trouble: None,
            reload: None,
        }
    }

    /// How it stands with all.
    pub(super) fn of_all(figures: &Figures, stats: &BusStats, trouble: Option<String>, reload: Option<String>) -> Self {
        let log = stats.log_bytes.map(|bytes| LogFigures {
            bytes,
            retained_bytes: stats.log_retained_bytes,
            max_bytes: stats.log_max_bytes,
            oldest: stats.log_oldest.filter(|oldest| *oldest > SystemTime::UNIX_EPOCH).map(timestamp),
            is_damaged: stats.log_is_damaged.unwrap_or(false),
        });
        Self { accepted: Some(stats.accepted), log, trouble, reload, ..Self::of_tenant(figures) }
    }
}
