//! Runs one hook: sleeps while there is nothing to do, feeds its lanes while there is.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::timeout;

use super::hook_context::HookContext;
use super::lane::{BUS_PAUSE, Carry, Exit, IDLE_TIMEOUT, Lane};
use super::panic;
use super::queue::{Queue, QueueReader};
use super::stop_signal::{Mode, StopSignal};
use crate::bus::{Bus, Delivery, Read, Reader, Subscription};
use crate::fnv::stable_hash;

/// A hook whose worker has ended, ready for the next one.
pub(crate) struct Parked {
    pub(crate) reader: Box<dyn Reader>,
    pub(crate) carry: Carry,
}

impl Parked {
    pub(crate) fn new(reader: Box<dyn Reader>) -> Self {
        Self { reader, carry: Carry::default() }
    }

    /// Gives the events in flight of a disabled hook back to the bus, which can evict them.
    pub(crate) async fn put_back(mut self, bus: &dyn Bus, subscription: Subscription) -> Self {
        if !self.carry.is_empty()
            && let Ok((reader, _)) = bus.subscribe(subscription).await
        {
            self = Self::new(reader);
        }
        self.reader.set_enabled(false);
        self
    }
}

/// Pause before a worker that panicked is started again.
const PANIC_PAUSE: Duration = Duration::from_secs(1);

/// Maximum number of events that the feeder of several lanes reads at once.
const SLICE: usize = 256;

/// Runs a hook.
pub(crate) struct Worker {
    pub(crate) subscription: Subscription,
    pub(crate) context: HookContext,
    pub(crate) stop: StopSignal,
}

impl Worker {
    /// Runs until the hook is parked, drained or disabled. A worker that panics is started again, and the bus
    /// delivers the unsettled events again.
    ///
    /// What it is called with is boxed, because a future keeps that twice, and idle hooks are many.
    pub(crate) async fn run(&self, mut parked: Box<Parked>) -> Option<Box<Parked>> {
        loop {
            match AssertUnwindSafe(work(&self.context, &mut parked, &self.stop)).catch_unwind().await {
                Ok(()) => return Some(Box::pin(self.ended(parked)).await),
                Err(panic) => {
                    drop(parked);
                    parked = Box::pin(self.panicked(panic::text(&*panic))).await?;
                }
            }
        }
    }

    async fn ended(&self, parked: Box<Parked>) -> Box<Parked> {
        if self.context.is_disabled() {
            return Box::new(parked.put_back(&*self.context.bus, self.subscription.clone()).await);
        }
        parked
    }

    /// Subscribes again after a pause.
    async fn panicked(&self, panic: String) -> Option<Box<Parked>> {
        let hook = &self.context.hook.id;
        tracing::error!(%hook, panic, "the worker panicked and is started again");
        self.context.endpoint.state.lock().suspects = 0;
        let _ = timeout(PANIC_PAUSE, self.stop.raised_above(Mode::Drain)).await;
        match self.context.bus.subscribe(self.subscription.clone()).await {
            Ok((reader, _)) => Some(Box::new(Parked::new(reader))),
            Err(error) => {
                tracing::error!(%hook, %error, "the worker can't be started again: the hook delivers nothing until it is changed");
                None
            }
        }
    }
}

async fn work(context: &HookContext, parked: &mut Parked, stop: &StopSignal) {
    loop {
        if parked.carry.is_empty() {
            match sleep(context, &mut *parked.reader, stop).await {
                Ok(first) => parked.carry.loose = first,
                Err(()) => return,
            }
        }
        // Boxed, so that a sleeping hook is small.
        let exit = Box::pin(deliver(context, &mut *parked.reader, &mut parked.carry, stop)).await;
        match exit {
            Exit::Idle => {}
            Exit::Lost => {
                context.settler.hand_over(parked.carry.len());
                context.forget_failing();
                parked.carry = Carry::default();
            }
            Exit::Dry | Exit::Parked | Exit::Disabled => return,
        }
    }
}

/// Waits for the first events: as many as a batch has, so that the first batch is not a lone one. `Err`: none will
/// come, or the hook is parked.
async fn sleep(context: &HookContext, reader: &mut dyn Reader, stop: &StopSignal) -> Result<Vec<Delivery>, ()> {
    let mut first = Vec::new();
    loop {
        let mode = stop.mode();
        match mode {
            Mode::Run => {}
            Mode::Drain => reader.close(),
            Mode::Park => return Err(()),
        }
        if !context.resends.is_empty() {
            return Ok(first);
        }
        let found = tokio::select! {
            biased;
            () = stop.raised_above(mode) => continue,
            found = reader.next(context.hook.batch.max_events.get(), &mut first) => found,
            // The lane looks for it; nothing is in hand.
            () = context.resends.arrived() => return Ok(first),
        };
        match found {
            Ok(Read::Events(_)) => return Ok(first),
            Ok(Read::Flush) => {}
            Ok(Read::Lost) if mode == Mode::Run => {
                Box::pin(pause(stop, mode)).await;
            }
            Ok(Read::Dry | Read::Lost) => return Err(()),
            Err(error) => {
                tracing::warn!(hook = %context.hook.id, %error, "events can't be read now: tried again in a second");
                Box::pin(pause(stop, mode)).await;
            }
        }
    }
}

/// Pauses after the bus failed.
async fn pause(stop: &StopSignal, mode: Mode) {
    let _ = timeout(BUS_PAUSE, stop.raised_above(mode)).await;
}

/// Delivers until there is a reason to stop. Leaves the events in flight in `carry`.
async fn deliver(context: &HookContext, reader: &mut dyn Reader, carry: &mut Carry, stop: &StopSignal) -> Exit {
    let seeds = std::mem::take(carry).into_deliveries();
    if context.hook.lanes.get() > 1 {
        return in_lanes(context, reader, seeds, carry, stop).await;
    }
    let mut lane = Lane::new(context.clone(), 0);
    seeds.into_iter().for_each(|delivery| lane.seed(delivery));
    let exit = lane.run(reader, stop).await;
    *carry = lane.into_carry();
    exit
}

/// Feeds several lanes from one reader; events that share a key share a lane.
async fn in_lanes(
    context: &HookContext,
    reader: &mut dyn Reader,
    seeds: Vec<Delivery>,
    carry: &mut Carry,
    stop: &StopSignal,
) -> Exit {
    let count = context.hook.lanes.get();
    let mut lanes: Vec<_> = (0..count).map(|number| Lane::new(context.clone(), number)).collect();
    seeds.into_iter().for_each(|delivery| lanes[lane_of(&delivery, count)].seed(delivery));
    let queues: Vec<_> = (0..count).map(|_| Queue::new(&context.hook.batch)).collect();
    let lane_stop = StopSignal::default();
    let mut running: FuturesUnordered<_> = lanes
        .into_iter()
        .zip(&queues)
        .map(async |(mut lane, queue)| {
            let exit = lane.run(&mut QueueReader(queue.clone()), &lane_stop).await;
            (exit, lane)
        })
        .collect();
    let mut feeder = Feeder { context, queues: &queues, lanes: &lane_stop, read: VecDeque::new(), dry: false };
    let mut feeding = true;
    let mut exit = Exit::Dry;
    while !running.is_empty() {
        let ended = tokio::select! {
            biased;
            ended = feeder.run(reader, stop), if feeding => {
                feeding = false;
                ended
            }
            Some((ended, lane)) = running.next() => {
                carry.extend(lane.into_carry());
                ended
            }
        };
        if exit == Exit::Dry {
            exit = ended;
        }
        if matches!(ended, Exit::Parked | Exit::Disabled | Exit::Lost) {
            feeding = false;
            lane_stop.send(Mode::Park);
        }
    }
    carry.loose.extend(feeder.read);
    carry.loose.extend(queues.iter().flat_map(|queue| queue.drain()));
    exit
}

/// Hands events from the bus to the lanes. Every step can be cancelled and taken up again.
struct Feeder<'a> {
    context: &'a HookContext,
    queues: &'a [Arc<Queue>],
    lanes: &'a StopSignal,
    read: VecDeque<Delivery>,
    dry: bool,
}

impl Feeder<'_> {
    async fn run(&mut self, reader: &mut dyn Reader, stop: &StopSignal) -> Exit {
        loop {
            let mode = stop.mode();
            match mode {
                Mode::Run => {}
                Mode::Park => return Exit::Parked,
                Mode::Drain => {
                    reader.close();
                    self.lanes.send(Mode::Drain);
                }
            }
            let step = tokio::select! {
                biased;
                () = stop.raised_above(mode) => None,
                step = self.step(reader) => step,
            };
            if let Some(exit) = step {
                return exit;
            }
        }
    }

    async fn step(&mut self, reader: &mut dyn Reader) -> Option<Exit> {
        if let Some(delivery) = self.read.front() {
            let queue = &self.queues[lane_of(delivery, self.queues.len())];
            queue.room().await;
            self.read.pop_front().into_iter().for_each(|delivery| queue.put(delivery));
            return None;
        }
        if self.dry {
            return std::future::pending().await;
        }
        let mut read = Vec::new();
        match timeout(IDLE_TIMEOUT, reader.next(SLICE, &mut read)).await {
            Ok(Ok(Read::Events(_))) => self.read.extend(read),
            Ok(Ok(Read::Flush)) => self.queues.iter().for_each(|queue| queue.flush()),
            Ok(Ok(Read::Dry)) => self.end(),
            Ok(Ok(Read::Lost)) => return Some(Exit::Lost),
            Ok(Err(error)) => {
                tracing::warn!(hook = %self.context.hook.id, %error, "events can't be read now: tried again in a second");
                tokio::time::sleep(BUS_PAUSE).await;
            }
            Err(_) if self.context.settler.in_flight() == 0 && self.context.resends.is_done() => {
                self.end();
                return Some(Exit::Idle);
            }
            Err(_) => {}
        }
        None
    }

    fn end(&mut self) {
        self.dry = true;
        self.queues.iter().for_each(|queue| queue.end());
    }
}

/// The lane of an event: a hash (FNV-1a) of its `partitionkey`, else its `subject`.
fn lane_of(delivery: &Delivery, lanes: usize) -> usize {
    let key = delivery.envelope().partition_key().or(delivery.envelope().subject()).unwrap_or_default();
    let hash = stable_hash(key.bytes());
    (hash % lanes as u64) as usize
}
