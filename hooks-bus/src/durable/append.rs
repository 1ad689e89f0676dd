//! Writes the log: the events of a commit in one piece, then one sync.

use std::io;
use std::sync::Arc;

use hooks_core::{BusError, Slice};
use uuid::Uuid;

use super::backend::is_no_room;
use super::disk::{Disk, DiskFile};
use super::format::{HEADER_BYTES, Header, RECORD_BYTES, Record, VERSION, segment_name};
use super::log::Log;
use super::segment::{MARK_SPACING, Place, Segment};

/// Size of the pieces in which a larger slice is written, about.
const WRITE_BYTES: usize = 1 << 20;

/// An error of appending.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// No segment could be begun, and nothing has changed.
    NotBegun(BusError),
    /// The contents of the disk are unknown.
    Failed(io::Error),
}

/// The only writer of a log.
#[derive(Debug)]
pub(crate) struct Appender {
    disk: Arc<dyn Disk>,
    log: Arc<Log>,
    id: Uuid,
    segment_size: u64,
    current: Option<Current>,
    /// The position of the next event.
    next: u64,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Current {
    segment: Arc<Segment>,
    /// Offset of the next write.
    offset: u64,
    /// The next record to mark: from this offset on, or in another second.
    next_mark: (u64, u32),
}

impl Appender {
    pub(crate) fn new(disk: Arc<dyn Disk>, log: Arc<Log>, id: Uuid, segment_size: u64) -> Self {
        let next = log.end();
        Self { disk, log, id, segment_size, current: None, next, buffer: Vec::new() }
    }

    /// The position of the next event.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The size of the segment to begin for a slice of this size. `None`: it fits into the current one.
    pub(crate) fn grows_by(&self, slice: usize, is_old: bool) -> Option<u64> {
        let need = slice as u64;
        let fits = self.current.as_ref().is_some_and(|current| {
            let used = current.offset + self.buffer.len() as u64;
            let is_empty = used == HEADER_BYTES as u64;
            used + need <= current.segment.size() && (is_empty || !is_old)
        });
        (!fits).then(|| self.segment_size.max(HEADER_BYTES as u64 + need))
    }

    /// The time when the current segment was begun, in seconds since 1970.
    pub(crate) fn begun(&self) -> Option<u64> {
        self.current.as_ref()?.segment.begun()
    }

    /// True if the time of the current segment was moved along with the clock.
    pub(crate) fn was_moved(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.segment.moved() != 0)
    }

    /// Appends the parts of a slice. It is not safe before [`commit`](Self::commit).
    pub(crate) fn append(&mut self, parts: &[Slice], now: u64) -> io::Result<()> {
        let accepted = u32::try_from(now).unwrap_or(u32::MAX);
        let last = parts.iter().map(|part| part.len()).sum::<usize>().saturating_sub(1);
        for (at, event) in parts.iter().flatten().enumerate() {
            let record =
                Record { position: self.next, accepted, is_first: at == 0, is_last: at == last, len: event.len() };
            self.mark(accepted);
            if let (Some(tenant), Some(current)) = (event.tenant(), &self.current) {
                current.segment.tenants.add(tenant, event);
            }
            record.encode(event.json().as_bytes(), &mut self.buffer);
            self.next += 1;
            if self.buffer.len() >= WRITE_BYTES {
                self.write()?;
            }
        }
        Ok(())
    }

    /// Makes all appended events safe.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        self.write()?;
        if let Some(current) = &self.current {
            current.segment.file.sync()?;
        }
        self.log.set_end(self.next);
        Ok(())
    }

    /// Begins a segment of `size` bytes. Makes appended events safe first, because a restart looks for the end of the
    /// log only in the last segment.
    pub(crate) fn begin(&mut self, size: u64, now: u64) -> Result<(), AppendError> {
        self.commit().map_err(AppendError::Failed)?;
        let name = segment_name(self.next);
        // Reuses an empty segment from before a restart.
        let empty = self.log.last().filter(|last| last.first == self.next).map(|last| last.file.clone());
        let is_new = empty.is_none();
        let file = match empty {
            Some(file) => file,
            None => self.create(&name).map_err(refused)?,
        };
        let previous = self.before(self.next);
        let header = Header { version: VERSION, log: self.id, first: self.next, begun: now, previous };
        self.fill(&*file, size, &header).inspect_err(|error| {
            if is_new && matches!(error, AppendError::NotBegun(_)) {
                let _ = self.disk.remove(&name);
            }
        })?;
        let segment = Arc::new(Segment::new(self.next, now, file, size));
        segment.set_used(HEADER_BYTES as u64);
        segment.tenants.begin();
        self.seal();
        self.log.add(segment.clone());
        self.current = Some(Current { segment, offset: HEADER_BYTES as u64, next_mark: (0, 0) });
        Ok(())
    }

    /// Makes the file, or opens one that a failed attempt left behind.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        match self.disk.create(name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.disk.open(name),
            created => created,
        }
    }

    /// Writes the file's size and header, and makes its name survive a crash. The first commit does so for the header;
    /// until then the name is enough.
    fn fill(&self, file: &dyn DiskFile, size: u64, header: &Header) -> Result<(), AppendError> {
        file.set_len(0).and_then(|()| file.set_len(size)).map_err(refused)?;
        let written = file.write_at(&header.encode(), 0);
        written.and_then(|()| self.disk.sync_names()).map_err(AppendError::Failed)
    }

    fn before(&self, position: u64) -> Option<u64> {
        self.log.parts().iter().map(|part| part.segment.first).rfind(|first| *first < position)
    }

    /// Ends the current segment.
    pub(crate) fn seal(&mut self) {
        if let Some(Current { segment, offset, .. }) = self.current.take() {
            segment.seal(offset);
        }
    }

    fn mark(&mut self, accepted: u32) {
        let Some(current) = &mut self.current else { return };
        let offset = current.offset + self.buffer.len() as u64;
        if offset >= current.next_mark.0 || accepted != current.next_mark.1 {
            current.segment.mark(Place { position: self.next, offset }, accepted, MARK_SPACING);
            current.next_mark = (offset + MARK_SPACING as u64, accepted);
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if let Some(current) = &mut self.current
            && !self.buffer.is_empty()
        {
            current.segment.file.write_at(&self.buffer, current.offset)?;
            current.offset += self.buffer.len() as u64;
            current.segment.set_used(current.offset);
            self.buffer.clear();
        }
        Ok(())
    }
}

/// Bytes of a slice in a segment.
pub(crate) fn slice_bytes(slice: &Slice) -> usize {
    slice.len() * RECORD_BYTES + slice.bytes()
}

fn refused(error: io::Error) -> AppendError {
    AppendError::NotBegun(if is_no_room(&error) {
        BusError::Full(format!("no room on the disk for another segment: {error}"))
    } else {
        BusError::Unavailable(format!("another file of the log can't be begun now: {error}"))
    })
}
