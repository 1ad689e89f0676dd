//! One hook and its worker.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::report::HookStatus;
use crate::bus::Settler;
use crate::hook::Hook;
use crate::ledger::Ledger;
use crate::worker::{EndpointState, Mode, Orders, Parked, SharedEndpoint};

/// What the dispatcher has of a hook.
pub(super) struct Slot {
    pub(super) hook: Arc<Hook>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) endpoint: Arc<SharedEndpoint>,
    pub(super) settler: Settler,
    pub(super) orders: Orders,
    pub(super) work: Mutex<Work>,
}

pub(super) enum Work {
    Running(JoinHandle<Option<Parked>>),
    /// Disabled, drained, or about to be changed.
    Parked(Option<Parked>),
}

impl Slot {
    /// Waits until the worker has ended.
    pub(super) async fn ended(&self) {
        let mut work = self.work.lock().await;
        if let Work::Running(task) = &mut *work {
            let parked = task.await.unwrap_or_default();
            *work = Work::Parked(parked);
        }
    }

    pub(super) async fn stop(&self) {
        self.orders.give(Mode::Park);
        self.ended().await;
    }

    pub(super) fn state(&self) -> EndpointState {
        self.endpoint.state.lock().state()
    }

    pub(super) fn status(&self) -> HookStatus {
        let endpoint = self.endpoint.state.lock();
        HookStatus {
            id: self.hook.id.clone(),
            sink: self.hook.sink.kind().to_owned(),
            counts: self.ledger.counts(),
            state: endpoint.state(),
            attempts: endpoint.attempts(),
            last_error: endpoint.last_error().map(str::to_owned),
        }
    }
}
