//! A part of the log, as it is read.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hooks_core::{BusError, Envelope, Position, Slice, SliceBuilder, bus::Delivery};

use super::link::Link;
use super::tail::Mark;

/// Most events of a part, and bytes of them; one event alone may be longer.
const MAX_EVENTS: i64 = 1_000;
pub(super) const MAX_BYTES: i64 = 1 << 20;

/// A delivery keeps the part that it is in, unless the hook has less than such a share of it: then it gets a copy. A part
/// that only this hook reads is copied sooner than one that others have, too.
const COPIED_ALONE: usize = 4;
const COPIED_SHARED: usize = 64;

/// Bytes are counted before events are fetched.
const READ: &str = "SELECT position, (extract(epoch FROM at) * 1000000)::bigint, event::text FROM (\
     SELECT position, at, event, sum(size) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - size AS before FROM (\
     SELECT position, at, event, size FROM hooks.log WHERE position > $1 AND position < $2 ORDER BY position LIMIT $3\
     ) AS next) AS counted WHERE before < $4 ORDER BY position";

/// Sets a row aside that is no event: once, whoever reads it and how often, also when it is no longer kept.
const REFUSE: &str = "INSERT INTO hooks.refused (position, event, why) SELECT position, event, $2 FROM hooks.log \
     WHERE position = $1 AND position > (SELECT refused_to FROM hooks.sequencer) ON CONFLICT (position) DO NOTHING RETURNING 1";

/// Events with consecutive positions.
#[derive(Debug)]
pub(super) struct Chunk {
    slice: Slice,
    entries: Vec<Entry>,
    bytes: usize,
    /// Hooks have it in common.
    is_shared: bool,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) position: u64,
    pub(super) accepted: SystemTime,
    pub(super) bytes: usize,
    /// Its index in the slice, or the reason why it is no event.
    event: Result<usize, String>,
}

impl Chunk {
    /// Reads what lies behind a position, up to before another. `None`: there is nothing.
    pub(super) async fn read(link: &Link, after: u64, before: u64) -> Result<Option<Self>, BusError> {
        Self::read_up_to(link, after, before, MAX_BYTES).await
    }

    /// The same, with at most so many bytes.
    pub(super) async fn read_up_to(link: &Link, after: u64, before: u64, bytes: i64) -> Result<Option<Self>, BusError> {
        let number = |position: u64| i64::try_from(position).unwrap_or(i64::MAX);
        let rows = link.query(READ, &[&number(after), &number(before), &MAX_EVENTS, &bytes]).await;
        let rows = rows.map_err(|error| error.to("read the log"))?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut slice = SliceBuilder::new("").max_event_bytes(usize::MAX);
        let mut entries = Vec::with_capacity(rows.len());
        let mut all = 0;
        for row in &rows {
            let (position, micros, text): (i64, i64, &str) = (row.get(0), row.get(1), row.get(2));
            let index = slice.len();
            let event = slice.push_json(text.as_bytes()).map(|()| index).map_err(|error| error.to_string());
            if let Err(why) = &event {
                let refused = link.query(REFUSE, &[&position, why]).await.map_err(|error| error.to("refuse a row"))?;
                if !refused.is_empty() {
                    tracing::error!(position, why, "a row of hooks.log is no event: it is in hooks.refused");
                }
            }
            let accepted = UNIX_EPOCH + Duration::from_micros(micros.unsigned_abs());
            entries.push(Entry { position: position.unsigned_abs(), accepted, bytes: text.len(), event });
            all += text.len();
        }
        Ok(Some(Self { slice: slice.finish(), entries, bytes: all, is_shared: false }))
    }

    /// The entries behind a position.
    pub(super) fn behind(&self, after: u64) -> &[Entry] {
        let begin = self.entries.partition_point(|entry| entry.position <= after);
        &self.entries[begin..]
    }

    pub(super) fn first(&self) -> u64 {
        self.entries.first().map_or(0, |entry| entry.position)
    }

    pub(super) fn last(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.position)
    }

    /// Its last event.
    pub(super) fn mark(&self) -> Mark {
        let Some(last) = self.entries.last() else { return Mark::default() };
        let since = last.accepted.duration_since(UNIX_EPOCH).unwrap_or_default();
        Mark { position: last.position, micros: i64::try_from(since.as_micros()).unwrap_or(i64::MAX) }
    }

    /// Bytes of its events.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of its events.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The event of an entry.
    ///
    /// # Errors
    /// With the reason why it is no event.
    pub(super) fn event<'a>(&'a self, entry: &'a Entry) -> Result<&'a Envelope, &'a str> {
        entry.event.as_ref().map(|index| &self.slice[*index]).map_err(String::as_str)
    }

    /// The same part, for all hooks that are there.
    pub(super) fn shared(mut self) -> Arc<Self> {
        self.is_shared = true;
        Arc::new(self)
    }

    /// The events of entries, on their way to a hook.
    pub(super) fn deliver(&self, entries: &[&Entry], into: &mut Vec<Delivery>) {
        let bytes: usize = entries.iter().map(|entry| entry.bytes).sum();
        let share = if self.is_shared { COPIED_SHARED } else { COPIED_ALONE };
        let indices = entries.iter().filter_map(|entry| Some((entry.position, *entry.event.as_ref().ok()?)));
        let deliver =
            |(position, slice, index): (u64, &Slice, usize)| Delivery::new(Position::new(position), slice, index);
        if bytes * share < self.bytes
            && let Some(copy) = self.copied(indices.clone().map(|(_, index)| index))
        {
            into.extend((0..).zip(indices).map(|(index, (position, _))| deliver((position, &copy, index))));
        } else {
            into.extend(indices.map(|(position, index)| deliver((position, &self.slice, index))));
        }
    }

    fn copied(&self, indices: impl Iterator<Item = usize>) -> Option<Slice> {
        let mut copy = SliceBuilder::new("");
        for index in indices {
            copy.push_envelope(&self.slice[index]).ok()?;
        }
        Some(copy.finish())
    }
}
