//! Moves events from the outbox to the log: one instance does so at a time, and each could at any time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hooks_core::BusError;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Row;

use super::Inner;
use super::gaps::{Found, Gaps};
use super::link::{Failed, Purpose, RETRY_PAUSE};
use super::tail::LAST;

/// Its connection. A server that can't move events in time gives up before this side does, which moves fewer then.
pub(super) const PURPOSE: Purpose = Purpose {
    name: "sequence",
    begin: "SET statement_timeout = '20s'; SET lock_timeout = '10s'",
    patience: Duration::from_secs(25),
};

/// Most calls whose events are moved at a time.
pub(super) const MOST: i32 = 1_000;

/// After what takes no longer, more are moved the next time; after what takes longer than `SLOW`, one call's alone.
const QUICK: Duration = Duration::from_secs(1);
const SLOW: Duration = Duration::from_secs(5);

/// The time for which the outbox is looked at again and again after an event came, so that publishers need not send
/// notices.
const AWAKE: Duration = Duration::from_secs(2);

/// The pause between looks then.
const AWAKE_PAUSE: Duration = Duration::from_millis(2);

/// The longest pause without a notice: a net, for those that get lost.
const ASLEEP_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause before another instance's lead is looked at.
const FOLLOW_PAUSE: Duration = Duration::from_millis(500);

/// The interval at which all of the outbox is looked at.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Takes the lead, or keeps it. Whoever leads in a session that has ended does not any more. Publishers need not wake who
/// is awake.
const LEAD: &str = "UPDATE hooks.sequencer AS s SET leader = $1, session = pg_backend_pid(), until = clock_timestamp() + $2::float8 * interval '1 second', \
     awake_until = CASE WHEN $3 THEN clock_timestamp() + $4::float8 * interval '1 second' ELSE '-infinity' END \
     WHERE leader = $1 OR leader IS NULL OR NOT hooks.lasts(until, $2) \
     OR NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.pid = s.session) RETURNING true";

const LAST_ID: &str = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM hooks.outbox_id";

const YOUNGEST: &str = "SELECT pg_current_xact_id()::text::bigint";

const SEQUENCE: &str = "SELECT last, ids, oldest, youngest, is_all FROM hooks.sequence($1, $2, $3, $4, $5)";

const NEWEST: &str = "SELECT max(id) FROM hooks.outbox";

/// Leads whenever no other instance does.
pub(super) async fn run(bus: Arc<Inner>) {
    loop {
        let led = lead(&bus).await;
        bus.log_size.lead(false);
        match led {
            // Another one leads.
            Ok(()) => bus.health.works(),
            Err(error) => {
                let error = error.to("give events their positions");
                tracing::warn!(%error, "events get no positions now: trying again");
                bus.health.fails(error);
                sleep(RETRY_PAUSE).await;
            }
        }
        sleep(bus.lease.interval().min(FOLLOW_PAUSE)).await;
    }
}

/// Leads until another instance does.
async fn lead(bus: &Inner) -> Result<(), Failed> {
    if !bus.renew_lead(true).await? {
        return Ok(());
    }
    // In this order: whoever has an id up to the last one has an older transaction than this.
    let last = bus.sequence.one(LAST_ID, &[]).await?.get(0);
    let mut gaps = Gaps::new(last, bus.sequence.one(YOUNGEST, &[]).await?.get(0));
    let mut active = Instant::now();
    let pause = bus.lease.interval().min(AWAKE / 4);
    let (mut renew_at, mut swept, mut awake) = (active + pause, active, true);
    bus.log_size.lead(true);
    tracing::debug!("this instance gives events their positions");
    loop {
        let begun = Instant::now();
        awake = if begun >= active + AWAKE { false } else { awake };
        if begun >= renew_at {
            if !bus.renew_lead(awake).await? {
                return Ok(());
            }
            renew_at = begun + pause;
        }
        let is_sweep = begun >= swept + SWEEP_EVERY;
        let (after, missing) = if is_sweep { (0, Vec::new()) } else { gaps.wanted() };
        let row = bus.step(after, &missing).await?;
        let ids: Vec<i64> = row.get(1);
        let is_all: bool = row.get(4);
        gaps.found(&Found { ids: &ids, is_all, oldest: row.get(2), youngest: row.get(3) });
        bus.health.works();
        if !ids.is_empty() {
            bus.tail.reached(row.get::<_, i64>(0).unsigned_abs());
            active = begun;
            if !awake {
                awake = true;
                renew_at = begun;
            }
        }
        if is_all {
            swept = if is_sweep { begun } else { swept };
            let pause = if awake { AWAKE_PAUSE } else { ASLEEP_PAUSE };
            let _ = timeout(pause, bus.heard.outbox.notified()).await;
        }
    }
}

impl Inner {
    async fn renew_lead(&self, awake: bool) -> Result<bool, Failed> {
        let (lease, awake_for) = (self.lease.length().as_secs_f64(), AWAKE.as_secs_f64());
        Ok(!self.sequence.query(LEAD, &[&self.me, &lease, &awake, &awake_for]).await?.is_empty())
    }

    /// Moves some events. After a failure it is one call's, which has all the server's time, and soon again as many as
    /// before.
    async fn step(&self, after: i64, missing: &Vec<i64>) -> Result<Row, Failed> {
        let (begun, most) = (Instant::now(), self.step.load(Ordering::Relaxed));
        let (length, known_for) = (self.partition_length(), self.config.known_for());
        let moved = self.sequence.one(SEQUENCE, &[&after, missing, &most, &length, &known_for]).await;
        let next = match begun.elapsed() {
            took if moved.is_err() || took > SLOW => 1,
            took if took < QUICK => (2 * most).min(MOST),
            _ => most,
        };
        self.step.store(next, Ordering::Relaxed);
        moved
    }

    /// Gives a position to every event that is committed now, step by step. Returns the last position.
    pub(super) async fn flush(&self) -> Result<u64, BusError> {
        let moved = async {
            let newest: Option<i64> = self.sequence.one(NEWEST, &[]).await?.get(0);
            loop {
                // Also waits for another one who is moving events.
                let row = self.step(0, &Vec::new()).await?;
                // The lowest ids are moved first.
                let highest = row.get::<_, Vec<i64>>(1).into_iter().max();
                if row.get(4) || highest >= newest {
                    return Ok(self.sequence.one(LAST, &[]).await?.get::<_, i64>(0).unsigned_abs());
                }
            }
        };
        let last = moved.await.map_err(|error: Failed| error.to("read the end of the log"))?;
        self.tail.reached(last);
        Ok(last)
    }
}
