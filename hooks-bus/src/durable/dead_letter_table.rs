//! Dead letters in the database.
//!
//! `letters` has the dead letters by hook and number, `letter_at` the number of the dead letter of a position,
//! and `letter_totals` their number and bytes for each hook, and the next number.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hooks_core::{
    DeadLetter, DeadLetterId, DeadLetterReason, Envelope, HookId, Position, SliceBuilder, bus::MAX_DETAIL,
};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError, WriteTransaction};

const DEAD_LETTERS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("letters");
const AT: TableDefinition<'_, (&str, u64), u64> = TableDefinition::new("letter_at");
const TOTALS: TableDefinition<'_, &str, (u64, u64, u64)> = TableDefinition::new("letter_totals");

/// Bytes of a dead letter before the detail and the event.
const FIXED_BYTES: usize = 34;

/// Most bytes of a dead letter beside its event.
pub(crate) const MAX_OVERHEAD: usize = FIXED_BYTES + MAX_DETAIL;

/// Number and size of a hook's dead letters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    next: u64,
}

/// The result of [`insert`], with the totals after it.
pub(crate) enum Inserted {
    All(Totals),
    /// None was inserted: the hook is at its limits.
    Full(Totals),
}

/// Inserts all of these, or none: a hook has at most so many events and bytes.
pub(crate) fn insert(
    change: &WriteTransaction,
    hook: &HookId,
    dead_letters: &[DeadLetter],
    (max_events, max_bytes): (u64, u64),
) -> Result<Inserted, redb::Error> {
    let hook = hook.as_str();
    let mut table = change.open_table(DEAD_LETTERS)?;
    let mut at = change.open_table(AT)?;
    let mut all = change.open_table(TOTALS)?;
    let before = all.get(hook)?.map(|totals| Totals::from(totals.value())).unwrap_or_default();
    let mut totals = before;
    let dead_letters: Vec<(u64, Vec<u8>)> =
        dead_letters.iter().map(|letter| (letter.position.get(), encode(letter))).collect();
    for (position, bytes) in &dead_letters {
        totals.add(bytes.len());
        if let Some(old) = at.get((hook, *position))?
            && let Some(old) = table.get((hook, old.value()))?
        {
            totals.subtract(old.value().len());
        }
    }
    if totals.events > max_events || totals.bytes > max_bytes {
        return Ok(Inserted::Full(before));
    }
    for (position, bytes) in &dead_letters {
        if let Some(old) = at.insert((hook, *position), totals.next)? {
            table.remove((hook, old.value()))?;
        }
        table.insert((hook, totals.next), bytes.as_slice())?;
        totals.next += 1;
    }
    all.insert(hook, (totals.events, totals.bytes, totals.next))?;
    Ok(Inserted::All(totals))
}

/// Overwrites dead letters under their numbers, without a check of the limits. Removed ones stay removed.
pub(crate) fn replace(
    change: &WriteTransaction,
    hook: &HookId,
    dead_letters: &[(DeadLetterId, DeadLetter)],
) -> Result<Totals, redb::Error> {
    let hook = hook.as_str();
    let mut table = change.open_table(DEAD_LETTERS)?;
    let mut all = change.open_table(TOTALS)?;
    let mut totals = all.get(hook)?.map(|totals| Totals::from(totals.value())).unwrap_or_default();
    for (id, letter) in dead_letters {
        let Some(before) = table.get((hook, id.get()))?.map(|before| before.value().len()) else { continue };
        let bytes = encode(letter);
        totals.subtract(before);
        totals.add(bytes.len());
        table.insert((hook, id.get()), bytes.as_slice())?;
    }
    all.insert(hook, (totals.events, totals.bytes, totals.next))?;
    Ok(totals)
}

/// Removes dead letters. Returns the number removed, and the new totals.
pub(crate) fn remove(
    change: &WriteTransaction,
    hook: &HookId,
    ids: &[DeadLetterId],
) -> Result<(usize, Totals), redb::Error> {
    let hook = hook.as_str();
    let mut table = change.open_table(DEAD_LETTERS)?;
    let mut at = change.open_table(AT)?;
    let mut all = change.open_table(TOTALS)?;
    let mut totals = all.get(hook)?.map(|totals| Totals::from(totals.value())).unwrap_or_default();
    let mut removed = 0;
    for id in ids {
        let Some(letter) = table.remove((hook, id.get()))? else { continue };
        removed += 1;
        totals.subtract(letter.value().len());
        let position = letter.value().first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        if let Some(position) = position {
            at.remove((hook, position))?;
        }
    }
    all.insert(hook, (totals.events, totals.bytes, totals.next))?;
    Ok((removed, totals))
}

/// Up to `max` dead letters behind `after`.
pub(crate) fn list(
    database: &Database,
    hook: &HookId,
    after: Option<DeadLetterId>,
    max: usize,
) -> Result<Vec<(DeadLetterId, DeadLetter)>, redb::Error> {
    let read = database.begin_read()?;
    let table = match read.open_table(DEAD_LETTERS) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let from = after.map_or(0, |after| after.get().saturating_add(1));
    let mut found = Vec::new();
    for entry in table.range((hook.as_str(), from)..=(hook.as_str(), u64::MAX))?.take(max) {
        let (key, value) = entry?;
        let id = key.value().1;
        let letter = decode(value.value())
            .ok_or_else(|| redb::Error::Corrupted(format!("dead letter {id} of hook `{hook}` can't be read")))?;
        found.push((DeadLetterId::new(id), letter));
    }
    Ok(found)
}

/// The totals of each hook.
pub(crate) fn totals(database: &Database) -> Result<Vec<(HookId, Totals)>, redb::Error> {
    let read = database.begin_read()?;
    let table = match read.open_table(TOTALS) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    for entry in table.iter()? {
        let (hook, totals) = entry?;
        if let Ok(hook) = HookId::new(hook.value()) {
            found.push((hook, totals.value().into()));
        }
    }
    Ok(found)
}

/// Removes all dead letters of a hook.
pub(crate) fn forget(change: &WriteTransaction, hook: &HookId) -> Result<(), redb::Error> {
    let range = || (hook.as_str(), 0)..=(hook.as_str(), u64::MAX);
    change.open_table(DEAD_LETTERS)?.retain_in(range(), |_, _| false)?;
    change.open_table(AT)?.retain_in(range(), |_, _| false)?;
    change.open_table(TOTALS)?.remove(hook.as_str())?;
    Ok(())
}

impl Totals {
    fn add(&mut self, bytes: usize) {
        self.events += 1;
        self.bytes += bytes as u64;
    }

    fn subtract(&mut self, bytes: usize) {
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }
}

impl From<(u64, u64, u64)> for Totals {
    fn from((events, bytes, next): (u64, u64, u64)) -> Self {
        Self { events, bytes, next }
    }
}

/// `u64 position | u8 reason | u8 0 | u32 attempts | u64 first, u64 last attempt in ms since 1970 |
/// u32 length of the detail | detail | event`.
fn encode(letter: &DeadLetter) -> Vec<u8> {
    let reason = DeadLetterReason::ALL.iter().position(|reason| *reason == letter.reason).unwrap_or_default();
    let json = letter.envelope.json();
    let mut bytes = Vec::with_capacity(FIXED_BYTES + letter.detail.len() + json.len());
    bytes.extend_from_slice(&letter.position.get().to_le_bytes());
    bytes.extend_from_slice(&[reason as u8, 0]);
    bytes.extend_from_slice(&letter.attempts.to_le_bytes());
    bytes.extend_from_slice(&millis(letter.first_attempt).to_le_bytes());
    bytes.extend_from_slice(&millis(letter.last_attempt).to_le_bytes());
    bytes.extend_from_slice(&(letter.detail.len() as u32).to_le_bytes());
    bytes.extend_from_slice(letter.detail.as_bytes());
    bytes.extend_from_slice(json.as_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<DeadLetter> {
    let (position, rest) = bytes.split_first_chunk()?;
    let ([reason, _], rest) = rest.split_first_chunk()?;
    let (attempts, rest) = rest.split_first_chunk()?;
    let (first, rest) = rest.split_first_chunk()?;
    let (last, rest) = rest.split_first_chunk()?;
    let (detail, rest) = rest.split_first_chunk()?;
    let (detail, json) = rest.split_at_checked(u32::from_le_bytes(*detail) as usize)?;
    Some(DeadLetter {
        position: Position::new(u64::from_le_bytes(*position)),
        envelope: envelope(json)?,
        reason: *DeadLetterReason::ALL.get(usize::from(*reason))?,
        detail: String::from_utf8(detail.to_vec()).ok()?,
        attempts: u32::from_le_bytes(*attempts),
        first_attempt: time(u64::from_le_bytes(*first)),
        last_attempt: time(u64::from_le_bytes(*last)),
    })
}

fn envelope(json: &[u8]) -> Option<Envelope> {
    let mut slice = SliceBuilder::new("hooks").max_event_bytes(usize::MAX);
    slice.push_json(json).ok()?;
    slice.finish().first().cloned()
}

fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn time(millis: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(UNIX_EPOCH)
}
