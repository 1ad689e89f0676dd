//! Hooks that are disabled, and by whom. What is noted here outlives the process on a bus that can note it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bus::Bus;
use crate::fnv;
use crate::hook::Hook;
use crate::id::HookId;

/// That a hook is disabled although its settings say otherwise, and why. It stays so until somebody
/// enables it; one that its receiver disabled also until its sink's settings change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Disabled {
    /// Who wants it so.
    pub by: DisabledBy,
    /// What the receiver said.
    pub reason: Option<String>,
    /// Seconds since 1970.
    pub since: u64,
    /// A hash of the sink's settings at that time, as they are shown.
    sink: u64,
    /// A hash of their secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secrets: Option<String>,
    /// A hash of what the files held that the sink reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<String>,
}

/// Who disabled a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisabledBy {
    /// The receiver wants nothing any more (HTTP: 410).
    Receiver,
    /// Somebody called [`Dispatcher::set_enabled`](super::Dispatcher::set_enabled).
    Operator,
}

/// The note about one hook, shared by its slot and its worker.
#[derive(Debug, Clone, Default)]
pub(super) struct Note(Arc<Mutex<Option<Disabled>>>);

impl Note {
    /// What the bus has noted, unless it no longer holds for this hook.
    pub(super) async fn read(bus: &dyn Bus, hook: &Hook) -> Self {
        let note = Self(Arc::new(Mutex::new(noted(bus, &hook.id))));
        note.review(bus, hook).await;
        note
    }

    /// A receiver that said no is another one when the sink's settings are.
    pub(super) async fn review(&self, bus: &dyn Bus, hook: &Hook) {
        let gone = self.0.lock().take_if(|note| is_outdated(note, bus, hook)).is_some();
        if gone {
            keep(bus, &hook.id, None).await;
        }
    }

    /// Takes over what another process noted; returns whether the hook has to be enabled or disabled for it.
    /// A receiver that said no to other settings said nothing about these.
    pub(super) fn heed(&self, bus: &dyn Bus, hook: &Hook) -> bool {
        let noted = noted(bus, &hook.id).filter(|note| !is_outdated(note, bus, hook));
        let mut note = self.0.lock();
        let changes = note.is_some() != noted.is_some();
        *note = noted;
        changes
    }

    pub(super) fn get(&self) -> Option<Disabled> {
        self.0.lock().clone()
    }

    pub(super) fn is_by(&self, by: DisabledBy) -> bool {
        self.0.lock().as_ref().is_some_and(|note| note.by == by)
    }

    /// Notes it, here and on the bus.
    pub(super) async fn disable(&self, bus: &dyn Bus, hook: &Hook, by: DisabledBy, reason: Option<String>) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let Prints { sink, secrets, files } = Prints::of(bus, hook);
        let note = Disabled { by, reason, since, sink, secrets: Some(secrets), files };
        let text = serde_json::to_string(&note).ok();
        *self.0.lock() = Some(note);
        keep(bus, &hook.id, text).await;
    }

    /// Removes the note.
    pub(super) async fn enable(&self, bus: &dyn Bus, hook: &HookId) {
        if self.0.lock().take().is_some() || bus.noted(hook).is_some() {
            keep(bus, hook, None).await;
        }
    }
}

fn noted(bus: &dyn Bus, hook: &HookId) -> Option<Disabled> {
    bus.noted(hook).and_then(|text| serde_json::from_str(&text).ok())
}

/// What was not looked at, then or now, counts as unchanged.
fn is_outdated(note: &Disabled, bus: &dyn Bus, hook: &Hook) -> bool {
    if note.by != DisabledBy::Receiver {
        return false;
    }
    let now = Prints::of(bus, hook);
    let differs = |before: &Option<String>, now: Option<&str>| matches!((before, now), (Some(before), Some(now)) if before != now);
    note.sink != now.sink || differs(&note.secrets, Some(&now.secrets)) || differs(&note.files, now.files.as_deref())
}

async fn keep(bus: &dyn Bus, hook: &HookId, text: Option<String>) {
    if let Err(error) = bus.note(hook, text).await {
        tracing::error!(%hook, %error, "that the hook is enabled or disabled could not be noted: it holds until the process ends");
    }
}

/// Tells settings of a sink apart. Nothing can be read back from it.
struct Prints {
    /// Of the settings as they are shown.
    sink: u64,
    secrets: String,
    files: Option<String>,
}

impl Prints {
    fn of(bus: &dyn Bus, hook: &Hook) -> Self {
        let sink = &hook.sink;
        let mut secrets = Vec::new();
        for secret in sink.secrets() {
            // With lengths, so that no secret goes on in the next one.
            secrets.extend_from_slice(&(secret.expose().len() as u64).to_le_bytes());
            secrets.extend_from_slice(secret.expose().as_bytes());
        }
        // With the log's name in it, the same secret looks different elsewhere.
        let print = |content: &[u8]| Uuid::new_v5(&bus.log_id(), content).to_string();
        Self {
            sink: fnv::hash(format!("{} {sink:?}", sink.kind()).into_bytes()),
            secrets: print(&secrets),
            files: hook.files.as_deref().map(|files| print(files.as_bytes())),
        }
    }
}
