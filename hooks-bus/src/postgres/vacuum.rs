//! Keeps the outbox small. Its rows are dead within milliseconds, and autovacuum looks at it once a minute by default.

use std::sync::Arc;
use std::time::Duration;

use hooks_core::BusError;
use tokio::time::{sleep, timeout};

use super::Inner;
use super::connect::{self, failed};

/// The outbox is vacuumed when so many events went through it, or so many bytes of them: about what it holds at most.
const EVENTS: u64 = 20_000;
const BYTES: u64 = 32 << 20;

/// It is also vacuumed when nothing came for so long. Only then room at its end is given back to the disk, which keeps
/// publishers out for a moment.
const QUIET: Duration = Duration::from_secs(5);

/// The pause after an attempt that failed.
const PAUSE: Duration = Duration::from_secs(10);

/// A large outbox takes longer than other statements may.
const BEGIN: &str = "SET statement_timeout = '10min'";

/// If somebody else is at it, as autovacuum is, the outbox is left to that.
const BUSY: &str = "VACUUM (SKIP_LOCKED, PARALLEL 0, TRUNCATE false) hooks.outbox";
/// Where few rows are dead, what is left of them in pages would keep these from being given back, so that goes, too.
const REST: &str = "VACUUM (SKIP_LOCKED, PARALLEL 0, INDEX_CLEANUP ON) hooks.outbox";

/// Vacuums as long as this instance gives positions.
pub(super) async fn run(bus: Arc<Inner>) {
    let mut ready = bus.tail.ready();
    let through = || (bus.tail.last(), bus.tail.read_bytes());
    let mut done = through();
    // When it was quiet.
    let mut rested = done;
    loop {
        let is_quiet = match timeout(QUIET, ready.changed()).await {
            Err(_) => true,
            Ok(Ok(())) => false,
            Ok(Err(_)) => return,
        };
        let now = through();
        let is_much = now.0 >= done.0.saturating_add(EVENTS) || now.1 >= done.1.saturating_add(BYTES);
        if !(is_much || is_quiet && now != rested) {
            continue;
        }
        done = now;
        rested = if is_quiet { now } else { rested };
        if !bus.log_size.leads() {
            continue;
        }
        // What it lacks, a connection or a right, autovacuum has.
        if let Err(error) = vacuum(&bus, if is_quiet { REST } else { BUSY }).await {
            tracing::debug!(%error, "the outbox can't be vacuumed now: it is left to autovacuum");
            sleep(PAUSE).await;
        }
    }
}

/// Vacuums on a connection of its own, since nothing else can be done on it meanwhile.
async fn vacuum(bus: &Inner, how: &str) -> Result<(), BusError> {
    let (client, wire) = connect::connect(&bus.config, "vacuum").await?;
    let work = async {
        connect::set_up(&client).await?;
        let begun = client.batch_execute(BEGIN).await;
        begun.map_err(|error| failed("begin to vacuum the outbox", &error))?;
        client.batch_execute(how).await.map_err(|error| failed("vacuum the outbox", &error))
    };
    tokio::select! {
        done = work => done,
        ended = wire => Err(ended.err().map_or(BusError::Closed, |error| failed("vacuum the outbox", &error))),
    }
}
