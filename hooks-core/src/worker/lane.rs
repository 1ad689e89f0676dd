//! Drives one lane: gathers a batch, tries it until its events are settled, gathers the next.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::task::yield_now;
use tokio::time::{sleep, sleep_until, timeout};

use super::clock::now;
use super::hook_context::{HookContext, guarded};
use super::piece::{RetryLimits, Settlement, Source};
use super::resends::{CUT_OFF, ELSEWHERE, Resend};
use super::retry_queue::{Next, RetryQueue};
use super::settling::Settling;
use super::stop_signal::{Mode, StopSignal};
use crate::attempt::Trigger;
use crate::batch::Batch;
use crate::batcher::Batcher;
use crate::bus::{BusError, Delivery, Position, Read, Reader};
use crate::delivery::{Delivered, DeliveryError};
use crate::endpoint_state::EndpointState;
use crate::filter::Filter;
use crate::sink::Sink;

/// Time after which a hook without events closes its sink.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Time limit for closing a sink when its worker has to end at once.
const PARKED_CLOSE: Duration = Duration::from_secs(1);

/// Pause of reading after the bus failed.
pub(crate) const BUS_PAUSE: Duration = Duration::from_secs(1);

/// Time limit for a batch on the memory bus, whose events don't outlive the process.
const MEMORY_MAX_ELAPSED: Duration = Duration::from_secs(3 * 24 * 3600);

/// The reason why a lane stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// No events for a while.
    Idle,
    /// All events are settled, or left for the next run, and no more will come.
    Dry,
    /// It was told to stop.
    Parked,
    /// The receiver wants nothing any more.
    Disabled,
    /// Another instance owns the hook.
    Lost,
}

/// The events in flight of a stopped lane, unsettled.
#[derive(Debug, Default)]
pub(crate) struct Carry {
    /// Events of frozen batches.
    pub(crate) frozen: Vec<Delivery>,
    /// Events that had been read but not frozen into a batch.
    pub(crate) loose: Vec<Delivery>,
}

impl Carry {
    pub(crate) fn extend(&mut self, other: Self) {
        self.frozen.extend(other.frozen);
        self.loose.extend(other.loose);
    }

    pub(crate) fn len(&self) -> usize {
        self.frozen.len() + self.loose.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes the events that are not frozen and no longer match; returns their positions.
    pub(crate) fn refilter(&mut self, filter: &Filter) -> Vec<Position> {
        let gone = self.loose.extract_if(.., |delivery| !filter.matches(delivery.envelope()));
        gone.map(|delivery| delivery.position).collect()
    }

    /// All of it, oldest first.
    pub(crate) fn into_deliveries(self) -> Vec<Delivery> {
        let mut all = self.frozen;
        all.extend(self.loose);
        all.sort_by_key(|delivery| delivery.position);
        all
    }
}

pub(crate) struct Lane {
    context: HookContext,
    number: usize,
    queue: RetryQueue,
    settling: Settling,
    batcher: Box<dyn Batcher>,
    sink: Option<Box<dyn Sink>>,
    /// The reason why the events that are sent again are.
    resent_for: Trigger,
    read: Vec<Delivery>,
    /// No more events will come.
    dry: bool,
    /// A publisher waits for room: the events in flight leave now.
    flush: bool,
    /// The mode that was applied last.
    mode: Mode,
    idle_since: Option<Instant>,
}

impl Lane {
    pub(crate) fn new(context: HookContext, number: usize) -> Self {
        let max_elapsed = context.hook.retry.max_elapsed.map(|span| span.get());
        let max_elapsed = max_elapsed.or((!context.durable).then_some(MEMORY_MAX_ELAPSED));
        let batcher = context.batcher();
        let queue = RetryQueue::new(RetryLimits { max_elapsed, max_attempts: context.hook.retry.max_attempts });
        Self {
            context,
            number,
            queue,
            settling: Settling::default(),
            batcher,
            sink: None,
            resent_for: Trigger::Replay,
            read: Vec::new(),
            dry: false,
            flush: false,
            mode: Mode::Run,
            idle_since: None,
        }
    }

    /// Puts events that were read already into the lane.
    pub(crate) fn seed(&mut self, delivery: Delivery) {
        self.batcher.push(now(), delivery);
    }

    /// Works until there is a reason to stop.
    pub(crate) async fn run(&mut self, reader: &mut dyn Reader, stop: &StopSignal) -> Exit {
        let exit = loop {
            if let Some(exit) = self.apply_mode(stop.mode(), reader) {
                break exit;
            }
            // Another lane may have heard so.
            if self.context.is_disabled() {
                break Exit::Disabled;
            }
            self.look_for_resends();
            let step = match self.plan() {
                _ if self.settling.is_due(now()) => self.give_up(stop).await,
                Next::Attempt if !self.context.settler.holds() => Some(Exit::Lost),
                Next::Attempt => self.attempt(stop).await,
                Next::Wait(until) => {
                    tokio::select! {
                        () = sleep_until(until.into()) => {}
                        () = self.context.endpoint.changed.notified() => {}
                        () = stop.raised_above(self.mode) => {}
                        () = self.context.resends.arrived(), if self.number == 0 => {}
                    }
                    None
                }
                // But for suspects, which may be taken another time.
                Next::Take(_) if self.dry => Some(Exit::Dry),
                Next::Take(until) => self.gather(until, reader, stop).await,
            };
            if let Some(exit) = step {
                break exit;
            }
        };
        self.stop_resends(if exit == Exit::Lost { ELSEWHERE } else { CUT_OFF });
        self.close(stop).await;
        exit
    }

    /// The events in flight, after the end.
    pub(crate) fn into_carry(mut self) -> Carry {
        let mut loose = Vec::new();
        while let Some(batch) = self.batcher.drain() {
            loose.extend(batch);
        }
        let mut frozen = self.queue.into_deliveries(&mut self.context.endpoint.state.lock());
        frozen.extend(self.settling.into_deliveries());
        Carry { frozen, loose }
    }

    fn apply_mode(&mut self, mode: Mode, reader: &mut dyn Reader) -> Option<Exit> {
        let before = std::mem::replace(&mut self.mode, mode);
        if mode == Mode::Drain && before != Mode::Drain {
            reader.close();
            self.context.resends.close();
            self.settling.retry_at = None;
            self.context.endpoint.try_now();
        }
        (mode == Mode::Park).then_some(Exit::Parked)
    }

    /// Settles decided events, moves a batch to the head when there is room, and returns the next step.
    fn plan(&mut self) -> Next {
        let now = now();
        let (settled, next) = self.context.change(|endpoint| {
            let mut settled = self.queue.review(now, endpoint);
            if self.queue.wants_batch() {
                let due = self.batcher.ready(now);
                match if self.dry || self.flush { due.or_else(|| self.batcher.drain()) } else { due } {
                    Some(deliveries) => self.queue.push(self.context.freeze(deliveries), Source::Live),
                    None if self.dry && self.context.last => settled.extend(self.queue.refuse_suspects(now, endpoint)),
                    None => self.flush = false,
                }
            }
            let was_stuck = self.queue.is_stuck();
            let next = self.queue.next(now, self.settling.retry_at, endpoint, fastrand::f64());
            if self.queue.is_stuck() && !was_stuck {
                self.context.log_stuck(endpoint);
            }
            // An attempt only as fast as the hook's limit allows.
            let events = self.queue.head().map_or(0, Batch::len);
            match endpoint.rate_limiter.not_before(now, events) {
                Some(until) if next == Next::Attempt => (settled, Next::Wait(until)),
                _ => (settled, next),
            }
        });
        self.settle(settled);
        next
    }

    fn settle(&mut self, settled: Vec<Settlement>) {
        self.settling.settle(&self.context, settled);
        if !self.queue.has_resent() {
            self.settling.reply_to = None;
        }
    }

    /// Takes events to be sent again, in batches as the sink wants them, unless the end is near. First lane only.
    fn look_for_resends(&mut self) {
        if self.dry || self.mode != Mode::Run {
            return self.stop_resends(CUT_OFF);
        }
        if self.number > 0 || self.queue.has_resent() {
            return;
        }
        let Some(Resend { run, deliveries, trigger, reply_to }) = self.context.resends.take() else { return };
        self.resent_for = trigger;
        for batch in self.context.freeze_again(run, deliveries) {
            self.queue.push(batch, Source::Resent);
        }
        self.settling.reply_to = Some(reply_to);
        if !self.context.settler.admit() {
            self.stop_resends(ELSEWHERE);
        }
    }

    /// Stops sending again; the caller learns how far it came.
    fn stop_resends(&mut self, why: &str) {
        let stopped = self.queue.stop_resent(why);
        self.settle(stopped);
    }

    async fn attempt(&mut self, stop: &StopSignal) -> Option<Exit> {
        let started = now();
        let batch = self.queue.begin(started)?;
        self.context.endpoint.state.lock().rate_limiter.spend(started, batch.len());
        self.idle_since = None;
        let result = tokio::select! {
            biased;
            result = self.context.attempt(&mut self.sink, self.number, batch) => result,
            () = stop.raised_above(Mode::Drain) => return Some(Exit::Parked),
        };
        self.record(started, &result);
        let allowed = self.sink.as_ref().and_then(|sink| sink.allowed_rate());
        let (settled, state) = self.context.change(|endpoint| {
            endpoint.rate_limiter.allow(allowed, started);
            self.context.recall_failing(endpoint);
            self.context.learn(&result, endpoint);
            let settled = self.queue.resolve(started, now(), result, endpoint, fastrand::f64());
            (settled, endpoint.state())
        });
        self.settle(settled);
        self.context.endpoint.changed.notify_waiters();
        self.context.keep_failing().await;
        (state == EndpointState::Disabled).then_some(Exit::Disabled)
    }

    /// Takes note of the attempt that is over.
    fn record(&mut self, started: Instant, result: &Result<Delivered, DeliveryError>) {
        if self.context.shared.recorder.get().is_none() {
            return;
        }
        let Some((batch, number, source)) = self.queue.attempted() else { return };
        let trigger = if source == Source::Live { Trigger::Live } else { self.resent_for };
        let took = now().saturating_duration_since(started);
        self.context.record(self.sink.as_mut(), (batch, number, trigger), took, result);
    }

    /// Keeps given-up events as dead letters. While there is no room for them the hook is held, but for events that are
    /// sent again: these can make room.
    async fn give_up(&mut self, stop: &StopSignal) -> Option<Exit> {
        let kept = tokio::select! {
            biased;
            kept = self.settling.keep(&self.context) => kept,
            () = stop.raised_above(Mode::Drain) => return Some(Exit::Parked),
        };
        let Err(error) = kept else { return None };
        self.context.hold(&error);
        // No one makes room for a process that is about to end.
        if self.mode == Mode::Drain {
            return Some(Exit::Dry);
        }
        self.settling.retry_at = Some(now() + BUS_PAUSE);
        None
    }

    /// Reads more events, until a batch is ready or another step is due.
    async fn gather(&mut self, until: Option<Instant>, reader: &mut dyn Reader, stop: &StopSignal) -> Option<Exit> {
        let idle = self.queue.is_empty() && self.batcher.deadline().is_none() && self.read.is_empty();
        // Without other lanes the hook rests when this one does.
        let rests = idle && self.context.hook.lanes.get() == 1;
        let idle_end = rests.then(|| *self.idle_since.get_or_insert_with(now) + IDLE_TIMEOUT);
        let wake = [until, self.batcher.deadline(), idle_end].into_iter().flatten().min();
        let wanted = self.batcher.wanted().max(1);
        let found = tokio::select! {
            biased;
            () = stop.raised_above(self.mode) => return None,
            found = reader.next(wanted, &mut self.read) => found,
            () = self.context.endpoint.changed.notified(), if !idle => return None,
            () = self.context.resends.arrived(), if self.number == 0 => return None,
            () = sleep_until(wake.unwrap_or_else(now).into()), if wake.is_some() => {
                return idle_end.filter(|idle_end| *idle_end <= now()).map(|_| Exit::Idle);
            }
        };
        self.batcher.extend(now(), &mut self.read);
        let is_early = matches!(found, Ok(Read::Events(_))) && self.is_due_unfilled();
        let more = if is_early { self.gather_at_once(reader).await } else { None };
        // An error is met again when the batch has left.
        let found = more.filter(Result::is_ok).unwrap_or(found);
        match found {
            Ok(Read::Events(_)) => {}
            Ok(Read::Flush) => self.flush = true,
            Ok(Read::Dry) => self.dry = true,
            Ok(Read::Lost) => return Some(Exit::Lost),
            Err(error) => {
                tracing::warn!(hook = %self.context.hook.id, %error, "events can't be read now: tried again in a second");
                let _ = timeout(BUS_PAUSE, stop.raised_above(self.mode)).await;
            }
        }
        None
    }

    /// True if the next batch need not wait for more events, and has room for some.
    fn is_due_unfilled(&self) -> bool {
        self.batcher.deadline().is_some_and(|deadline| deadline <= now()) && self.batcher.wanted() > 0
    }

    /// Lets those have their turn who publish right now, and takes along what they published: from many requests of one
    /// event each comes one batch, where each would have woken the lane for a batch of its own.
    async fn gather_at_once(&mut self, reader: &mut dyn Reader) -> Option<Result<Read, BusError>> {
        yield_now().await;
        let more = reader.next(self.batcher.wanted(), &mut self.read).now_or_never();
        self.batcher.extend(now(), &mut self.read);
        more
    }

    async fn close(&mut self, stop: &StopSignal) {
        let Some(mut sink) = self.sink.take() else { return };
        let hook = &self.context.hook;
        // The caller that parks a worker waits for it.
        let parked = async {
            stop.raised_above(Mode::Drain).await;
            sleep(PARKED_CLOSE).await;
        };
        let error = tokio::select! {
            biased;
            closed = guarded(hook.retry.attempt_timeout.get(), sink.close()) => closed.err().map(|error| error.chain()),
            () = parked => Some(format!("it takes longer than {}", crate::HumanDuration::new(PARKED_CLOSE))),
        };
        if let Some(error) = error {
            tracing::warn!(hook = %hook.id, error, "the sink did not close cleanly");
        }
    }
}
