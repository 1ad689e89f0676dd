//! Observation of a bus: lag, counts, health.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{BusHealth, Position};
use crate::id::{HookId, TenantId};

/// What a bus tells of itself and its hooks. A bus that tells nothing implements none of it.
///
/// ```
/// use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
/// use hooks_core::bus::{BusHealth, BusMonitor, BusStats};
///
/// #[derive(Default)]
/// struct Connection {
///     accepted: AtomicU64,
///     is_lost: AtomicBool,
/// }
///
/// impl BusMonitor for Connection {
///     fn stats(&self) -> BusStats {
///         BusStats::accepted(self.accepted.load(Ordering::Relaxed))
///     }
///
///     fn health(&self) -> BusHealth {
///         match self.is_lost.load(Ordering::Relaxed) {
///             true => BusHealth::Unavailable("the connection to the server is lost".to_owned()),
///             false => BusHealth::Well,
///         }
///     }
/// }
///
/// let connection = Connection::default();
/// assert_eq!(connection.health(), BusHealth::Well);
/// connection.is_lost.store(true, Ordering::Relaxed);
/// assert_eq!(connection.health().trouble(), Some("the connection to the server is lost"));
/// ```
///
/// The example `hooks-core/examples/vec_bus/` tells the lag of its hooks, too.
pub trait BusMonitor: Send + Sync {
    /// The unsettled events of a hook that is known here.
    fn lag(&self, _hook: &HookId) -> Option<Lag> {
        None
    }

    /// The position before which a hook is done with every event, if the hook is known here. It may be a second old.
    fn position(&self, _hook: &HookId) -> Option<Position> {
        None
    }

    /// Bytes of the log that hold this tenant's events, whether its hooks have them or not. `None`: they are not
    /// [counted](crate::Bus::count_tenants). May be asked for each event that is published.
    fn tenant_bytes(&self, _tenant: &TenantId) -> Option<u64> {
        None
    }

    /// The figures of the bus.
    fn stats(&self) -> BusStats {
        BusStats::default()
    }

    /// The health of the bus. Must not block: probes and the service manager ask often.
    fn health(&self) -> BusHealth {
        BusHealth::Well
    }

    /// Further facts about the bus and its log, for operators: an object whose members are
    /// plain values, lists of texts, and lists of objects.
    fn details(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}

/// The unsettled events of a hook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
pub struct Lag {
    /// Number of events.
    pub events: u64,
    /// Bytes of their JSON.
    pub bytes: u64,
    /// The time when the oldest of them was accepted, or somewhat earlier.
    #[serde(default, with = "crate::timestamp::option")]
    #[cfg_attr(feature = "config", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub oldest: Option<SystemTime>,
    /// True if every counted event matches the hook's filter. Otherwise all events between the hook's position and the
    /// end of the log are counted, matching or not: `events` and `bytes` are upper bounds, and `oldest` is a lower one.
    pub exact: bool,
}

/// The figures of a bus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BusStats {
    /// Events accepted since the process started.
    pub accepted: u64,
    /// Number of these that the bus knew already, by `source` and `id`, and did not take twice. `None`: it takes every
    /// event.
    pub duplicates: Option<u64>,
    /// The time within which an event that is published again is known, at the moment: shorter than set when more ids
    /// came than the bus remembers. `None`: no event is known, or the time is unknown.
    #[serde(skip)]
    pub duplicate_window: Option<Duration>,
    /// Bytes of disk that the log takes, if there is one.
    pub log_bytes: Option<u64>,
    /// Number of these in files that no hook needs any more, and that go first when room is needed. `None`: the log
    /// keeps no such files.
    pub log_retained_bytes: Option<u64>,
    /// The time when the oldest event of the log was accepted, or somewhat earlier. `None`: there is none, or it is
    /// unknown.
    #[serde(with = "crate::timestamp::option")]
    pub log_oldest: Option<SystemTime>,
    /// Limit of the log in bytes, if it has one.
    pub log_max_bytes: Option<u64>,
    /// True if damage was found in the log since the process started. `None`: there is no log.
    pub log_is_damaged: Option<bool>,
}

impl BusStats {
    /// Figures with this many accepted events and no log.
    pub fn accepted(events: u64) -> Self {
        Self { accepted: events, ..Self::default() }
    }

    /// Sets the number of events that were known already.
    #[must_use]
    pub fn duplicates(mut self, events: u64) -> Self {
        self.duplicates = Some(events);
        self
    }

    /// Sets the time within which an event is known.
    #[must_use]
    pub fn duplicate_window(mut self, window: Duration) -> Self {
        self.duplicate_window = Some(window);
        self
    }

    /// Sets the bytes of the log.
    #[must_use]
    pub fn log_bytes(mut self, bytes: u64) -> Self {
        self.log_bytes = Some(bytes);
        self
    }

    /// Sets the bytes of the log that no hook needs any more.
    #[must_use]
    pub fn log_retained_bytes(mut self, bytes: u64) -> Self {
        self.log_retained_bytes = Some(bytes);
        self
    }

    /// Sets the time of the log's oldest event.
    #[must_use]
    pub fn log_oldest(mut self, accepted: Option<SystemTime>) -> Self {
        self.log_oldest = accepted;
        self
    }

    /// Sets whether damage was found in the log.
    #[must_use]
    pub fn log_is_damaged(mut self, damaged: bool) -> Self {
        self.log_is_damaged = Some(damaged);
        self
    }

    /// Sets the limit of the log in bytes.
    #[must_use]
    pub fn log_max_bytes(mut self, bytes: u64) -> Self {
        self.log_max_bytes = Some(bytes);
        self
    }
}
