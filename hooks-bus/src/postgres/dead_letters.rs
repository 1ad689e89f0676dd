//! Dead letters: a row each, so that a dead letter replaces the one of the same position.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use hooks_core::{BusError, DeadLetter, DeadLetterId, DeadLetterReason, Envelope, HookId, Position, bus::DeadLetters};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use super::Inner;

const KEEP: &str = "SELECT kept, total FROM hooks.keep_dead_letters($1, $2, $3, $4, $5)";

const REPLACE: &str = "UPDATE hooks.dead_letters AS d SET position = given.position, about = given.about, event = given.event::json \
     FROM unnest($2::int8[], $3::int8[], $4::text[], $5::text[]) AS given (id, position, about, event) \
     WHERE d.hook = $1 AND d.id = given.id";

const LIST: &str =
    "SELECT id, position, about, event::text FROM hooks.dead_letters WHERE hook = $1 AND id > $2 ORDER BY id LIMIT $3";

const REMOVE: &str = "DELETE FROM hooks.dead_letters WHERE hook = $1 AND id = ANY ($2) RETURNING id";

const COUNT: &str = "SELECT count(*) FROM hooks.dead_letters WHERE hook = $1";

/// One hook's dead letters.
pub(super) struct PostgresDeadLetters {
    bus: Arc<Inner>,
    hook: HookId,
}

/// All of a dead letter but its position and event.
#[derive(Serialize, Deserialize)]
struct About {
    reason: DeadLetterReason,
    detail: String,
    attempts: u32,
    first_attempt: Duration,
    last_attempt: Duration,
}

impl PostgresDeadLetters {
    pub(super) fn new(bus: Arc<Inner>, hook: &HookId) -> Self {
        Self { bus, hook: hook.clone() }
    }

    /// Notes the number that there is now.
    fn counted(&self, count: u64) {
        self.bus.registry.lock().dead_letters.insert(self.hook.clone(), count);
    }
}

/// The columns of dead letters.
struct Columns<'a> {
    positions: Vec<i64>,
    abouts: Vec<String>,
    events: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(dead_letters: impl Iterator<Item = &'a DeadLetter> + Clone) -> Self {
        Self {
            positions: dead_letters.clone().map(|one| one.position.get().cast_signed()).collect(),
            abouts: dead_letters.clone().map(about).collect(),
            events: dead_letters.map(|one| one.envelope.json()).collect(),
        }
    }
}

#[async_trait]
impl DeadLetters for PostgresDeadLetters {
    async fn keep(&self, dead_letters: Vec<DeadLetter>) -> Result<(), BusError> {
        let most = self.bus.config.max_dead_letters;
        let Columns { positions, abouts, events } = Columns::of(dead_letters.iter());
        let _turn = self.bus.refreshing.read().await;
        let hook = self.hook.as_str();
        let row = self.bus.work.one(KEEP, &[&hook, &positions, &abouts, &events, &most.cast_signed()]).await;
        let row = row.map_err(|error| error.to("keep dead letters"))?;
        if !row.get::<_, bool>(0) {
            return Err(BusError::Full(format!("{most} dead letters (max_dead_letters)")));
        }
        self.counted(row.get::<_, i64>(1).unsigned_abs());
        Ok(())
    }

    async fn replace(&self, dead_letters: Vec<(DeadLetterId, DeadLetter)>) -> Result<(), BusError> {
        let ids: Vec<i64> = dead_letters.iter().map(|(id, _)| id.get().cast_signed()).collect();
        let Columns { positions, abouts, events } = Columns::of(dead_letters.iter().map(|(_, one)| one));
        let replaced = self.bus.work.query(REPLACE, &[&self.hook.as_str(), &ids, &positions, &abouts, &events]).await;
        replaced.map(drop).map_err(|error| error.to("replace dead letters"))
    }

    async fn list(&self, after: Option<DeadLetterId>, max: usize) -> Result<Vec<(DeadLetterId, DeadLetter)>, BusError> {
        let (after, max) =
            (after.map_or(-1, |after| after.get().cast_signed()), i64::try_from(max).unwrap_or(i64::MAX));
        let rows = self.bus.work.query(LIST, &[&self.hook.as_str(), &after, &max]).await;
        let rows = rows.map_err(|error| error.to("read dead letters"))?;
        let read = |row: &Row| {
            let id = row.get::<_, i64>(0).unsigned_abs();
            let decoded = decode(row);
            let decoded = decoded.inspect_err(|error| {
                tracing::error!(id, error, "a row of hooks.dead_letters is no dead letter: it is skipped")
            });
            Some((DeadLetterId::new(id), decoded.ok()?))
        };
        Ok(rows.iter().filter_map(read).collect())
    }

    async fn remove(&self, ids: &[DeadLetterId]) -> Result<usize, BusError> {
        let ids: Vec<i64> = ids.iter().map(|id| id.get().cast_signed()).collect();
        let removed = self.bus.work.query(REMOVE, &[&self.hook.as_str(), &ids]).await;
        let removed = removed.map_err(|error| error.to("remove dead letters"))?.len();
        self.recount().await?;
        Ok(removed)
    }

    /// The last known count: changes by other instances show within seconds.
    fn count(&self) -> u64 {
        self.bus.registry.lock().dead_letters.get(&self.hook).copied().unwrap_or(0)
    }

    async fn recount(&self) -> Result<u64, BusError> {
        let _turn = self.bus.refreshing.read().await;
        let row = self.bus.work.one(COUNT, &[&self.hook.as_str()]).await;
        let count = row.map_err(|error| error.to("count dead letters"))?.get::<_, i64>(0).unsigned_abs();
        self.counted(count);
        Ok(count)
    }
}

fn about(dead_letter: &DeadLetter) -> String {
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let about = About {
        reason: dead_letter.reason,
        detail: dead_letter.detail.clone(),
        attempts: dead_letter.attempts,
        first_attempt: since(dead_letter.first_attempt),
        last_attempt: since(dead_letter.last_attempt),
    };
    serde_json::to_string(&about).unwrap_or_default()
}

fn decode(row: &Row) -> Result<DeadLetter, String> {
    let (position, about, event): (i64, &str, &str) = (row.get(1), row.get(2), row.get(3));
    let about: About = serde_json::from_str(about).map_err(|error| error.to_string())?;
    Ok(DeadLetter {
        position: Position::new(position.unsigned_abs()),
        envelope: Envelope::from_json(event.as_bytes()).map_err(|error| error.to_string())?,
        reason: about.reason,
        detail: about.detail,
        attempts: about.attempts,
        first_attempt: SystemTime::UNIX_EPOCH + about.first_attempt,
        last_attempt: SystemTime::UNIX_EPOCH + about.last_attempt,
    })
}
