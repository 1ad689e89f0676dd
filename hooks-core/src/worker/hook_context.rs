//! The context that all parts of a hook's worker share: settings, endpoint, and the making of an attempt.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;
use uuid::Uuid;

use super::building::build_sink;
use super::clock::now;
use super::endpoint::EndpointHealth;
use super::panic;
use super::rate_limiter::RateLimiter;
use super::resends::ResendQueue;
use crate::attempt::{Attempt, Exchange, Trigger};
use crate::batch::{Batch, BatchId};
use crate::batcher::Batcher;
use crate::bus::{Bus, BusError, DeadLetters, Delivery, Position, Settler};
use crate::delivery::{Delivered, DeliveryError};
use crate::endpoint_state::EndpointState;
use crate::envelope::{Envelope, Metadata, Slice};
use crate::hook::Hook;
use crate::human::HumanDuration;
use crate::notices::Notices;
use crate::overrides::DisabledBy;
use crate::sink::{Notes, Shared, Sink, SinkContext};
use crate::stats::BatchStats;

/// The context that all parts of a hook's worker share.
#[derive(Clone)]
pub(crate) struct HookContext {
    pub(crate) hook: Arc<Hook>,
    pub(crate) endpoint: Arc<SharedEndpoint>,
    pub(crate) settler: Settler,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) dead_letters: Option<Arc<dyn DeadLetters>>,
    pub(crate) resends: Arc<ResendQueue>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) batches: Arc<Mutex<BatchStats>>,
    pub(crate) notices: Notices,
    /// No later run delivers the rest: events that are suspect at the end count as refused.
    pub(crate) last: bool,
    /// The bus outlives the process: the sink is flushed before its events are settled.
    pub(crate) durable: bool,
    pub(crate) log: Uuid,
}

/// An endpoint that accepts nothing for so long is said to fail, unless its hook says otherwise.
const WARN_AFTER: Duration = Duration::from_secs(5 * 60);

/// The endpoint's health, and a signal for the lanes when an attempt of another lane changed it.
pub(crate) struct SharedEndpoint {
    pub(crate) state: Mutex<EndpointHealth>,
    pub(super) changed: Notify,
}

impl SharedEndpoint {
    pub(crate) fn new(hook: &Hook, enabled: bool) -> Self {
        let mut endpoint = EndpointHealth::new(hook.retry.clone(), enabled);
        endpoint.disable_after = hook.disable_after.map(HumanDuration::get);
        endpoint.warn_after = hook.warn_after.map_or(WARN_AFTER, HumanDuration::get);
        endpoint.rate_limiter = RateLimiter::new(hook.rate_limit);
        Self { state: Mutex::new(endpoint), changed: Notify::new() }
    }

    /// Something has changed at the receiver: it is tried at once, unless it asked for a pause.
    pub(crate) fn try_now(&self) {
        self.state.lock().end_backoff();
        self.changed.notify_waiters();
    }

    /// The endpoint of the same hook with other settings.
    pub(crate) fn successor(&self, hook: &Hook, enabled: bool) -> Self {
        let next = Self::new(hook, enabled);
        next.state.lock().continue_from(&self.state.lock());
        next
    }
}

impl HookContext {
    pub(super) fn is_disabled(&self) -> bool {
        self.endpoint.state.lock().state() == EndpointState::Disabled
    }

    /// One event outside any log, as the hook would deliver it.
    pub(crate) fn test_batch(&self, event: Envelope) -> Batch {
        Batch::for_test([event]).with_metadata(self.hook.metadata.clone())
    }

    /// Events outside any log, in batches as the sink wants them.
    pub(crate) fn test_batches(&self, events: Vec<Envelope>) -> Vec<Batch> {
        let numbered = events.into_iter().zip(0..);
        let delivery = |(event, number)| Delivery::new(Position::new(number), &Slice::from(event), 0);
        let batches = self.batches(&self.hook.metadata, numbered.map(delivery).collect());
        batches.map(|deliveries| self.freeze(deliveries)).collect()
    }

    /// Deliveries in batches as the sink wants them.
    fn batches(&self, metadata: &Metadata, mut deliveries: Vec<Delivery>) -> impl Iterator<Item = Vec<Delivery>> {
        let mut batcher = self.batcher_with(metadata);
        batcher.extend(now(), &mut deliveries);
        std::iter::from_fn(move || batcher.drain())
    }

    pub(super) fn batcher(&self) -> Box<dyn Batcher> {
        self.batcher_with(&self.hook.metadata)
    }

    fn batcher_with(&self, metadata: &Metadata) -> Box<dyn Batcher> {
        self.hook.sink.batcher(self.hook.batch, metadata.most_added())
    }

    pub(super) fn freeze(&self, deliveries: Vec<Delivery>) -> Batch {
        let id = BatchId::new(self.log, &self.hook.id, &deliveries);
        Batch::new(id, deliveries, self.hook.metadata.clone())
    }

    /// The events that are sent again in this run, marked, in batches as the sink wants them. A batch has a name that no
    /// other run gives, since its bytes are not those of a batch before.
    pub(super) fn freeze_again(&self, run: Uuid, deliveries: Vec<Delivery>) -> Vec<Batch> {
        let metadata = Arc::new(self.hook.metadata.marked_as_replay());
        let batches = self.batches(&metadata, deliveries);
        let freeze = |deliveries: Vec<Delivery>| {
            let id = BatchId::new(run, &self.hook.id, &deliveries);
            Batch::new(id, deliveries, metadata.clone())
        };
        batches.map(freeze).collect()
    }

    /// Makes one attempt within its time limit. Builds the sink when there is none.
    pub(super) async fn attempt(
        &self,
        sink: &mut Option<Box<dyn Sink>>,
        lane: usize,
        batch: &Batch,
    ) -> Result<Delivered, DeliveryError> {
        let ready = match sink {
            Some(sink) => sink,
            None => sink.insert(Box::pin(self.build(lane, None)).await?),
        };
        self.batches.lock().count(batch);
        let limit = self.hook.retry.attempt_timeout.get();
        let deliver = async {
            let delivered = ready.deliver(batch).await?;
            if self.durable {
                ready.flush().await?;
            }
            Ok(delivered)
        };
        if let Some(result) = limited(limit, deliver).await {
            return result;
        }
        let delivered = ready.cut_short(batch).unwrap_or_else(|| Err(too_long(limit)))?;
        if self.durable {
            guarded(limit, ready.flush()).await?;
        }
        Ok(delivered)
    }

    /// Takes note of an attempt that is over.
    pub(super) fn record(
        &self,
        sink: Option<&mut Box<dyn Sink>>,
        (batch, number, trigger): (&Batch, u32, Trigger),
        took: Duration,
        result: &Result<Delivered, DeliveryError>,
    ) {
        let Some(recorder) = self.shared.recorder.get() else { return };
        let exchange = sink.map_or_else(Exchange::default, |sink| sink.exchange());
        let now = SystemTime::now();
        recorder.record(&Attempt {
            hook: &self.hook,
            batch,
            number,
            trigger,
            began: now.checked_sub(took).unwrap_or(now),
            took,
            result: result.as_ref(),
            exchange: &exchange,
        });
    }

    /// Learns about the receiver from its answer. Logs the first odd one.
    pub(super) fn learn(&self, result: &Result<Delivered, DeliveryError>, endpoint: &mut EndpointHealth) {
        let Ok(delivered) = result else { return };
        if endpoint.learn(delivered) {
            let odd = delivered.odd.as_ref().map_or("", |odd| &odd.what);
            let hook = &self.hook.id;
            tracing::warn!(%hook, odd, "the receiver's answer is odd: its status counts, and later ones are not logged");
        }
    }

    async fn build(&self, lane: usize, test: Option<Notes>) -> Result<Box<dyn Sink>, DeliveryError> {
        let mut context = SinkContext::new(self.hook.id.clone(), self.shared.clone());
        (context.lane, context.test, context.notes) = (lane, test.is_some(), test);
        context.recorded = self.shared.recorder.get().is_some();
        context.attempt_timeout = self.hook.retry.attempt_timeout.get();
        build_sink(&self.shared.builders, &self.hook, context).await
    }

    /// Changes the endpoint's health. Logs and publishes a change of its state.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut EndpointHealth) -> T) -> T {
        let mut endpoint = self.endpoint.state.lock();
        let before = endpoint.state();
        let changed = change(&mut endpoint);
        self.log_change(before, &endpoint);
        if let Some(alarm) = endpoint.take_alarm() {
            self.notices.alarm(&self.hook, alarm, endpoint.state(), endpoint.last_error());
        }
        changed
    }

    /// Holds the hook because its dead letters can't be kept.
    pub(super) fn hold(&self, error: &BusError) {
        let why = match error {
            BusError::Full(why) => why.clone(),
            other => other.to_string(),
        };
        self.change(|endpoint| endpoint.block(format!("dead letters can't be kept: {why}")));
    }

    pub(super) fn log_stuck(&self, endpoint: &EndpointHealth) {
        let (hook, error) = (&self.hook.id, endpoint.last_error().unwrap_or_default());
        tracing::warn!(
            %hook,
            events = endpoint.suspects,
            reject_hold = %endpoint.policy().reject_hold,
            error,
            "events are refused and nothing else is accepted: they are tried again until something is, or for `reject_hold`"
        );
    }

    fn log_change(&self, before: EndpointState, endpoint: &EndpointHealth) {
        let (hook, state) = (&self.hook.id, endpoint.state());
        let error = endpoint.last_error().unwrap_or_default();
        if state == before {
            return;
        }
        self.notices.endpoint_changed(&self.hook, before, state, endpoint.last_error());
        match state {
            EndpointState::Healthy => tracing::info!(%hook, "delivery works again"),
            EndpointState::Disabled if endpoint.disabled_by() == DisabledBy::Failures => {
                tracing::error!(%hook, error, "the hook is disabled: nothing but failures for `disable_after`")
            }
            EndpointState::Disabled => {
                tracing::error!(%hook, error, "the hook is disabled: its receiver wants nothing any more")
            }
            _ => tracing::warn!(%hook, %state, error, "delivery fails; events are kept and tried again"),
        }
    }
}

/// What a new sink would send, of each batch; `None` where it can't say.
pub(crate) async fn preview(
    context: &HookContext,
    batches: &[Batch],
) -> Result<Option<Vec<Result<String, DeliveryError>>>, DeliveryError> {
    let mut sink = context.build(0, Some(Notes::default())).await?;
    Ok(batches.iter().map(|batch| sink.preview(batch)).collect())
}

/// Delivers one batch through a new sink.
pub(crate) async fn attempt_test(
    context: &HookContext,
    batch: &Batch,
    notes: Notes,
) -> Result<Delivered, DeliveryError> {
    let started = now();
    let mut sink = None;
    let result = match context.build(0, Some(notes)).await {
        Ok(built) => deliver_test(sink.insert(built), batch, context.hook.retry.attempt_timeout.get()).await,
        Err(error) => Err(error),
    };
    let took = now().saturating_duration_since(started);
    context.record(sink.as_mut(), (batch, 1, Trigger::Test), took, &result);
    result
}

async fn deliver_test(sink: &mut Box<dyn Sink>, batch: &Batch, limit: Duration) -> Result<Delivered, DeliveryError> {
    let both = async {
        let delivered = sink.deliver(batch).await?;
        sink.close().await?;
        Ok(delivered)
    };
    match limited(limit, both).await {
        Some(result) => result,
        None => sink.cut_short(batch).unwrap_or_else(|| Err(too_long(limit))),
    }
}

/// Runs work of a sink within a time limit. A panic becomes an error.
pub(super) async fn guarded<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, DeliveryError>>,
) -> Result<T, DeliveryError> {
    limited(limit, work).await.unwrap_or_else(|| Err(too_long(limit)))
}

/// Like [`guarded`], but returns `None` when the time is over.
async fn limited<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, DeliveryError>>,
) -> Option<Result<T, DeliveryError>> {
    let result = timeout(limit, AssertUnwindSafe(work).catch_unwind()).await.ok()?;
    Some(result.unwrap_or_else(|panic| Err(DeliveryError::retry("the sink panicked").because(panic::text(&*panic)))))
}

fn too_long(limit: Duration) -> DeliveryError {
    DeliveryError::retry(format!("no result within the attempt timeout of {}", crate::HumanDuration::new(limit)))
}
