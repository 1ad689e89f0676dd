//! Delivers dead letters once more, between live batches and outside their order.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep_until;

use super::hook_context::HookContext;
use super::lane::now;
use crate::batch::Batch;
use crate::bus::{Delivery, Position};
use crate::delivery::{Delivered, DeliveryError, FailureClass};
use crate::sink::Sink;

/// Dead letters that wait for their turn. Whoever asks for a replay waits for its end, so there are no
/// more of them than callers.
#[derive(Debug)]
pub(crate) struct Replays {
    /// Closed when the worker has ended.
    waiting: Mutex<Option<VecDeque<Replay>>>,
    arrived: Notify,
}

/// A batch of dead letters, and whoever wants to know what came of it.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) done: oneshot::Sender<Replayed>,
}

/// What came of a replay.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// What arrived.
    pub(crate) delivered: Vec<Position>,
    /// What the receiver refused once more.
    pub(crate) refused: Vec<Position>,
    /// Why nothing more was tried, or why the last event was refused.
    pub(crate) error: Option<String>,
    /// The receiver can't be delivered to now: the rest was not tried.
    pub(crate) stopped: bool,
}

impl Default for Replays {
    fn default() -> Self {
        Self { waiting: Mutex::new(Some(VecDeque::new())), arrived: Notify::new() }
    }
}

impl Replays {
    /// When the worker has ended, or ends before the replay's turn comes, `done` is dropped.
    pub(crate) fn push(&self, replay: Replay) {
        if let Some(waiting) = &mut *self.waiting.lock() {
            waiting.push_back(replay);
        }
        self.arrived.notify_one();
    }

    /// No worker will take any more.
    pub(crate) fn close(&self) {
        self.waiting.lock().take();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.lock().as_ref().is_none_or(VecDeque::is_empty)
    }

    pub(super) fn take(&self) -> Option<Replay> {
        self.waiting.lock().as_mut()?.pop_front()
    }

    /// Waits until something has arrived. May return although it was taken since.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}

/// Tries a batch of dead letters, split where it is refused.
///
/// # Cancel safety
/// What is known by then is entered. A dropped attempt may have delivered some that stay among the dead letters.
pub(super) async fn replay(
    context: &HookContext,
    sink: &mut Option<Box<dyn Sink>>,
    deliveries: Vec<Delivery>,
    replayed: &mut Replayed,
) {
    let mut rest = vec![context.freeze(deliveries)];
    while let Some(batch) = rest.pop() {
        match believed(context, sink, &batch).await {
            Ok(delivered) => replayed.answered(&batch, delivered),
            Err(error) if !error.class.is_refusal() => {
                replayed.error = Some(error.report());
                replayed.stopped = true;
                break;
            }
            Err(error) => {
                replayed.error = Some(error.report());
                if batch.len() > 1 {
                    let half = batch.len() / 2;
                    let (left, right) = batch.split_at(half);
                    rest.extend([right, left]);
                } else {
                    replayed.refused.extend(batch.positions());
                }
            }
        }
    }
}

/// As with live events: what may name refused events where it can't be read is asked for again, a few times, and
/// counts as delivered then. Otherwise letters would go out with each replay and never leave.
async fn believed(
    context: &HookContext,
    sink: &mut Option<Box<dyn Sink>>,
    batch: &Batch,
) -> Result<Delivered, DeliveryError> {
    let mut doubts = 0;
    loop {
        let before = doubts;
        let result = attempt(context, sink, batch, &mut doubts).await;
        if doubts == before {
            return result;
        }
    }
}

/// One attempt at the hook's pace, which tells how it stands with the endpoint.
async fn attempt(
    context: &HookContext,
    sink: &mut Option<Box<dyn Sink>>,
    batch: &Batch,
    doubts: &mut u8,
) -> Result<Delivered, DeliveryError> {
    loop {
        let not_before = context.endpoint.state.lock().rate_limiter.not_before(now(), batch.len());
        let Some(until) = not_before else { break };
        sleep_until(until.into()).await;
    }
    let started = now();
    context.endpoint.state.lock().rate_limiter.spend(started, batch.len());
    let mut result = context.attempt(sink, 0, batch).await;
    while is_unprocessed(&result) && context.endpoint.state.lock().sends_again() {
        result = context.attempt(sink, 0, batch).await;
    }
    let ended = now();
    let mut endpoint = context.endpoint.state.lock();
    let before = endpoint.state();
    context.learn(&result, &mut endpoint);
    let result = match result {
        Ok(delivered) if endpoint.doubts(&delivered, *doubts) => {
            *doubts += 1;
            Err(delivered.doubted())
        }
        other => other,
    };
    endpoint.count(result.as_ref().err().map(|error| error.class), ended.saturating_duration_since(started));
    match &result {
        Ok(delivered) if delivered.refused.len() < batch.len() => endpoint.accept(ended),
        Ok(_) => {}
        Err(error) if error.class.is_refusal() => {}
        Err(error) if error.class == FailureClass::Gone => endpoint.disable(Some(error.report())),
        Err(error) => endpoint.fail(started, ended, error, fastrand::f64()),
    }
    context.log_change(before, &endpoint);
    drop(endpoint);
    result
}

fn is_unprocessed(result: &Result<Delivered, DeliveryError>) -> bool {
    result.as_ref().is_err_and(|error| error.class == FailureClass::Unprocessed)
}

impl Replayed {
    /// The worker ended before anything was tried.
    pub(crate) fn cut_off() -> Self {
        let mut replayed = Self::default();
        replayed.is_cut_off();
        replayed
    }

    /// The worker ends while something is on its way.
    pub(super) fn is_cut_off(&mut self) {
        self.stopped = true;
        self.error = Some(
            "the hook was changed or stopped meanwhile: replay again, what was on its way may arrive twice".to_owned(),
        );
    }

    fn answered(&mut self, batch: &Batch, delivered: Delivered) {
        for (index, position) in batch.positions().into_iter().enumerate() {
            match delivered.refused.iter().find(|(at, _)| *at == index) {
                Some((_, reason)) => {
                    self.error = Some(reason.clone().into_owned());
                    self.refused.push(position);
                }
                None => self.delivered.push(position),
            }
        }
    }
}
