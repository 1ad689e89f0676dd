//! Reads what other instances have written.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{BusError, HookId};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Row;

use super::Inner;
use super::link::Failed;
use super::registry::{HookRow, Member, Snapshot};
use crate::overrides::decode;

/// The interval without a notice, at most.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// The interval at which everything is read, also without a notice: positions and counts change without. Else only who is
/// alive is looked at.
const ALL_EVERY: Duration = Duration::from_secs(5);

/// After a read that took long, as many times as long is waited.
const REST: u32 = 4;

/// The time after which a row that is gone is made again: that its hook is undefined may be heard a moment later.
const RESTORE_AFTER: Duration = Duration::from_secs(2);

const HOOKS: &str = "SELECT hook, born, began, position, owner, epoch FROM hooks.cursors";

const DEFINITIONS: &str = "SELECT hook, revision FROM hooks.definitions";

const OVERRIDES: &str = "SELECT hook, revision, override, failing_since FROM hooks.overrides";

const MEMBERS: &str = "SELECT instance, machine, hooks, hooks.lasts(until, lease) FROM hooks.instances";

const DEAD_LETTERS: &str = "SELECT hook, count(*) FROM hooks.dead_letters GROUP BY hook";

/// Reads when there is a notice, and from time to time, because silence is a change, too.
pub(super) async fn run(bus: Arc<Inner>) {
    let mut all_read: Option<Instant> = None;
    loop {
        let every = REFRESH_EVERY.min(bus.config.lease.get() / 8);
        let noticed = timeout(every, bus.heard.state.notified()).await.is_ok();
        let begun = Instant::now();
        let read = async {
            if !noticed && all_read.is_some_and(|read| begun < read + ALL_EVERY) {
                bus.refresh_members().await?;
            } else {
                all_read = None;
                bus.refresh().await?;
                all_read = Some(begun);
            }
            bus.restore_rows().await
        };
        if let Err(error) = read.await {
            tracing::debug!(%error, "can't read what other instances have written: trying again");
        }
        sleep(begun.elapsed() * REST).await;
    }
}

impl Inner {
    /// Reads everything, and tells hooks and tasks about it.
    pub(super) async fn refresh(&self) -> Result<(), BusError> {
        // This instance's own changes are older or newer than what is read, not in between.
        let _turn = self.refreshing.write().await;
        let read = self.read_state().await.map_err(|error| error.to("read the state of hooks"))?;
        let now = Instant::now();
        let changed = self.registry.lock().take_in(read, now);
        for hook in changed {
            let here = self.hooks.lock().get(&hook).cloned();
            here.into_iter().for_each(|hook| self.unfollowed.push(hook));
        }
        self.defined.notify_one();
        let hooks: Vec<_> = self.hooks.lock().values().cloned().collect();
        {
            let registry = self.registry.lock();
            for hook in &hooks {
                let row = registry.hooks.get(&hook.id);
                match row {
                    Some(row) if row.born == hook.tag.get() && row.owner.as_deref() == Some(&self.me) => {}
                    Some(row) if row.born == hook.tag.get() => hook.lose(row.epoch),
                    // It was removed; another one has its name now.
                    Some(row) => {
                        hook.lose(u64::MAX);
                        hook.tag.set(row.born);
                    }
                    None => hook.lose(u64::MAX),
                }
            }
        }
        self.rebalance_needed.notify_one();
        Ok(())
    }

    /// Reads which instances are alive.
    async fn refresh_members(&self) -> Result<(), BusError> {
        let _turn = self.refreshing.write().await;
        let rows = self.work.query(MEMBERS, &[]).await.map_err(|error| error.to("read the instances"))?;
        self.registry.lock().take_in_members(members(&rows), Instant::now());
        self.rebalance_needed.notify_one();
        Ok(())
    }

    /// Makes the rows again of hooks that this instance has and nobody undefined: they were removed while it was away, or a log that went back
    /// had none yet. Whoever owned a hook goes first, and knows where it was.
    async fn restore_rows(&self) -> Result<(), BusError> {
        let now = Instant::now();
        let hooks = self.hooks.lock().clone();
        self.registry.lock().undefined.retain(|hook| hooks.contains_key(hook));
        for hook in hooks.into_values() {
            let (is_there, is_undefined) = {
                let registry = self.registry.lock();
                (registry.hooks.contains_key(&hook.id), registry.undefined.contains(&hook.id))
            };
            if is_there {
                hook.found();
            }
            if is_there || is_undefined {
                continue;
            }
            let known = hook.last_position().map(|(position, _)| position);
            let pause = if known.is_some() { RESTORE_AFTER } else { 2 * RESTORE_AFTER };
            if hook.missing_for(now) >= pause {
                let last = self.flush().await?;
                let behind = known.or(self.tail.kept()).unwrap_or(last).min(last);
                tracing::warn!(hook = %hook.id, behind, "the row of a hook in hooks.cursors is gone: it is made again");
                hook.tag.set(self.begin_behind(&hook.id, behind.cast_signed()).await?);
            }
        }
        Ok(())
    }

    async fn read_state(&self) -> Result<Snapshot, Failed> {
        let work = &self.work;
        let (hooks, definitions, overrides, members, dead_letters) = tokio::try_join!(
            work.query(HOOKS, &[]),
            work.query(DEFINITIONS, &[]),
            work.query(OVERRIDES, &[]),
            work.query(MEMBERS, &[]),
            work.query(DEAD_LETTERS, &[]),
        )?;
        Ok(Snapshot {
            hooks: by_hook(&hooks, hook_row).collect(),
            definitions: by_hook(&definitions, |row| number(row, 1)).collect(),
            overrides: by_hook(&overrides, |row| {
                let text: Option<&str> = row.get(2);
                (number(row, 1), text.and_then(|text| decode(row.get(0), text.as_bytes())))
            })
            .collect::<HashMap<_, _>>(),
            failing: by_hook(&overrides, |row| row.get::<_, Option<i64>>(3))
                .filter_map(|(hook, since)| Some((hook, since?.unsigned_abs())))
                .collect(),
            members: self::members(&members),
            dead_letters: by_hook(&dead_letters, |row| number(row, 1)).collect(),
        })
    }
}

/// What the rows say of hooks. Names that are none, which somebody else wrote, are left alone.
fn by_hook<'a, T: 'a>(rows: &'a [Row], value: impl Fn(&'a Row) -> T + 'a) -> impl Iterator<Item = (HookId, T)> + 'a {
    rows.iter().filter_map(move |row| Some((HookId::new(row.get::<_, &str>(0)).ok()?, value(row))))
}

fn number(row: &Row, column: usize) -> u64 {
    row.get::<_, i64>(column).unsigned_abs()
}

fn hook_row(row: &Row) -> HookRow {
    let (born, owner) = (row.get(1), row.get(4));
    HookRow { born, began: number(row, 2), position: number(row, 3), owner, epoch: number(row, 5) }
}

fn members(rows: &[Row]) -> BTreeMap<String, Member> {
    rows.iter().map(|row| (row.get(0), member(row))).collect()
}

fn member(row: &Row) -> Member {
    let hooks: Option<Vec<i64>> = row.get(2);
    let hashes = |hooks: Vec<i64>| hooks.into_iter().filter_map(|hash| u32::try_from(hash).ok()).collect();
    Member { machine: row.get(1), hooks: hooks.map(hashes), alive: row.get(3) }
}
