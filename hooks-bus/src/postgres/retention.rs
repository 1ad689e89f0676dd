//! How long the log keeps events, and what happens when it is full.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hooks_core::BusError;
use tokio::time::timeout;
use tokio_postgres::Row;

use super::Inner;

/// The interval at which the size of the log is looked at, unless it grows by a part of its limit before.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A log has at least so many partitions at its limit: it gives up that part of itself at a time.
const PARTITIONS: u64 = 32;

/// A partition whose events are larger than those before ends before its positions do: at so many times its part of the
/// limit.
const LONGEST: u64 = 2;

/// Positions of a partition: of small events not too many, since a partition is given up as a whole, and of large ones not
/// too few, since a statement looks at each partition.
const LENGTHS: (u64, u64) = (1_000, 1_000_000);

/// Bytes that an event takes beside itself.
const OVERHEAD: u64 = 100;

/// Bytes of an event, until some were seen.
const TYPICAL: u64 = 1_000;

/// The partitions, oldest first: their bytes, whether all hooks have passed them, whether the last position is their end,
/// so that they stay though they were passed, whether it is in them and not their end, and whether they are older than
/// wanted.
const PARTITIONS_OF_LOG: &str = "SELECT first, pg_total_relation_size(to_regclass('hooks.log_' || first))::bigint, \
     past - 1 <= least((SELECT min(position) FROM hooks.cursors), last), past - 1 = last, \
     first <= last AND last < past - 1, \
     coalesce((SELECT at FROM hooks.log WHERE position = past - 1) < clock_timestamp() - $1::float8 * interval '1 second', true) \
     FROM hooks.partitions, hooks.last_position() AS last ORDER BY first";

/// Most rows that were no events, and bytes of them, that are kept.
const MOST_REFUSED: i64 = 10_000;
const REFUSED_BYTES: i64 = 64 << 20;

/// Removes the oldest of them, and counts these.
const TRIM: &str = "WITH gone AS (DELETE FROM hooks.refused WHERE id IN (SELECT id FROM (SELECT id, \
     row_number() OVER newest AS n, sum(pg_column_size(event)) OVER newest AS bytes FROM hooks.refused \
     WINDOW newest AS (ORDER BY id DESC)) AS r WHERE n > $1 OR bytes > $2) RETURNING position) \
     UPDATE hooks.sequencer SET refused_gone = refused_gone + (SELECT count(*) FROM gone), \
     refused_to = greatest(refused_to, (SELECT max(position) FROM gone)) WHERE EXISTS (SELECT FROM gone)";

const COUNTS: &str = "SELECT refused_gone, (SELECT count(*) FROM hooks.refused), repeated, \
     extract(epoch FROM clock_timestamp() - nullif(known_since, '-infinity'))::float8 FROM hooks.sequencer";

const TURN_NAMES: &str = "SELECT hooks.turn_names($1, $2)";

const DROP: &str = "SELECT hooks.drop_partition($1)";

const END: &str = "SELECT hooks.end_partition($1)";

const SET_FULL: &str = "UPDATE hooks.sequencer SET is_full = $1 WHERE is_full <> $1";

/// The size of the log.
#[derive(Debug, Default)]
pub(super) struct LogSize {
    bytes: AtomicU64,
    /// Number of these that all hooks have passed.
    retained: AtomicU64,
    refused: AtomicU64,
    /// Those of them that are no longer kept.
    refused_gone: AtomicU64,
    /// Events that were published again in SQL.
    repeated: AtomicU64,
    /// The seconds for which names of events are known, where there were more than are kept. 0: there were not.
    known_for: AtomicU64,
    /// This instance drops partitions.
    leads: AtomicBool,
}

impl LogSize {
    pub(super) fn lead(&self, leads: bool) {
        self.leads.store(leads, Ordering::Relaxed);
    }

    /// True if this instance gives positions, and keeps house.
    pub(super) fn leads(&self) -> bool {
        self.leads.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The number of rows that were no events.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn refused_gone(&self) -> u64 {
        self.refused_gone.load(Ordering::Relaxed)
    }

    pub(super) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// How long an event is known now, of this time at most.
    pub(super) fn known_for(&self, most: Duration) -> Duration {
        match self.known_for.load(Ordering::Relaxed) {
            0 => most,
            seconds => most.min(Duration::from_secs(seconds)),
        }
    }

    pub(super) fn retained(&self) -> u64 {
        self.retained.load(Ordering::Relaxed)
    }
}

/// Looks at the log, and drops what is to go.
pub(super) async fn run(bus: Arc<Inner>) {
    loop {
        bus.keep_house().await;
        let (looked, part) = (bus.tail.read_bytes(), bus.config.max_bytes.bytes() / PARTITIONS);
        let mut ready = bus.tail.ready();
        let grown = async {
            // The bus ends before its tail does.
            while bus.tail.read_bytes() < looked + part && ready.changed().await.is_ok() {}
        };
        let _ = timeout(LOOK_EVERY, grown).await;
    }
}

/// The size of a partition.
fn bytes(row: &Row) -> u64 {
    row.get::<_, Option<i64>>(1).unwrap_or(0).unsigned_abs()
}

impl Inner {
    /// Looks once. What fails is tried again with the next look.
    pub(super) async fn keep_house(&self) {
        if let Err(error) = self.retain().await {
            tracing::debug!(%error, "can't look at the size of the log now: trying again");
        }
    }

    async fn retain(&self) -> Result<(), BusError> {
        let seconds = self.config.retain.get().as_secs_f64();
        let rows = self.reading.query(PARTITIONS_OF_LOG, &[&seconds]).await;
        let rows = rows.map_err(|error| error.to("read the size of the log"))?;
        let passed = |row: &&Row| row.get::<_, bool>(2);
        let (mut total, most) = (rows.iter().map(bytes).sum::<u64>(), self.config.max_bytes.bytes());
        let mut retained: u64 = rows.iter().take_while(passed).map(bytes).sum();
        let leads = self.log_size.leads();
        for row in rows.iter().take_while(passed).filter(|_| leads) {
            let is_old: bool = row.get(5);
            if !is_old && total <= most {
                break;
            }
            let first: i64 = row.get(0);
            match self.reading.one(DROP, &[&first]).await {
                Ok(dropped) if dropped.get(0) => {
                    tracing::debug!(first, "dropped a partition of the log");
                    (total, retained) = (total - bytes(row), retained - bytes(row));
                }
                // It has the last position, or a hook has gone back.
                Ok(_) => break,
                Err(error) => {
                    let error = error.to("drop a partition of the log");
                    tracing::debug!(%error, "it is tried again");
                    break;
                }
            }
        }
        self.log_size.bytes.store(total, Ordering::Relaxed);
        self.log_size.retained.store(retained, Ordering::Relaxed);
        if leads {
            self.end_large(&rows).await;
            // One that hooks have passed goes when the next event is there, so it doesn't keep that out.
            let stays = |row: &&Row| passed(row) && row.get(3);
            let is_full = total - rows.iter().filter(stays).map(bytes).sum::<u64>() > most;
            let set = self.work.query(SET_FULL, &[&is_full]).await;
            set.map_err(|error| error.to("say whether the log is full"))?;
            let trimmed = self.work.query(TRIM, &[&MOST_REFUSED, &REFUSED_BYTES]).await;
            trimmed.map_err(|error| error.to("remove old rows that are no events"))?;
            let (known_for, ids) = (self.config.known_for(), i64::from(self.config.duplicate_ids));
            if known_for > 0.0 {
                let turned = self.reading.query(TURN_NAMES, &[&known_for, &ids]).await;
                turned.map_err(|error| error.to("forget the names of old events"))?;
            }
        }
        let counted = self.reading.one(COUNTS, &[]).await;
        let counted = counted.map_err(|error| error.to("count rows that are no events"))?;
        let known_for = counted.get::<_, Option<f64>>(3).map_or(0, |seconds| seconds.ceil() as u64);
        self.log_size.known_for.store(known_for, Ordering::Relaxed);
        self.log_size.repeated.store(counted.get::<_, i64>(2).unsigned_abs(), Ordering::Relaxed);
        let (gone, kept): (i64, i64) = (counted.get(0), counted.get(1));
        self.log_size.refused.store((gone + kept).unsigned_abs(), Ordering::Relaxed);
        self.log_size.refused_gone.store(gone.unsigned_abs(), Ordering::Relaxed);
        Ok(())
    }

    /// Ends the partition that events go to, if it is too large: as long as it goes on it can't be dropped.
    async fn end_large(&self, rows: &[Row]) {
        let longest = self.config.max_bytes.bytes() / PARTITIONS * LONGEST;
        let Some(row) = rows.iter().find(|row| row.get(4) && bytes(row) > longest) else { return };
        let first: i64 = row.get(0);
        match self.reading.one(END, &[&first]).await {
            Ok(_) => tracing::debug!(first, "ended a partition of the log"),
            Err(error) => {
                let error = error.to("end a partition of the log");
                tracing::debug!(%error, "it is tried again");
            }
        }
    }

    /// Positions of a new partition of the log.
    pub(super) fn partition_length(&self) -> i64 {
        let event = match self.tail.average() {
            0 => TYPICAL,
            average => average,
        };
        let length = self.config.max_bytes.bytes() / PARTITIONS / (event + OVERHEAD);
        length.clamp(LENGTHS.0, LENGTHS.1).cast_signed()
    }
}
