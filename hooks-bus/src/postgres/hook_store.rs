//! The facts that the Postgres bus keeps about hooks beside their positions.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use hooks_core::{
    BusError, HookId, Override, Position, StartAt,
    bus::{DeadLetters, DefineError, Definition, Expected, HookStore, Revision, Seek, SeekError, Sought},
};
use tokio_postgres::Row;

use super::dead_letters::PostgresDeadLetters;
use super::registry::HookRow;
use super::{Inner, PostgresBus};
use crate::failing::{self, seconds};
use crate::overrides::encode;

const DEFINE: &str = "SELECT done, revision, (extract(epoch FROM created) * 1000000)::bigint, \
     (extract(epoch FROM changed) * 1000000)::bigint FROM hooks.define($1, $2, $3, $4, $5)";

const REMOVE: &str = "SELECT done, revision, existed FROM hooks.remove($1, $2, $3, $4)";

const DEFINITIONS: &str = "SELECT hook, revision, (extract(epoch FROM created) * 1000000)::bigint, \
     (extract(epoch FROM changed) * 1000000)::bigint, definition FROM hooks.definitions \
     WHERE hook = ANY ($1) ORDER BY hook";

const PAGE: &str = "SELECT hook, revision, (extract(epoch FROM created) * 1000000)::bigint, \
     (extract(epoch FROM changed) * 1000000)::bigint, definition FROM hooks.definitions \
     WHERE hook > $1 ORDER BY hook LIMIT $2";

const SET_OVERRIDE: &str = "INSERT INTO hooks.overrides (hook, override) VALUES ($1, $2) \
     ON CONFLICT (hook) DO UPDATE SET override = excluded.override, revision = nextval('hooks.number') RETURNING revision";

const SET_FAILING: &str = "INSERT INTO hooks.overrides (hook, failing_since) VALUES ($1, $2) \
     ON CONFLICT (hook) DO UPDATE SET failing_since = excluded.failing_since";

const ROW: &str = "SELECT born, began, position, owner, epoch FROM hooks.cursors WHERE hook = $1";

const BEGIN: &str = "SELECT hooks.begin($1, $2)";

/// Where the hook begins: `NULL` stands for the end of the log.
const BEFORE: &str = "SELECT CASE WHEN $1::float8 IS NULL THEN coalesce((SELECT min(first) FROM hooks.partitions), 1) \
     ELSE hooks.position_at(to_timestamp($1)) END - 1";

#[async_trait]
impl HookStore for PostgresBus {
    fn dead_letters(&self, hook: &HookId) -> Option<Arc<dyn DeadLetters>> {
        Some(Arc::new(PostgresDeadLetters::new(self.inner.clone(), hook)))
    }

    async fn set_override(&self, hook: &HookId, to: Option<Override>) -> Result<(), BusError> {
        let inner = &self.inner;
        let _turn = inner.refreshing.read().await;
        let text = to.as_ref().map(encode);
        let set = inner.work.one(SET_OVERRIDE, &[&hook.as_str(), &text]).await;
        let revision: i64 = set.map_err(|error| error.to("keep whether a hook is disabled"))?.get(0);
        inner.registry.lock().overrides.see(hook.as_str(), to, revision.unsigned_abs());
        inner.tell().await;
        Ok(())
    }

    fn overrides(&self, hook: &HookId) -> Option<Override> {
        self.inner.registry.lock().overrides.get(hook.as_str())
    }

    async fn set_failing_since(&self, hook: &HookId, since: Option<SystemTime>) -> Result<(), BusError> {
        let inner = &self.inner;
        let _turn = inner.refreshing.read().await;
        let since = since.map(seconds);
        let set = inner.work.query(SET_FAILING, &[&hook.as_str(), &since.map(u64::cast_signed)]).await;
        set.map_err(|error| error.to("keep since when a receiver has accepted nothing"))?;
        let mut registry = inner.registry.lock();
        match since {
            Some(since) => registry.failing.insert(hook.clone(), since),
            None => registry.failing.remove(hook),
        };
        Ok(())
    }

    fn failing_since(&self, hook: &HookId) -> Option<SystemTime> {
        self.inner.registry.lock().failing.get(hook).copied().map(failing::time)
    }

    async fn follow_overrides(&self) -> HookId {
        self.inner.unfollowed.next().await
    }

    fn override_followed(&self, hook: &HookId) {
        self.inner.unfollowed.followed(hook);
    }

    fn known_hooks(&self) -> Vec<HookId> {
        self.inner.registry.lock().hooks.keys().cloned().collect()
    }

    async fn began(&self, hook: &HookId) -> Result<Option<Position>, BusError> {
        let registry = self.inner.registry.lock();
        Ok(registry.hooks.get(hook).map(|row| Position::new(row.began.saturating_add(1))))
    }

    async fn forget(&self, hook: &HookId) -> Result<bool, BusError> {
        self.inner.refresh().await?;
        let hash = crate::sharing::hook_hash(hook.as_str());
        if self.inner.hooks.lock().contains_key(hook) || self.inner.registry.lock().another_has(hash) {
            return Err(BusError::Unavailable(format!("an instance has the hook `{hook}`: remove it there first")));
        }
        let (_, _, existed) = self.inner.remove(hook, None, false).await?;
        Ok(existed)
    }

    async fn seek(&self, hook: &HookId, seek: &Seek) -> Result<Sought, SeekError> {
        self.inner.seek(hook, seek).await
    }

    async fn define(
        &self,
        hook: &HookId,
        text: &str,
        expected: Expected,
        from: StartAt,
    ) -> Result<Definition, DefineError> {
        let inner = &self.inner;
        let behind = inner.behind(from).await?;
        let _turn = inner.refreshing.read().await;
        let defined = inner.work.one(DEFINE, &[&hook.as_str(), &text, &number(expected), &behind, &inner.me]).await;
        let row = defined.map_err(|error| error.to("define a hook"))?;
        let revision: Option<i64> = row.get(1);
        let revision = revision.map(|revision| Revision::new(revision.unsigned_abs()));
        let Some(revision) = revision.filter(|_| row.get(0)) else {
            return Err(DefineError::Conflict { current: revision });
        };
        inner.registry.lock().defined(hook, revision.get());
        inner.read_row(hook).await?;
        Ok(Definition::new(hook.clone(), revision, text, time(&row, 2)).changed(time(&row, 3)))
    }

    async fn undefine(&self, hook: &HookId, expected: Expected) -> Result<bool, DefineError> {
        if self.inner.hooks.lock().contains_key(hook) {
            return Err(BusError::Unavailable(format!("hook `{hook}` is in use: remove it first")).into());
        }
        match self.inner.remove(hook, number(expected), true).await? {
            (true, _, existed) => Ok(existed),
            (false, current, _) => Err(DefineError::Conflict { current }),
        }
    }

    async fn definition(&self, hook: &HookId) -> Result<Option<Definition>, BusError> {
        Ok(self.definitions_of(std::slice::from_ref(hook)).await?.pop().flatten())
    }

    async fn definitions_of(&self, hooks: &[HookId]) -> Result<Vec<Option<Definition>>, BusError> {
        let names: Vec<&str> = hooks.iter().map(HookId::as_str).collect();
        let rows = self.inner.work.query(DEFINITIONS, &[&names]).await;
        let rows = rows.map_err(|error| error.to("read the definitions of hooks"))?;
        let found = |hook: &HookId| {
            let at = rows.binary_search_by(|row| row.get::<_, &str>(0).cmp(hook.as_str())).ok()?;
            Some(definition(hook, &rows[at]))
        };
        Ok(hooks.iter().map(found).collect())
    }

    async fn definitions(&self, after: Option<&HookId>, limit: usize) -> Result<Vec<Definition>, BusError> {
        let (after, limit) = (after.map_or("", HookId::as_str), i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = self.inner.work.query(PAGE, &[&after, &limit]).await;
        let rows = rows.map_err(|error| error.to("read the definitions of hooks"))?;
        let read = rows.iter().filter_map(|row| Some(definition(&HookId::new(row.get::<_, &str>(0)).ok()?, row)));
        Ok(read.collect())
    }

    async fn follow_definitions(&self) -> HookId {
        loop {
            let news = self.inner.registry.lock().next_news();
            match news {
                Some(hook) => return hook,
                None => self.inner.defined.notified().await,
            }
        }
    }
}

impl Inner {
    /// Finds or makes the row of a hook; returns its mark.
    pub(super) async fn begin(&self, hook: &HookId, from: StartAt) -> Result<i64, BusError> {
        if let Some(born) = self.read_row(hook).await? {
            return Ok(born);
        }
        self.begin_behind(hook, self.behind(from).await?).await
    }

    pub(super) async fn begin_behind(&self, hook: &HookId, behind: i64) -> Result<i64, BusError> {
        let _turn = self.refreshing.read().await;
        let begun = self.work.one(BEGIN, &[&hook.as_str(), &behind]).await;
        let born = begun.map_err(|error| error.to("keep the position of a hook"))?.get(0);
        self.read_row(hook).await?;
        Ok(born)
    }

    /// Reads the row of a hook; returns its mark, if there is one.
    async fn read_row(&self, hook: &HookId) -> Result<Option<i64>, BusError> {
        let rows = self.work.query(ROW, &[&hook.as_str()]).await;
        let rows = rows.map_err(|error| error.to("read the position of a hook"))?;
        let Some(row) = rows.first() else { return Ok(None) };
        let number = |column| row.get::<_, i64>(column).unsigned_abs();
        let (born, owner) = (row.get(0), row.get(3));
        let row = HookRow { born, began: number(1), position: number(2), owner, epoch: number(4) };
        self.registry.lock().hooks.insert(hook.clone(), row);
        Ok(Some(born))
    }

    /// The position behind which a hook begins that is new.
    async fn behind(&self, from: StartAt) -> Result<i64, BusError> {
        match self.before_first(from).await? {
            Some(behind) => Ok(behind),
            None => Ok(self.flush().await?.cast_signed()),
        }
    }

    /// The position before the first event of a hook that begins there. `None`: the end, whatever that is by then.
    pub(super) async fn before_first(&self, from: StartAt) -> Result<Option<i64>, BusError> {
        let since = from.since(SystemTime::now());
        if from == StartAt::End {
            return Ok(None);
        }
        let seconds = since.map(|since| since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        let row = self.work.one(BEFORE, &[&seconds]).await;
        Ok(Some(row.map_err(|error| error.to("find events by their time"))?.get(0)))
    }

    /// Removes a hook. Returns whether its definition was the expected one, its revision, and if there was anything.
    async fn remove(
        &self,
        hook: &HookId,
        expected: Option<i64>,
        only_defined: bool,
    ) -> Result<(bool, Option<Revision>, bool), BusError> {
        let _turn = self.refreshing.read().await;
        let removed = self.work.one(REMOVE, &[&hook.as_str(), &expected, &only_defined, &self.me]).await;
        let row = removed.map_err(|error| error.to("forget a hook"))?;
        let (done, revision, existed): (bool, Option<i64>, bool) = (row.get(0), row.get(1), row.get(2));
        if done && existed {
            self.registry.lock().removed(hook);
        }
        Ok((done, revision.map(|revision| Revision::new(revision.unsigned_abs())), existed))
    }
}

/// What is expected, as the functions of the schema take it.
fn number(expected: Expected) -> Option<i64> {
    match expected {
        Expected::Any => None,
        Expected::Absent => Some(0),
        Expected::At(revision) => Some(i64::try_from(revision.get()).unwrap_or(i64::MAX)),
    }
}

fn time(row: &Row, column: usize) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(row.get::<_, i64>(column).unsigned_abs())
}

fn definition(hook: &HookId, row: &Row) -> Definition {
    let revision = Revision::new(row.get::<_, i64>(1).unsigned_abs());
    Definition::new(hook.clone(), revision, row.get::<_, &str>(4), time(row, 2)).changed(time(row, 3))
}
