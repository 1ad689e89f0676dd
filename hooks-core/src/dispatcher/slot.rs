//! A slot: one hook and its worker.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::overrides::{SharedOverride, or_log};
use crate::bus::{DeadLetters, Settler, Subscription};
use crate::endpoint_state::EndpointState;
use crate::hook::Hook;
use crate::ledger::Ledger;
use crate::worker::{HookContext, Mode, Parked, ResendQueue, SharedEndpoint, StopSignal, Worker};

/// The dispatcher's state of a hook.
pub(super) struct Slot {
    pub(super) hook: Arc<Hook>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) endpoint: Arc<SharedEndpoint>,
    pub(super) settler: Settler,
    pub(super) resends: Arc<ResendQueue>,
    pub(super) dead_letters: Option<Arc<dyn DeadLetters>>,
    pub(super) overridden: SharedOverride,
    pub(super) stop: StopSignal,
    pub(super) work: Mutex<Work>,
}

/// The start of a worker, apart from the events in flight of its predecessor.
pub(super) struct WorkerStart {
    pub(super) hook: Hook,
    /// True if it delivers: neither its settings nor an override disable it.
    pub(super) enabled: bool,
    pub(super) endpoint: SharedEndpoint,
    pub(super) ledger: Arc<Ledger>,
    pub(super) settler: Settler,
    pub(super) overridden: SharedOverride,
}

/// The work that is left when a worker has ended.
pub(super) async fn worker_ended(worker: &Worker, overridden: &SharedOverride) {
    let HookContext { hook, endpoint, bus, resends, notices, .. } = &worker.context;
    resends.close();
    let said = {
        let endpoint = endpoint.state.lock();
        let is_disabled = endpoint.state() == EndpointState::Disabled;
        is_disabled.then(|| (endpoint.disabled_by(), endpoint.last_error().map(str::to_owned)))
    };
    if let Some((by, reason)) = said {
        let kept = overridden.disable(&**bus, hook, by, reason).await;
        or_log(&hook.id, kept);
        notices.watchers().changed(&hook.id);
    }
}

pub(super) enum Work {
    Running(JoinHandle<Option<Box<Parked>>>),
    /// Disabled, drained, or about to be changed.
    Parked(Option<Box<Parked>>),
}

impl Slot {
    /// Returns true if neither settings, nor an operator, nor the receiver disabled the hook.
    pub(super) fn is_enabled(&self) -> bool {
        self.hook.enabled && self.overridden.get().is_none() && self.state() != EndpointState::Disabled
    }

    /// Waits until the worker has ended.
    pub(super) async fn ended(&self) {
        let mut work = self.work.lock().await;
        if let Work::Running(task) = &mut *work {
            let parked = task.await.unwrap_or_default();
            *work = Work::Parked(parked);
        }
    }

    pub(super) async fn stop(&self) {
        self.stop.send(Mode::Park);
        self.ended().await;
    }

    pub(super) fn state(&self) -> EndpointState {
        self.endpoint.state.lock().state()
    }
}

/// The subscription of a hook whose events this ledger counts.
pub(super) fn subscription(hook: &Hook, ledger: &Arc<Ledger>) -> Subscription {
    Subscription {
        hook: hook.id.clone(),
        filter: hook.filter.clone(),
        queue: hook.queue,
        ledger: ledger.clone(),
        from: hook.starts_at(),
    }
}
