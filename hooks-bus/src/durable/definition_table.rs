//! Definitions of hooks in the database.
//!
//! The bytes of one: the version of this form, 1; its revision, the times when it was made and changed, in nanoseconds
//! since 1970, eight bytes each, the least first; its text.

use std::ops::Bound;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hooks_core::{
    HookId,
    bus::{Definition, Revision},
};
use redb::{Database, ReadOnlyTable, ReadableDatabase as _, TableDefinition, TableError, WriteTransaction};

const DEFINITIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("definitions");

/// The version of the form.
const FORM: u8 = 1;

/// Reads the definitions of these hooks.
pub(crate) fn get(database: &Database, hooks: &[HookId]) -> Result<Vec<Option<Definition>>, redb::Error> {
    let Some(table) = table(database)? else { return Ok(vec![None; hooks.len()]) };
    let one = |hook: &HookId| table.get(hook.as_str())?.map(|entry| decode(hook.as_str(), entry.value())).transpose();
    hooks.iter().map(one).collect()
}

/// Reads up to `limit` definitions by name, from behind this one on.
pub(crate) fn page(database: &Database, after: Option<&HookId>, limit: usize) -> Result<Vec<Definition>, redb::Error> {
    let Some(table) = table(database)? else { return Ok(Vec::new()) };
    let after = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_str()));
    let mut page = Vec::new();
    for entry in table.range::<&str>((after, Bound::Unbounded))?.take(limit) {
        let (hook, bytes) = entry?;
        page.push(decode(hook.value(), bytes.value())?);
    }
    Ok(page)
}

/// Stores a definition.
pub(crate) fn set(change: &WriteTransaction, definition: &Definition) -> Result<(), redb::Error> {
    change.open_table(DEFINITIONS)?.insert(definition.hook.as_str(), encode(definition).as_slice())?;
    Ok(())
}

/// Removes the definition of a hook.
pub(crate) fn forget(change: &WriteTransaction, hook: &HookId) -> Result<(), redb::Error> {
    change.open_table(DEFINITIONS)?.remove(hook.as_str())?;
    Ok(())
}

/// The time with the precision that is kept.
pub(crate) fn now() -> SystemTime {
    time(nanos(SystemTime::now()))
}

fn table(database: &Database) -> Result<Option<ReadOnlyTable<&'static str, &'static [u8]>>, redb::Error> {
    match database.begin_read()?.open_table(DEFINITIONS) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn encode(definition: &Definition) -> Vec<u8> {
    let numbers = [definition.revision.get(), nanos(definition.created), nanos(definition.changed)];
    let numbers = numbers.into_iter().flat_map(u64::to_le_bytes);
    std::iter::once(FORM).chain(numbers).chain(definition.text.bytes()).collect()
}

fn decode(hook: &str, bytes: &[u8]) -> Result<Definition, redb::Error> {
    let damaged = || redb::Error::Corrupted(format!("the definition of `{hook}`"));
    let (&FORM, rest) = bytes.split_first().ok_or_else(damaged)? else { return Err(damaged()) };
    let (numbers, text) = rest.split_at_checked(24).ok_or_else(damaged)?;
    let mut numbers = numbers.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
    let mut number = || numbers.next().ok_or_else(damaged);
    let (revision, created, changed) = (number()?, number()?, number()?);
    let text = std::str::from_utf8(text).map_err(|_| damaged())?;
    let hook = HookId::new(hook).map_err(|_| damaged())?;
    Ok(Definition::new(hook, Revision::new(revision), text, time(created)).changed(time(changed)))
}

/// Since 1970.
fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn time(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_definition_is_damage() {
        let definition =
            Definition::new(HookId::new("a").unwrap(), Revision::new(7), "{\"é\":1}", now()).changed(now());
        let bytes = encode(&definition);
        assert_eq!(decode("a", &bytes).unwrap(), definition);
        let damaged = |bytes: &[u8]| decode("a", bytes).unwrap_err().to_string();
        for bytes in [&[][..], &bytes[..24], &[2], &[&bytes[..25], &[0xff]].concat()] {
            assert!(damaged(bytes).contains("the definition of `a`"), "{bytes:?}");
        }
    }
}
