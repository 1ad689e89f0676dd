//! Events that are published again: known by the names of those that the log has.

use std::io;

use hooks_core::{Slice, SliceBuilder};

use super::inner::Inner;
use super::log::SegmentCursor;
use crate::duplicates::{Admitted, Duplicates};

/// Bytes of the log that are read at a time.
const PIECE: usize = 1 << 20;

impl Inner {
    /// Enters the events of a slice, and finds those that are known.
    pub(crate) fn admit(&self, slice: &Slice) -> Admitted {
        self.duplicates.lock().admit(slice, || self.storage.clock.steady().cast_signed())
    }

    /// Enters the events that the log has of the window, all of them: nothing tells which ids were filled in. Blocks.
    pub(crate) fn recall_names(&self) {
        let limits = self.config.duplicates();
        if limits.is_off() {
            return;
        }
        let mut known = Duplicates::new(limits);
        if let Err(error) = self.recall(&mut known) {
            tracing::warn!(dir = %self.storage.dir.display(), %error, "can't read the newest events: those that are published again may be taken twice");
        }
        *self.duplicates.lock() = known;
    }

    fn recall(&self, known: &mut Duplicates) -> io::Result<()> {
        let limits = self.config.duplicates();
        let (log, now, steady) = (&self.storage.log, self.storage.now(), self.storage.clock.steady().cast_signed());
        // Older ones than it remembers need not be read.
        let most = log.end().saturating_sub(limits.ids.into());
        let since = log.since(now.saturating_sub(limits.window.get().as_secs()))?;
        let mut cursor = SegmentCursor::at(log, since.max(most))?;
        let mut slice = SliceBuilder::new("").max_event_bytes(usize::MAX);
        while let Some(SegmentCursor { part, place }) = cursor.filter(|cursor| cursor.place.position < log.end()) {
            let piece = part.segment.read(place, part.end, PIECE)?;
            let mut ages = Vec::new();
            for (record, event) in piece.records() {
                if slice.push_json(event).is_ok() {
                    ages.push(now.saturating_sub(record.accepted.into()));
                }
            }
            for (event, age) in slice.finish().iter().zip(ages) {
                known.enter(event, steady - age.cast_signed());
            }
            cursor = match piece.next {
                next if next.position < part.end => Some(SegmentCursor { part, place: next }),
                next => SegmentCursor::at(log, next.position)?,
            };
        }
        Ok(())
    }
}
