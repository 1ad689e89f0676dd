//! Version 1 of the segment files, byte by byte.
//!
//! A segment is a file `<first position, 20 digits>.log`. Numbers are little-endian.
//!
//! ```text
//! header, 64 bytes          record, 20 bytes and the event
//!  0  "HOOKSLOG"             0  u32 CRC-32C of everything behind it
//!  8  u32 format version     4  u32 length of the event; bit 31: first of its slice, bit 30: last
//! 12  [16] id of the log     8  u64 position
//! 28  u64 first position    16  u32 when it was accepted, in seconds since 1970
//! 36  u64 begun, seconds    20  the event: one line of CloudEvents JSON
//! 44  u64 first position of the segment before, or all ones
//! 52  u32 CRC-32C of the 52 bytes before
//! 56  zeros
//! ```
//!
//! Records follow each other. Behind the last one the file ends, or has zeros up to its initial size. A
//! *slice* is the events of one call of `publish`. It lies in one segment, and an incomplete slice is
//! ignored.
//!
//! One process writes a segment. After a restart the next process begins a new one, so that leftovers of
//! a crash never become events. A segment ends where the next one begins.

use uuid::Uuid;

/// The version that this program writes.
pub(crate) const VERSION: u32 = 1;

/// Length of a segment's header.
pub(crate) const HEADER_BYTES: usize = 64;

/// Bytes of a record before its event.
pub(crate) const RECORD_BYTES: usize = 20;

/// Bytes of the longest event: hooks-core accepts no longer one.
pub(crate) const MAX_EVENT: usize = 1 << 29;

const MAGIC: &[u8; 8] = b"HOOKSLOG";
const FIRST: u32 = 1 << 31;
const LAST: u32 = 1 << 30;
const LENGTH: u32 = LAST - 1;

/// The beginning of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) log: Uuid,
    pub(crate) first: u64,
    /// Time when it was begun, in seconds since 1970.
    pub(crate) begun: u64,
    /// The first position of the segment before it.
    pub(crate) previous: Option<u64>,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[12..28].copy_from_slice(self.log.as_bytes());
        bytes[28..36].copy_from_slice(&self.first.to_le_bytes());
        bytes[36..44].copy_from_slice(&self.begun.to_le_bytes());
        bytes[44..52].copy_from_slice(&self.previous.unwrap_or(u64::MAX).to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..52]);
        bytes[52..56].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` if it is damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let whole = bytes.starts_with(MAGIC) && u32_at(bytes, 52) == crc32c::crc32c(&bytes[..52]);
        whole.then(|| Self {
            version: u32_at(bytes, 8),
            log: Uuid::from_slice(&bytes[12..28]).unwrap_or_default(),
            first: u64_at(bytes, 28),
            begun: u64_at(bytes, 36),
            previous: Some(u64_at(bytes, 44)).filter(|first| *first != u64::MAX),
        })
    }
}

/// The part of a record before its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) position: u64,
    pub(crate) accepted: u32,
    pub(crate) is_first: bool,
    pub(crate) is_last: bool,
    /// Length of the event.
    pub(crate) len: usize,
}

impl Record {
    /// Bytes of the record with its event.
    pub(crate) fn size(&self) -> usize {
        RECORD_BYTES + self.len
    }

    /// Appends the record with its event of `self.len` bytes.
    pub(crate) fn encode(&self, event: &[u8], into: &mut Vec<u8>) {
        let start = into.len();
        let mut length = self.len as u32;
        length |= if self.is_first { FIRST } else { 0 };
        length |= if self.is_last { LAST } else { 0 };
        into.extend_from_slice(&[0; 4]);
        into.extend_from_slice(&length.to_le_bytes());
        into.extend_from_slice(&self.position.to_le_bytes());
        into.extend_from_slice(&self.accepted.to_le_bytes());
        into.extend_from_slice(event);
        let crc = crc32c::crc32c(&into[start + 4..]);
        into[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    }

    /// Decodes the first bytes without a check of the CRC. `None` if they can't be a record.
    pub(crate) fn peek(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..RECORD_BYTES)?;
        let length = u32_at(bytes, 4);
        let len = (length & LENGTH) as usize;
        (len > 0 && len <= MAX_EVENT).then(|| Self {
            position: u64_at(bytes, 8),
            accepted: u32_at(bytes, 16),
            is_first: length & FIRST != 0,
            is_last: length & LAST != 0,
            len,
        })
    }

    /// True if the bytes, which begin with this record, have all of it, with the right CRC.
    pub(crate) fn is_intact(&self, bytes: &[u8]) -> bool {
        let crc = bytes.get(..4).map(|bytes| u32_at(bytes, 0));
        bytes.get(4..self.size()).is_some_and(|rest| crc == Some(crc32c::crc32c(rest)))
    }
}

/// The file name of the segment that begins with this position.
pub(crate) fn segment_name(first: u64) -> String {
    format!("{first:020}.log")
}

/// The first position of the segment with this file name. `None`: it is no segment.
pub(crate) fn segment_first(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}
