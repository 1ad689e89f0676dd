//! A receiver that the tests script: what it was sent, and what it answers.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hooks_bus::MemoryBus;
use hooks_core::{
    Batch, BatchLimits, Batcher, BoxError, Bus, Delivered, DeliveryError, Dispatcher, Envelope, FailureClass, Hook,
    HookId, HookStatus, Odd, Sink, SinkContext, SinkFactory, SizeBatcher, Slice, SliceBuilder, Unread, async_trait,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

/// The receiver, and at once the factory of sinks that lead to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Receiver(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    changed: Notify,
    /// Attempts pass one permit each; closed gates hang.
    gate: Semaphore,
}

impl Default for Inner {
    fn default() -> Self {
        Self { state: Mutex::default(), changed: Notify::new(), gate: Semaphore::new(Semaphore::MAX_PERMITS) }
    }
}

#[derive(Debug, Default)]
struct State {
    attempts: Vec<Attempt>,
    arrived: Vec<String>,
    events: Vec<Envelope>,
    answers: VecDeque<Answer>,
    poison: HashSet<String>,
    large: HashSet<String>,
    builds: usize,
    asked: usize,
    closes: usize,
    takes_no_tests: bool,
    hangs_at_close: bool,
    hangs_with: HashSet<String>,
}

/// One attempt: the batch's id and the ids of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) batch: String,
    pub(crate) events: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Fail(FailureClass),
    Panic,
    /// Takes all events, in an answer that is odd.
    Odd(Unread),
    /// Refuses the event at this place of the batch by name.
    Names(usize),
    /// Takes all events and does not end its answer.
    Endless,
}

impl Receiver {
    /// The next attempts get these answers; then everything is fine again.
    pub(crate) fn answers(&self, answers: impl IntoIterator<Item = Answer>) {
        self.0.state.lock().answers.extend(answers);
    }

    pub(crate) fn fails(&self, class: FailureClass, times: usize) {
        self.answers(std::iter::repeat_n(Answer::Fail(class), times));
    }

    /// A batch with one of these events is rejected.
    pub(crate) fn refuses<'a>(&self, ids: impl IntoIterator<Item = &'a str>) {
        self.0.state.lock().poison.extend(ids.into_iter().map(str::to_owned));
    }

    /// A batch with one of these events is too large.
    pub(crate) fn is_too_much<'a>(&self, ids: impl IntoIterator<Item = &'a str>) {
        self.0.state.lock().large.extend(ids.into_iter().map(str::to_owned));
    }

    pub(crate) fn refuses_nothing(&self) {
        self.0.state.lock().poison.clear();
    }

    pub(crate) fn takes_no_tests(&self) {
        self.0.state.lock().takes_no_tests = true;
    }

    /// From now on sinks that are closed hang.
    pub(crate) fn hangs_at_close(&self) {
        self.0.state.lock().hangs_at_close = true;
    }

    /// Attempts with one of these events hang for ever.
    pub(crate) fn hangs_with<'a>(&self, ids: impl IntoIterator<Item = &'a str>) {
        self.0.state.lock().hangs_with = ids.into_iter().map(str::to_owned).collect();
    }

    /// From now on attempts hang.
    pub(crate) fn hang(&self) {
        self.0.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Hanging attempts go on.
    pub(crate) fn go_on(&self) {
        self.0.gate.add_permits(Semaphore::MAX_PERMITS - self.0.gate.available_permits());
    }

    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.0.state.lock().attempts.clone()
    }

    /// Ids of the events that arrived, in order.
    pub(crate) fn arrived(&self) -> Vec<String> {
        self.0.state.lock().arrived.clone()
    }

    /// The events that arrived, in order.
    pub(crate) fn events(&self) -> Vec<Envelope> {
        self.0.state.lock().events.clone()
    }

    pub(crate) fn builds(&self) -> usize {
        self.0.state.lock().builds
    }

    /// How often the settings were asked for anything.
    pub(crate) fn asked(&self) -> usize {
        self.0.state.lock().asked
    }

    pub(crate) fn closes(&self) -> usize {
        self.0.state.lock().closes
    }

    /// Waits until this many events arrived.
    pub(crate) async fn has(&self, events: usize) {
        self.until(|state| state.arrived.len() >= events).await;
    }

    /// Waits until this many attempts were begun.
    pub(crate) async fn was_tried(&self, attempts: usize) {
        self.until(|state| state.attempts.len() >= attempts).await;
    }

    async fn until(&self, mut reached: impl FnMut(&State) -> bool) {
        before_it_is_late(&self.0.changed, || reached(&self.0.state.lock())).await;
    }
}

impl SinkFactory for Receiver {
    fn kind(&self) -> &str {
        "test"
    }

    fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        let mut state = self.0.state.lock();
        state.builds += 1;
        state.asked += 1;
        Ok(Box::new(ReceiverSink(self.0.clone(), false)))
    }

    fn batch_limits(&self) -> BatchLimits {
        self.0.state.lock().asked += 1;
        BatchLimits::default()
    }

    fn batcher(&self, limits: BatchLimits, overhead: usize) -> Box<dyn Batcher> {
        self.0.state.lock().asked += 1;
        Box::new(SizeBatcher::new(limits, overhead))
    }

    fn takes_tests(&self) -> bool {
        !self.0.state.lock().takes_no_tests
    }
}

/// And whether it has an answer that does not end.
struct ReceiverSink(Arc<Inner>, bool);

#[async_trait]
impl Sink for ReceiverSink {
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        let ids: Vec<String> = batch.events().map(|event| event.id().to_owned()).collect();
        let answer = {
            let mut state = self.0.state.lock();
            state.attempts.push(Attempt { batch: batch.id().to_string(), events: ids.clone() });
            state.answers.pop_front()
        };
        self.0.changed.notify_waiters();
        let _permit = self.0.gate.acquire().await.unwrap();
        if ids.iter().any(|id| self.0.state.lock().hangs_with.contains(id)) {
            std::future::pending::<()>().await;
        }
        match answer {
            Some(Answer::Fail(class)) => return Err(DeliveryError::new(class, "scripted")),
            Some(Answer::Panic) => panic!("scripted"),
            Some(Answer::Endless) => {
                self.1 = true;
                std::future::pending::<()>().await;
            }
            Some(Answer::Odd(unread)) => {
                let odd = Some(Odd { what: "scripted".into(), unread });
                return Ok(Delivered { odd, ..Delivered::all() });
            }
            Some(Answer::Names(at)) => {
                return Ok(Delivered { refused: vec![(at, "named".into())], ..Delivered::all() });
            }
            None => {}
        }
        let mut state = self.0.state.lock();
        if ids.iter().any(|id| state.large.contains(id)) {
            return Err(DeliveryError::new(FailureClass::TooLarge, "scripted"));
        }
        if ids.iter().any(|id| state.poison.contains(id)) {
            return Err(DeliveryError::rejected("poisoned"));
        }
        state.arrived.extend(ids);
        state.events.extend(batch.events().cloned());
        drop(state);
        self.0.changed.notify_waiters();
        Ok(Delivered::all())
    }

    fn cut_short(&mut self, _: &Batch) -> Option<Result<Delivered, DeliveryError>> {
        std::mem::take(&mut self.1).then(|| Ok(Delivered::all()))
    }

    async fn close(&mut self) -> Result<(), DeliveryError> {
        self.0.state.lock().closes += 1;
        if self.0.state.lock().hangs_at_close {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

/// Waits until something is so, which is looked at whenever the bell rings. On paused time, where nothing else
/// is left to wait for, a test that waits in vain fails at once.
pub(crate) async fn before_it_is_late(bell: &Notify, mut reached: impl FnMut() -> bool) {
    const LATE: Duration = Duration::from_secs(10 * 24 * 3600);
    let wait = async {
        loop {
            let changed = bell.notified();
            if reached() {
                return;
            }
            changed.await;
        }
    };
    assert!(tokio::time::timeout(LATE, wait).await.is_ok(), "it never came");
}

/// A dispatcher on a memory bus.
pub(crate) struct World {
    pub(crate) bus: MemoryBus,
    pub(crate) dispatcher: Dispatcher,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::on(MemoryBus::default())
    }

    pub(crate) fn on(bus: MemoryBus) -> Self {
        let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
        Self { bus, dispatcher }
    }

    pub(crate) async fn add(&self, hook: Hook) {
        self.dispatcher.add(hook).await.unwrap();
    }

    pub(crate) async fn publish(&self, events: &[Envelope]) {
        self.bus.publish(slice(events)).await.unwrap();
    }

    pub(crate) fn status(&self, hook: &str) -> HookStatus {
        let status = self.dispatcher.status().into_iter().find(|status| status.id.as_str() == hook).unwrap();
        assert!(status.counts.balances(), "{}", status.counts);
        status
    }

    /// Shuts down without a limit; every ledger balances.
    pub(crate) async fn finish_leaving_some(&self) -> Vec<HookStatus> {
        let report = self.dispatcher.shutdown(None).await;
        for hook in &report.hooks {
            assert!(hook.counts.balances(), "{}: {}", hook.id, hook.counts);
        }
        report.hooks
    }

    /// Shuts down without a limit; every ledger balances with nothing in hand.
    pub(crate) async fn finish(&self) -> Vec<HookStatus> {
        let report = self.dispatcher.shutdown(None).await;
        for hook in &report.hooks {
            assert!(hook.counts.balances() && hook.counts.in_flight == 0, "{}: {}", hook.id, hook.counts);
        }
        report.hooks
    }
}

pub(crate) fn id(id: &str) -> HookId {
    HookId::new(id).unwrap()
}

/// An event with this id.
pub(crate) fn event(id: &str) -> Envelope {
    typed(id, "test.event", None)
}

pub(crate) fn typed(id: &str, event_type: &str, subject: Option<&str>) -> Envelope {
    let subject = subject.map_or(String::new(), |subject| format!(r#","subject":"{subject}""#));
    let json = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/test","type":"{event_type}","time":"2026-11-23T10:00:00Z"{subject},"data":{{}}}}"#
    );
    Envelope::from_json(json.as_bytes()).unwrap()
}

/// Events named by their numbers.
pub(crate) fn events(range: std::ops::Range<usize>) -> Slice {
    slice(&range.map(|number| event(&number.to_string())).collect::<Vec<_>>())
}

/// Events that were made apart, to be published together.
pub(crate) fn slice(events: &[Envelope]) -> Slice {
    let mut slice = SliceBuilder::new("/test");
    events.iter().for_each(|event| slice.push_envelope(event).unwrap());
    slice.finish()
}

pub(crate) fn ids(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

pub(crate) fn batch(max_events: usize, max_age: &str) -> hooks_core::BatchLimits {
    hooks_core::BatchLimits {
        max_events: max_events.try_into().unwrap(),
        max_age: max_age.parse().unwrap(),
        ..Default::default()
    }
}

pub(crate) fn queue(max_events: usize, overflow: hooks_core::Overflow) -> hooks_core::QueueLimits {
    hooks_core::QueueLimits { max_events: max_events.try_into().unwrap(), overflow, ..Default::default() }
}

/// Runs on a thread of its own, so that a busy loop fails the test instead of hanging it.
pub(crate) fn within_a_minute(test: impl Future<Output = ()> + Send + 'static) {
    let (done, ended) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(test);
        let _ = done.send(());
    });
    assert!(ended.recv_timeout(std::time::Duration::from_secs(60)).is_ok(), "it panicked or never came to an end");
}
