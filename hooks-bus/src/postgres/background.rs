//! The background tasks: heartbeats, and the tasks of the other modules.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::Inner;
use super::connect::message;
use super::publish::Calls;

/// The longest pause before a heartbeat that failed is sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

const HEARTBEAT: &str = "INSERT INTO hooks.instances (instance, machine, until, lease) \
     VALUES ($1, $2, clock_timestamp() + $3::float8 * interval '1 second', $3) \
     ON CONFLICT (instance) DO UPDATE SET until = excluded.until, lease = excluded.lease";

/// Starts all tasks but those of connections; they end when the set is aborted.
pub(super) fn start(bus: &Arc<Inner>, calls: Calls, tasks: &mut JoinSet<()>) {
    tasks.spawn(send_heartbeats(bus.clone()));
    tasks.spawn(super::publish::run(bus.clone(), calls));
    tasks.spawn(super::sequencer::run(bus.clone()));
    tasks.spawn(super::tail::run(bus.clone()));
    tasks.spawn(super::retention::run(bus.clone()));
    tasks.spawn(super::vacuum::run(bus.clone()));
    tasks.spawn(super::refresh::run(bus.clone()));
    tasks.spawn(super::rebalance::run(bus.clone()));
    tasks.spawn(super::checkpointer::run(bus.clone()));
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
        let why = match timeout(bus.config.lease.get() / 2, bus.send_heartbeat()).await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => message(error),
            Err(_) => "no answer".to_owned(),
        };
        tracing::warn!(error = why, "Postgres did not take this instance's heartbeat: without one, the lease runs out");
        times.reset_after(RETRY_PAUSE.min(bus.lease.interval()));
    }
}

impl Inner {
    /// Writes a heartbeat. After a silence, also reads what was written during it, before this instance goes on with its
    /// hooks.
    pub(super) async fn send_heartbeat(&self) -> Result<(), hooks_core::BusError> {
        let sent = Instant::now();
        let lapsed = !self.lease.holds(sent);
        let machine = self.lease.mark().map_or("", |mark| mark.machine());
        let length = self.lease.length().as_secs_f64();
        let written = self.work.query(HEARTBEAT, &[&self.me, &machine, &length]).await;
        written.map_err(|error| error.to("write a heartbeat"))?;
        if lapsed {
            self.refresh().await?;
        }
        let lapses = !self.lease.holds(Instant::now());
        if lapses {
            // Others may own the hooks by now: the next write shows it.
            self.hooks.lock().values().for_each(|hook| hook.unverify());
        }
        // A lease that lapses only now is renewed with the next heartbeat, which reads overrides.
        if lapsed || !lapses {
            self.lease.renew(sent);
        }
        if lapsed {
            self.settled.notify_one();
            self.rebalance_needed.notify_one();
        }
        Ok(())
    }
}
