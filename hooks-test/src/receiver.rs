//! A receiver that the tests script: what it was sent, and what it answers.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use hooks_core::{
    BatchLimits, BoxError, Envelope, Rate, Sink, async_trait,
    sink::{
        Batch, Batcher, Delivered, DeliveryError, FailureClass, Odd, SinkContext, SinkFactory, SizeBatcher, Unread,
    },
};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::before_it_is_late;

/// The receiver, and at once the factory of sinks that lead to it.
#[derive(Debug, Clone, Default)]
pub struct Receiver(Arc<Inner>);

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
    lines: Vec<String>,
    answers: VecDeque<Answer>,
    poison: HashSet<String>,
    large: HashSet<String>,
    allowed: Option<Rate>,
    builds: usize,
    asked: usize,
    closes: usize,
    takes_no_tests: bool,
    is_down: bool,
    hangs_at_close: bool,
    hangs_with: HashSet<String>,
}

/// One attempt: the batch's id and the ids of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The id of the batch.
    pub batch: String,
    /// The ids of its events.
    pub events: Vec<String>,
}

/// The answer to an attempt that does not just deliver.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Fails with this class.
    Fail(FailureClass),
    /// Panics.
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
    pub fn answers(&self, answers: impl IntoIterator<Item = Answer>) {
        self.0.state.lock().answers.extend(answers);
    }

    /// The next attempts fail with this class, so many times.
    pub fn fails(&self, class: FailureClass, times: usize) {
        self.answers(std::iter::repeat_n(Answer::Fail(class), times));
    }

    /// A batch with one of these events is rejected.
    pub fn refuses<'a>(&self, ids: impl IntoIterator<Item = &'a str>) {
        self.0.state.lock().poison.extend(ids.into_iter().map(str::to_owned));
    }

    /// A batch with one of these events is too large.
    pub fn is_too_much<'a>(&self, ids: impl IntoIterator<Item = &'a str>) {
        self.0.state.lock().large.extend(ids.into_iter().map(str::to_owned));
    }

    /// From now on no batch is rejected.
    pub fn refuses_nothing(&self) {
        self.0.state.lock().poison.clear();
    }

    /// From now on it allows no more attempts than this.
    pub fn allows(&self, rate: &str) {
        self.0.state.lock().allowed = rate.parse().ok();
    }

    /// From now on no attempt arrives, until it is up again.
    pub fn is_down(&self, down: bool) {
        self.0.state.lock().is_down = down;
    }

    /// From now on there are no test deliveries.
    pub fn takes_no_tests(&self) {
        self.0.state.lock().takes_no_tests = true;
    }

    /// From now on sinks that are closed hang.
    pub fn hangs_at_close(&self) {
        self.0.state.lock().hangs_at_close = true;
    }

    /// Attempts with one of these events hang for ever.
    pub fn hangs_with<'a>(&self, ids: impl IntoIterator<Item = &'a str>) {
        self.0.state.lock().hangs_with = ids.into_iter().map(str::to_owned).collect();
    }

    /// From now on attempts hang.
    pub fn hang(&self) {
        self.0.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Hanging attempts go on.
    pub fn go_on(&self) {
        self.0.gate.add_permits(Semaphore::MAX_PERMITS - self.0.gate.available_permits());
    }

    /// All attempts so far.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.0.state.lock().attempts.clone()
    }

    /// Ids of the events that arrived, in order.
    pub fn arrived(&self) -> Vec<String> {
        self.0.state.lock().arrived.clone()
    }

    /// The events that arrived, in order.
    pub fn events(&self) -> Vec<Envelope> {
        self.0.state.lock().events.clone()
    }

    /// The events that arrived, as they were delivered.
    pub fn lines(&self) -> Vec<String> {
        self.0.state.lock().lines.clone()
    }

    /// How often a sink was built.
    pub fn builds(&self) -> usize {
        self.0.state.lock().builds
    }

    /// How often the settings were asked for anything.
    pub fn asked(&self) -> usize {
        self.0.state.lock().asked
    }

    /// How often a sink was closed.
    pub fn closes(&self) -> usize {
        self.0.state.lock().closes
    }

    /// Waits until this many events arrived.
    pub async fn has(&self, events: usize) {
        self.until(|state| state.arrived.len() >= events).await;
    }

    /// Waits until this many attempts were begun.
    pub async fn was_tried(&self, attempts: usize) {
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
        if state.is_down {
            return Err(DeliveryError::retry("it is down"));
        }
        if ids.iter().any(|id| state.large.contains(id)) {
            return Err(DeliveryError::new(FailureClass::TooLarge, "scripted"));
        }
        if ids.iter().any(|id| state.poison.contains(id)) {
            return Err(DeliveryError::rejected("poisoned"));
        }
        state.arrived.extend(ids);
        state.events.extend(batch.events().cloned());
        state.lines.extend(batch.lines().map(|line| line.into_owned()));
        drop(state);
        self.0.changed.notify_waiters();
        Ok(Delivered::all())
    }

    fn cut_short(&mut self, _: &Batch) -> Option<Result<Delivered, DeliveryError>> {
        std::mem::take(&mut self.1).then(|| Ok(Delivered::all()))
    }

    fn allowed_rate(&self) -> Option<Rate> {
        self.0.state.lock().allowed
    }

    async fn close(&mut self) -> Result<(), DeliveryError> {
        self.0.state.lock().closes += 1;
        if self.0.state.lock().hangs_at_close {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}
