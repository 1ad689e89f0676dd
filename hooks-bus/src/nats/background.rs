//! The background tasks: heartbeats, checkpoints, and checks of what is on the server.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use hooks_core::BusError;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::Inner;
use super::checkpointer::MAX_WRITES;
use super::connect::{message, unavailable};
use super::examine::Examined;
use super::health::Part;
use super::hook::Hook;
use super::record::Key;
use super::registry::Change;
use super::step::Place;

/// The shortest time from checkpoints to the next ones: with that of a write, positions are written within 100 ms.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(80);

/// The longest, after which also positions are written that moved over what does not concern the hook, or could not be
/// written.
const CHECKPOINT_AFTER: Duration = Duration::from_millis(700);

/// The interval at which the stream's end is read.
const TAIL_INTERVAL: Duration = Duration::from_secs(2);

/// Waiting hooks that one round checks, in turn, besides those with new consumers.
const HOOKS_PER_CHECK: usize = 64;

/// The longest pause before a heartbeat that failed is sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Starts all tasks; they end when the set is dropped.
pub(super) fn start(bus: &Arc<Inner>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(send_heartbeats(bus.clone()));
    tasks.spawn(super::hearing::run(bus.clone()));
    tasks.spawn(checkpoint_hooks(bus.clone()));
    tasks.spawn(monitor(bus.clone()));
    tasks.spawn(super::rebalance::run(bus.clone()));
    tasks
}

/// Sends heartbeats, which renew the lease, until the lease is given up.
async fn send_heartbeats(bus: Arc<Inner>) {
    let mut times = interval(bus.lease.interval());
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        if bus.lease.is_given_up() {
            return;
        }
        let sent = Instant::now();
        let lapsed = !bus.lease.holds(sent);
        let error = match timeout(bus.config.lease.get() / 2, bus.send_heartbeat(lapsed)).await {
            Ok(Ok(())) => {
                let lapses = !bus.lease.holds(Instant::now());
                if lapses {
                    // Others may own the hooks by now: the next write shows it.
                    bus.hooks.lock().values().for_each(|hook| hook.unverify());
                }
                // A lease that lapses only now is renewed with the next heartbeat, which reads overrides.
                if lapsed || !lapses {
                    bus.lease.renew(sent);
                }
                if lapsed {
                    bus.rebalance_needed.notify_one();
                }
                bus.health.works(Part::Heartbeats);
                continue;
            }
            Ok(Err(error)) => error,
            Err(_) => BusError::Unavailable("no answer".to_owned()),
        };
        tracing::warn!(%error, "NATS did not take this instance's heartbeat: without one, the lease runs out");
        times.reset_after(RETRY_PAUSE.min(bus.lease.interval()));
        if !bus.lease.holds(Instant::now()) {
            bus.health.fails(
                Part::Heartbeats,
                format!("nothing is delivered, because no heartbeat is taken: {}", message(error)),
            );
        }
    }
}

/// Writes positions that moved: the first after a pause at once.
async fn checkpoint_hooks(bus: Arc<Inner>) {
    loop {
        let _ = timeout(CHECKPOINT_AFTER, bus.settled.notified()).await;
        let begun = Instant::now();
        let hooks: Vec<_> = bus.hooks.lock().values().filter(|hook| hook.is_owned()).cloned().collect();
        let bus = &bus;
        stream::iter(hooks).for_each_concurrent(MAX_WRITES, |hook| async move { bus.checkpoint(&hook).await }).await;
        sleep_until(begun + CHECKPOINT_EVERY).await;
    }
}

/// Reads the stream's end, moves idle hooks there, and examines what else is on the server.
async fn monitor(bus: Arc<Inner>) {
    let mut times = interval(TAIL_INTERVAL);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut checks, mut examined) = (0_u32, Examined::default());
    loop {
        tokio::select! {
            _ = times.tick() => {}
            // Counts dead letters of acquired hooks, which other instances kept.
            () = bus.acquired.notified() => checks = 0,
        }
        // The end of the round before: by now every server knows it.
        let end = bus.tail().last;
        match bus.refresh_tail().await {
            Ok(_) => bus.check_waiting_hooks(end, checks as usize).await,
            Err(error) => bus.health.fails(Part::Events, message(error)),
        }
        bus.examine(&mut examined, checks).await;
        checks = checks.wrapping_add(1);
    }
}

impl Inner {
    /// Writes a heartbeat. After a silence (`lapsed`), also reads the overrides that were set during it, before this
    /// instance goes on with its hooks.
    async fn send_heartbeat(&self, lapsed: bool) -> Result<(), BusError> {
        let put = async {
            let machine = self.lease.mark().map_or("", |mark| mark.machine()).to_owned();
            let put = self.storage.bucket.put(Key::Alive(&self.me).to_string(), machine.into()).await;
            put.map_err(|error| unavailable("write to the bucket", &error))
        };
        let overrides = async {
            let reads = lapsed && !self.hooks.lock().is_empty();
            if reads { self.catch_up_on_overrides().await } else { Ok(()) }
        };
        tokio::try_join!(put, overrides).map(drop)
    }

    /// Tells hooks and tasks about a change of the bucket.
    pub(super) fn apply(&self, change: Change) {
        match change {
            Change::None => {}
            Change::Rebalance => {
                self.rebalance_needed.notify_one();
                self.member_joined.notify_one();
            }
            Change::Override { token } => self.override_seen(&token),
            Change::Definition => self.defined.notify_one(),
            Change::Hook { token, revision, mine } => {
                let hook = self.hooks.lock().values().find(|hook| hook.tag.token == token).cloned();
                let Some(hook) = hook else { return };
                if mine {
                    hook.confirm(revision);
                } else {
                    hook.lose(revision);
                    self.rebalance_needed.notify_one();
                }
            }
        }
    }

    /// Checks waiting hooks: where the stream has nothing for one up to this end, its position moves there, so that it
    /// does not seem to lag; where it has something, the consumer fails to bring it, and a new one is opened. That
    /// happens to consumers made while servers die and come back: their server is behind the others, or has not told
    /// them of new events. So hooks with new consumers are checked each time.
    async fn check_waiting_hooks(&self, end: u64, turn: usize) {
        let mut hooks: Vec<_> = self.hooks.lock().values().filter(|hook| hook.is_owned()).cloned().collect();
        hooks.sort_by(|a, b| a.tag.token.cmp(&b.tag.token));
        let begin = if hooks.is_empty() { 0 } else { turn * HOOKS_PER_CHECK % hooks.len() };
        hooks.rotate_left(begin);
        let now = Instant::now();
        let checked = hooks.iter().enumerate().filter_map(|(at, hook)| {
            let place = hook.waiting_place().filter(|place| place.after < end)?;
            (at < HOOKS_PER_CHECK || place.is_fresh(now)).then(|| (hook.clone(), place))
        });
        let checked: Vec<(Arc<Hook>, Place)> = checked.collect();
        let check =
            |(hook, place): (Arc<Hook>, Place)| async move { self.check_waiting_hook(&hook, &place, end).await };
        stream::iter(checked).for_each_concurrent(MAX_WRITES, check).await;
    }

    async fn check_waiting_hook(&self, hook: &Hook, place: &Place, end: u64) {
        match self.has_nothing(place, end).await {
            Ok(true) => hook.pass(place, end),
            Ok(false) => {
                tracing::debug!(hook = %hook.id, after = place.after, end, "the consumer does not bring events that are there: a new one is opened");
                hook.reopen(place);
            }
            Err(error) => tracing::debug!(hook = %hook.id, %error, "can't check for events of the waiting hook now"),
        }
    }
}
