//! Writes positions of owned hooks to their rows.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::Inner;
use super::hook::Hook;
use crate::sharing::{CheckpointWrite, PositionRange};

/// The shortest time from checkpoints to the next ones: with that of a write, positions are written within 100 ms.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(80);

/// The longest, after which also positions are written that moved over what does not concern the hook.
const CHECKPOINT_AFTER: Duration = Duration::from_millis(700);

/// Most hooks in a statement.
const MAX_HOOKS: usize = 1_000;

/// By the epoch and owner, never without: after a failover that lost commits, an epoch may be given out again. A write that
/// comes late takes nothing back. Ranges of all hooks are in one list, as many pairs for each as `counts` says.
const WRITE: &str = "WITH given AS (\
     SELECT hook, epoch, position, to_count - count AS from_count, to_count FROM (\
     SELECT hook, epoch, position, count, sum(count) OVER (ORDER BY n) AS to_count \
     FROM unnest($1::text[], $2::int8[], $3::int8[], $4::int4[]) WITH ORDINALITY AS u (hook, epoch, position, count, n)) AS counted) \
     UPDATE hooks.cursors AS c SET position = greatest(c.position, given.position), \
     settled = CASE WHEN given.position < c.position THEN c.settled ELSE ($5::int8[])[from_count + 1 : to_count] END, \
     owner = CASE WHEN $6 THEN owner END \
     FROM given WHERE c.hook = given.hook AND c.epoch = given.epoch AND c.owner = $7 RETURNING c.hook";

/// Writes positions that moved: the first after a pause at once.
pub(super) async fn run(bus: Arc<Inner>) {
    loop {
        let _ = timeout(CHECKPOINT_AFTER, bus.settled.notified()).await;
        let begun = Instant::now();
        let hooks: Vec<_> = bus.hooks.lock().values().filter(|hook| hook.is_owned()).cloned().collect();
        for some in hooks.chunks(MAX_HOOKS) {
            bus.checkpoint(some, true).await;
        }
        sleep_until(begun + CHECKPOINT_EVERY).await;
    }
}

impl Inner {
    /// Writes the positions that moved; without `keep` all of them, and gives up owning the hooks.
    pub(super) async fn checkpoint(&self, hooks: &[Arc<Hook>], keep: bool) {
        let mut sorted: Vec<_> = hooks.iter().collect();
        // In one order, whoever writes.
        sorted.sort_by(|one, other| one.id.cmp(&other.id));
        let mut turns = Vec::new();
        for hook in sorted {
            match hook.write_lock.try_lock() {
                Ok(turn) => turns.push((hook, turn)),
                // It is being moved, and is written next time.
                Err(_) if keep => {}
                Err(_) => turns.push((hook, hook.write_lock.lock().await)),
            }
        }
        // Nothing is waited for from here on: what is written is what is known when it is sent.
        let due = |hook: &Arc<Hook>| hook.checkpoint_due(Instant::now(), !keep);
        let writes: Vec<(&Arc<Hook>, CheckpointWrite)> =
            turns.iter().filter_map(|(hook, _)| Some((*hook, due(hook)?))).collect();
        if writes.is_empty() {
            return;
        }
        let names: Vec<&str> = writes.iter().map(|(hook, _)| hook.id.as_str()).collect();
        let epochs: Vec<i64> = writes.iter().map(|(_, write)| write.revision.cast_signed()).collect();
        let positions: Vec<i64> = writes.iter().map(|(_, write)| write.position.cast_signed()).collect();
        let ranges: Vec<Vec<i64>> = writes.iter().map(|(_, write)| pairs(&write.acked_ranges)).collect();
        let counts: Vec<i32> = ranges.iter().map(|ranges| i32::try_from(ranges.len()).unwrap_or(0)).collect();
        let written =
            self.work.query(WRITE, &[&names, &epochs, &positions, &counts, &ranges.concat(), &keep, &self.me]).await;
        let now = Instant::now();
        match written {
            Ok(rows) => {
                let ours: HashSet<&str> = rows.iter().map(|row| row.get(0)).collect();
                for (hook, write) in &writes {
                    match ours.contains(hook.id.as_str()) {
                        true if keep => hook.checkpoint_written(Some(write.revision), write.position, now),
                        true => {
                            hook.released();
                            // What the row says is known: this instance does not take it for its own again, and counts
                            // what it settled.
                            if let Some(row) = self.registry.lock().hooks.get_mut(&hook.id) {
                                row.owner = None;
                                row.position = row.position.max(write.position);
                            }
                        }
                        // Another instance has it, or it was removed.
                        false => {
                            hook.lose(write.revision.saturating_add(1));
                            self.heard.state.notify_one();
                        }
                    }
                }
            }
            Err(error) => {
                let error = error.to("write positions");
                tracing::debug!(%error, "positions can't be written now: tried again soon");
                writes.iter().for_each(|(hook, write)| hook.checkpoint_written(None, write.position, now));
            }
        }
    }
}

/// Ranges as a list of firsts and lasts.
pub(super) fn pairs(ranges: &[PositionRange]) -> Vec<i64> {
    ranges.iter().flat_map(|range| [range.0.cast_signed(), range.1.cast_signed()]).collect()
}

/// Ranges from such a list.
pub(super) fn ranges(pairs: &[i64]) -> Vec<PositionRange> {
    pairs.chunks_exact(2).map(|pair| PositionRange(pair[0].unsigned_abs(), pair[1].unsigned_abs())).collect()
}
