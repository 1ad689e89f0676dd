//! Moves hooks to another place in the log: by the epoch of their row that was seen, never without.

use std::time::{SystemTime, UNIX_EPOCH};

use hooks_core::{
    BusError, Filter, HookId,
    bus::{Seek, SeekError, SeekTo, Sought},
};
use tokio::time::Instant;

use super::Inner;
use super::checkpointer::{pairs, ranges};
use super::chunk::Chunk;
use super::hook::Hook;
use crate::sharing::{Place, PositionRange, raised, ranges_before, ranges_behind};

/// Most events that are looked at to count those that match. Of more, all count.
const MOST_COUNTED: u64 = 20_000;

const WRITE: &str = "SELECT hooks.move($1, $2, $3, $4)";

const READ: &str = "SELECT epoch, position, settled, \
     (SELECT instance FROM hooks.instances WHERE instance = owner AND hooks.lasts(until, lease)) \
     FROM hooks.cursors WHERE hook = $1";

const FIRST: &str =
    "SELECT coalesce((SELECT position FROM hooks.log ORDER BY position LIMIT 1), hooks.last_position() + 1)";

const POSITION_AT: &str = "SELECT hooks.position_at(to_timestamp($1))";

impl Inner {
    pub(super) async fn seek(&self, id: &HookId, seek: &Seek) -> Result<Sought, SeekError> {
        let here = self.hooks.lock().get(id).cloned();
        let Some(hook) = here.filter(|hook| hook.is_owned()) else { return self.seek_unowned(id, seek).await };
        // The row is not written meanwhile.
        let _turn = hook.write_lock.lock().await;
        let Some(write) = hook.place_to_write() else { return Err(overtaken(id)) };
        let (sought, place) = self.plan(&(write.position, write.acked_ranges), seek).await?;
        if seek.dry_run {
            return Ok(sought);
        }
        let Some(epoch) = self.write_place(id, write.revision.cast_signed(), &place).await? else {
            self.heard.state.notify_one();
            return Err(overtaken(id));
        };
        moved(&hook, epoch, &place);
        hook.count_skipped(sought.skipped);
        Ok(sought)
    }

    /// Moves a hook that no instance has: whoever had it and writes next notices, and whoever acquires it goes on there.
    async fn seek_unowned(&self, id: &HookId, seek: &Seek) -> Result<Sought, SeekError> {
        let read = self.work.query(READ, &[&id.as_str()]).await;
        let rows = read.map_err(|error| error.to("read the position of a hook"))?;
        let Some(row) = rows.first() else { return Err(SeekError::Unknown(id.clone())) };
        let owner: Option<String> = row.get(3);
        if let Some(owner) = owner.filter(|owner| *owner != self.me) {
            return Err(SeekError::Elsewhere(owner));
        }
        let (epoch, position, settled): (i64, i64, Vec<i64>) = (row.get(0), row.get(1), row.get(2));
        let (sought, place) = self.plan(&(position.unsigned_abs(), ranges(&settled)), seek).await?;
        if seek.dry_run {
            return Ok(sought);
        }
        match self.write_place(id, epoch, &place).await? {
            Some(_) => Ok(sought),
            None => Err(overtaken(id)),
        }
    }

    /// Where a hook goes.
    async fn plan(&self, before: &Place, seek: &Seek) -> Result<(Sought, Place), SeekError> {
        let (last, first) = (self.flush().await?, self.first().await?);
        let (to, reached) = self.target(seek.to, first, last).await?;
        // Events that are gone can't come again.
        let from = before.0.max(first.saturating_sub(1)).min(last);
        // Who is there already also goes back: what it has in flight, or has settled further on, comes again.
        let is_back = to <= from;
        let place = if is_back { (to, Vec::new()) } else { raised(before.clone(), to) };
        seek.check(from + 1, to + 1)?;
        let between = if is_back { ranges_behind(to, before) } else { ranges_before(to, &before.1, from) };
        let (events, exact) = self.count_between(&between, seek.filter.as_deref()).await?;
        Ok((Sought::new(from + 1, place.0 + 1, events, exact).reached(reached), place))
    }

    /// The position before the place that was asked for, and whether the log still has it.
    async fn target(&self, to: SeekTo, first: u64, last: u64) -> Result<(u64, bool), SeekError> {
        let begin = first.saturating_sub(1);
        match to {
            SeekTo::Position(to) if to.get() > last + 1 => Err(SeekError::BeyondEnd { to: to.get(), end: last + 1 }),
            SeekTo::Position(to) => {
                let before = to.get().saturating_sub(1);
                Ok((before.max(begin), before >= begin))
            }
            SeekTo::Start(from) => {
                let found = self.before_first(from).await?.map_or(last, i64::unsigned_abs);
                // Without events before it, an older one may have been asked for.
                let is_gone = from.since(SystemTime::now()).is_some() && found == begin && begin > 0;
                Ok((found.max(begin), !is_gone))
            }
        }
    }

    /// Returns the new epoch. `None`: another instance wrote the row.
    async fn write_place(&self, id: &HookId, epoch: i64, place: &Place) -> Result<Option<u64>, BusError> {
        let position = place.0.cast_signed();
        let written = self.work.query(WRITE, &[&id.as_str(), &epoch, &position, &pairs(&place.1)]).await;
        let rows = written.map_err(|error| error.to("move a hook"))?;
        Ok(rows.first().map(|row| row.get::<_, i64>(0).unsigned_abs()))
    }

    /// Counts the events in these ranges that match. Returns whether all of those counted do.
    async fn count_between(&self, between: &[PositionRange], filter: Option<&Filter>) -> Result<(u64, bool), BusError> {
        let all = between.iter().map(|range| range.1 - range.0).sum();
        let Some(filter) = filter.filter(|_| all <= MOST_COUNTED) else { return Ok((all, all == 0)) };
        let mut events = 0;
        for PositionRange(from, to) in between {
            let mut at = *from;
            while let Some(chunk) = Chunk::read(&self.reading, at, to + 1).await? {
                let matches = |entry| chunk.event(entry).is_ok_and(|event| filter.matches(event));
                events += chunk.behind(0).iter().filter(|entry| matches(entry)).count() as u64;
                at = chunk.last();
            }
        }
        Ok((events, true))
    }

    /// The first position that the log has, or the one behind the last.
    pub(super) async fn first(&self) -> Result<u64, BusError> {
        let row = self.reading.one(FIRST, &[]).await;
        Ok(row.map_err(|error| error.to("read the beginning of the log"))?.get::<_, i64>(0).unsigned_abs())
    }

    /// The first position of a time, or the one behind the last.
    pub(super) async fn position_at(&self, time: SystemTime) -> Result<u64, BusError> {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let row = self.reading.one(POSITION_AT, &[&seconds]).await;
        Ok(row.map_err(|error| error.to("find events by their time"))?.get::<_, i64>(0).unsigned_abs())
    }
}

fn moved(hook: &Hook, epoch: u64, place: &Place) {
    hook.acquired(epoch, (place.0, &place.1), Instant::now());
}

fn overtaken(hook: &HookId) -> SeekError {
    BusError::Unavailable(format!("the hook `{hook}` changes hands: try again")).into()
}
