//! Overrides that disable hooks. They outlive the process on a bus that keeps them.

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::bus::{Bus, BusError};
use crate::fnv::stable_hash;
use crate::hook::Hook;
use crate::id::HookId;
use crate::overrides::{DisabledBy, Override};

/// The override of one hook, shared by its slot and its worker. Boxed, because most hooks have none.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedOverride(Arc<Mutex<Option<Box<Override>>>>);

impl SharedOverride {
    /// The override that the bus keeps, unless it is outdated.
    pub(super) async fn read(bus: &dyn Bus, hook: &Hook) -> Self {
        let shared = Self(Arc::new(Mutex::new(bus.hooks().overrides(&hook.id).map(Box::new))));
        shared.drop_outdated(bus, hook).await;
        shared
    }

    /// Drops the override if it is outdated: with other settings the sink has another receiver.
    pub(super) async fn drop_outdated(&self, bus: &dyn Bus, hook: &Hook) {
        let gone = self.0.lock().take_if(|current| is_outdated(current, bus, hook)).is_some();
        if gone {
            or_log(&hook.id, bus.hooks().set_override(&hook.id, None).await);
        }
    }

    /// Takes over the override that another process has set, unless it is outdated. Returns true if the hook has to be
    /// enabled or disabled for it.
    pub(super) fn follow(&self, bus: &dyn Bus, hook: &Hook) -> bool {
        let kept = bus.hooks().overrides(&hook.id).filter(|kept| !is_outdated(kept, bus, hook));
        let mut current = self.0.lock();
        let changes = current.is_some() != kept.is_some();
        *current = kept.map(Box::new);
        changes
    }

    pub(super) fn get(&self) -> Option<Override> {
        self.0.lock().as_deref().cloned()
    }

    /// Disables the hook, here and on the bus.
    ///
    /// # Errors
    /// When the bus can't keep it: it holds here alone then.
    pub(super) async fn disable(
        &self,
        bus: &dyn Bus,
        hook: &Hook,
        by: DisabledBy,
        reason: Option<String>,
    ) -> Result<(), BusError> {
        let Fingerprints { sink, secrets, files } = Fingerprints::of(bus, hook);
        let disabled =
            Override { sink, secrets: Some(secrets), files, ..Override::disabled(by, reason, SystemTime::now()) };
        *self.0.lock() = Some(Box::new(disabled.clone()));
        bus.hooks().set_override(&hook.id, Some(disabled)).await?;
        begin_anew(bus, &hook.id).await
    }

    /// Removes the override.
    ///
    /// # Errors
    /// As for [`disable`](Self::disable).
    pub(super) async fn enable(&self, bus: &dyn Bus, hook: &HookId) -> Result<(), BusError> {
        if self.0.lock().take().is_some() || bus.hooks().overrides(hook).is_some() {
            bus.hooks().set_override(hook, None).await?;
        }
        begin_anew(bus, hook).await
    }
}

/// A hook that is disabled or enabled has not failed yet when it delivers again.
async fn begin_anew(bus: &dyn Bus, hook: &HookId) -> Result<(), BusError> {
    if bus.hooks().failing_since(hook).is_some() { bus.hooks().set_failing_since(hook, None).await } else { Ok(()) }
}

/// Returns true if no operator disabled the hook and the sink's settings, secrets or files changed since. Those that
/// were not recorded, then or now, count as unchanged.
fn is_outdated(kept: &Override, bus: &dyn Bus, hook: &Hook) -> bool {
    if kept.by == DisabledBy::Operator {
        return false;
    }
    let now = Fingerprints::of(bus, hook);
    let differs = |before: &Option<String>, now: Option<&str>| matches!((before, now), (Some(before), Some(now)) if before != now);
    kept.sink != now.sink || differs(&kept.secrets, Some(&now.secrets)) || differs(&kept.files, now.files.as_deref())
}

/// Where nobody waits for an answer.
pub(super) fn or_log(hook: &HookId, kept: Result<(), BusError>) {
    if let Err(error) = kept {
        tracing::error!(%hook, %error, "the bus can't keep that the hook was enabled or disabled: that holds only until the process ends");
    }
}

/// Fingerprints of a sink's settings. They reveal nothing of these.
struct Fingerprints {
    /// A hash of the settings as `Debug` shows them.
    sink: u64,
    secrets: String,
    files: Option<String>,
}

impl Fingerprints {
    fn of(bus: &dyn Bus, hook: &Hook) -> Self {
        let sink = &hook.sink;
        let mut secrets = Vec::new();
        for secret in sink.secrets() {
            // With lengths, so that no secret goes on in the next one.
            secrets.extend_from_slice(&(secret.expose().len() as u64).to_le_bytes());
            secrets.extend_from_slice(secret.expose().as_bytes());
        }
        // With the log's name in it, the same secret looks different elsewhere.
        let fingerprint = |content: &[u8]| Uuid::new_v5(&bus.log_id(), content).to_string();
        Self {
            sink: stable_hash(format!("{} {sink:?}", sink.kind()).into_bytes()),
            secrets: fingerprint(&secrets),
            files: hook.files.as_deref().map(|files| fingerprint(files.as_bytes())),
        }
    }
}
