//! Runs one hook: sleeps while there is nothing to do, feeds its lanes while there is.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::timeout;

use super::endpoint::EndpointState;
use super::lane::{BUS_PAUSE, Carry, Exit, LINGER, Lane};
use super::link::Link;
use super::orders::{Mode, Orders};
use super::panic;
use super::queue::{Queue, QueueReader};
use crate::bus::{Bus, Delivery, Read, Reader, Subscription};
use crate::fnv;

/// A hook whose worker has ended, ready for the next one.
pub(crate) struct Parked {
    pub(crate) reader: Box<dyn Reader>,
    pub(crate) carry: Carry,
}

impl Parked {
    pub(crate) fn new(reader: Box<dyn Reader>) -> Self {
        Self { reader, carry: Carry::default() }
    }

    /// For a disabled hook: what is in hand goes back to the bus, where it can give way.
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

/// How long a worker that panicked rests before it is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// How many events the feeder of several lanes takes at once.
const SLICE: usize = 256;

/// Runs a hook.
pub(crate) struct Worker {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) subscription: Subscription,
    pub(crate) link: Link,
    pub(crate) orders: Orders,
}

impl Worker {
    /// Until it is parked, drained or disabled. Should the worker panic, it is started again and the bus
    /// delivers what was not settled once more.
    ///
    /// Boxed, because a future keeps what it was called with twice, and idle hooks are many.
    pub(crate) async fn run(self: Box<Self>, parked: Parked) -> Option<Parked> {
        let mut next = parked;
        loop {
            match AssertUnwindSafe(work(&self.link, next, &self.orders)).catch_unwind().await {
                Ok(parked) => return Some(Box::pin(self.ended(parked)).await),
                Err(panic) => next = Box::pin(self.panicked(panic::text(&*panic))).await?,
            }
        }
    }

    async fn ended(&self, parked: Parked) -> Parked {
        if self.link.endpoint.state.lock().state() == EndpointState::Disabled {
            return parked.put_back(&*self.bus, self.subscription.clone()).await;
        }
        parked
    }

    /// Begins anew, after a rest.
    async fn panicked(&self, panic: String) -> Option<Parked> {
        let hook = &self.link.hook.id;
        tracing::error!(%hook, panic, "the worker panicked and is started again");
        self.link.endpoint.state.lock().suspects = 0;
        let _ = timeout(RESTART_PAUSE, self.orders.beyond(Mode::Drain)).await;
        match self.bus.subscribe(self.subscription.clone()).await {
            Ok((reader, _)) => Some(Parked::new(reader)),
            Err(error) => {
                tracing::error!(%hook, %error, "the worker can't be started again");
                None
            }
        }
    }
}

async fn work(link: &Link, parked: Parked, orders: &Orders) -> Parked {
    let Parked { mut reader, mut carry } = parked;
    loop {
        if carry.is_empty() {
            match sleep(link, &mut *reader, orders).await {
                Ok(first) => carry.loose = first,
                Err(()) => return Parked { reader, carry },
            }
        }
        // Boxed, so that a sleeping hook is small.
        let exit = Box::pin(deliver(link, &mut *reader, &mut carry, orders)).await;
        match exit {
            Exit::Idle => {}
            Exit::Lost => {
                link.settler.hand_over(carry.len());
                carry = Carry::default();
            }
            Exit::Dry | Exit::Parked | Exit::Disabled => return Parked { reader, carry },
        }
    }
}

/// Waits for the first events: as many as a batch has, so that the first batch is not a lone one. `Err`: there will be none, or the hook is parked.
async fn sleep(link: &Link, reader: &mut dyn Reader, orders: &Orders) -> Result<Vec<Delivery>, ()> {
    let mut first = Vec::new();
    loop {
        let mode = orders.mode();
        match mode {
            Mode::Run => {}
            Mode::Drain => reader.close(),
            Mode::Park => return Err(()),
        }
        if !link.replays.is_empty() {
            return Ok(first);
        }
        let found = tokio::select! {
            biased;
            () = orders.beyond(mode) => continue,
            found = reader.next(link.hook.batch.max_events.get(), &mut first) => found,
            // The lane looks for it; nothing is in hand.
            () = link.replays.arrived() => return Ok(first),
        };
        match found {
            Ok(Read::Events(_)) => return Ok(first),
            Ok(Read::Flush) => {}
            Ok(Read::Lost) if mode == Mode::Run => {
                Box::pin(pause(orders, mode)).await;
            }
            Ok(Read::Dry | Read::Lost) => return Err(()),
            Err(error) => {
                tracing::warn!(%error, "events can't be read now");
                Box::pin(pause(orders, mode)).await;
            }
        }
    }
}

/// After the bus failed.
async fn pause(orders: &Orders, mode: Mode) {
    let _ = timeout(BUS_PAUSE, orders.beyond(mode)).await;
}

/// Delivers until there is a reason to stop; what is then in hand is in `carry`.
async fn deliver(link: &Link, reader: &mut dyn Reader, carry: &mut Carry, orders: &Orders) -> Exit {
    let seeds = std::mem::take(carry).into_deliveries();
    if link.hook.lanes.get() > 1 {
        return in_lanes(link, reader, seeds, carry, orders).await;
    }
    let mut lane = Lane::new(link.clone(), 0);
    seeds.into_iter().for_each(|delivery| lane.seed(delivery));
    let exit = lane.run(reader, orders).await;
    *carry = lane.into_carry();
    exit
}

/// One reader feeds several lanes; events that share a key share a lane.
async fn in_lanes(
    link: &Link,
    reader: &mut dyn Reader,
    seeds: Vec<Delivery>,
    carry: &mut Carry,
    orders: &Orders,
) -> Exit {
    let count = link.hook.lanes.get();
    let mut lanes: Vec<_> = (0..count).map(|number| Lane::new(link.clone(), number)).collect();
    seeds.into_iter().for_each(|delivery| lanes[lane_of(&delivery, count)].seed(delivery));
    let queues: Vec<_> = (0..count).map(|_| Queue::new(&link.hook.batch)).collect();
    let lane_orders = Orders::default();
    let mut running: FuturesUnordered<_> = lanes
        .into_iter()
        .zip(&queues)
        .map(async |(mut lane, queue)| {
            let exit = lane.run(&mut QueueReader(queue.clone()), &lane_orders).await;
            (exit, lane)
        })
        .collect();
    let mut feeder = Feeder { link, queues: &queues, lanes: &lane_orders, read: VecDeque::new(), dry: false };
    let mut feeding = true;
    let mut exit = Exit::Dry;
    while !running.is_empty() {
        let ended = tokio::select! {
            biased;
            ended = feeder.run(reader, orders), if feeding => {
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
            lane_orders.give(Mode::Park);
        }
    }
    carry.loose.extend(feeder.read);
    carry.loose.extend(queues.iter().flat_map(|queue| queue.drain()));
    exit
}

/// Hands events from the bus to the lanes. Every step can be cancelled and taken up again.
struct Feeder<'a> {
    link: &'a Link,
    queues: &'a [Arc<Queue>],
    lanes: &'a Orders,
    read: VecDeque<Delivery>,
    dry: bool,
}

impl Feeder<'_> {
    async fn run(&mut self, reader: &mut dyn Reader, orders: &Orders) -> Exit {
        loop {
            let mode = orders.mode();
            match mode {
                Mode::Run => {}
                Mode::Park => return Exit::Parked,
                Mode::Drain => {
                    reader.close();
                    self.lanes.give(Mode::Drain);
                }
            }
            let step = tokio::select! {
                biased;
                () = orders.beyond(mode) => None,
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
        match timeout(LINGER, reader.next(SLICE, &mut read)).await {
            Ok(Ok(Read::Events(_))) => self.read.extend(read),
            Ok(Ok(Read::Flush)) => self.queues.iter().for_each(|queue| queue.flush()),
            Ok(Ok(Read::Dry)) => self.end(),
            Ok(Ok(Read::Lost)) => return Some(Exit::Lost),
            Ok(Err(error)) => {
                tracing::warn!(hook = %self.link.hook.id, %error, "events can't be read now");
                tokio::time::sleep(BUS_PAUSE).await;
            }
            Err(_) if self.link.settler.in_hand() == 0 => {
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
    let key = delivery.envelope.partition_key().or(delivery.envelope.subject()).unwrap_or_default();
    let hash = fnv::hash(key.bytes());
    (hash % lanes as u64) as usize
}
