//! One hook and its worker.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::report::HookStatus;
use crate::bus::{Lag, Settler};
use crate::dead_letter::DeadLetters;
use crate::hook::Hook;
use crate::ledger::Ledger;
use crate::stats::AttemptStats;
use crate::worker::{EndpointState, Mode, Orders, Parked, Replays, SharedEndpoint};

/// What the dispatcher has of a hook.
pub(super) struct Slot {
    pub(super) hook: Arc<Hook>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) endpoint: Arc<SharedEndpoint>,
    pub(super) settler: Settler,
    pub(super) replays: Arc<Replays>,
    pub(super) dead_letters: Option<Arc<dyn DeadLetters>>,
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

    pub(super) fn status(&self, lag: Option<Lag>) -> HookStatus {
        let endpoint = self.endpoint.state.lock();
        HookStatus {
            id: self.hook.id.clone(),
            sink: self.hook.sink.kind().to_owned(),
            counts: self.ledger.counts(),
            state: endpoint.state(),
            attempts: endpoint.stats().map_or(0, AttemptStats::total),
            stats: endpoint.stats().cloned().map(Box::new),
            lag,
            dead_letters: self.dead_letters.as_ref().map(|letters| letters.count()),
            last_error: endpoint.last_error().map(str::to_owned),
        }
    }
}
