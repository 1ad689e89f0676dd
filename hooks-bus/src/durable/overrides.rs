//! Overrides of hooks in the database, as JSON.

use hooks_core::{HookId, Override};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError, WriteTransaction};

use crate::overrides::{decode, encode};

/// The table keeps its original name.
const OVERRIDES: TableDefinition<'_, &str, &str> = TableDefinition::new("notes");

/// Reads all overrides.
pub(crate) fn read(database: &Database) -> Result<Vec<(HookId, Override)>, redb::Error> {
    let table = match database.begin_read()?.open_table(OVERRIDES) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut overrides = Vec::new();
    for entry in table.iter()? {
        let (hook, text) = entry?;
        if let Ok(id) = HookId::new(hook.value())
            && let Some(kept) = decode(hook.value(), text.value().as_bytes())
        {
            overrides.push((id, kept));
        }
    }
    Ok(overrides)
}

/// Stores the override of a hook, or removes it.
pub(crate) fn set(change: &WriteTransaction, hook: &HookId, to: Option<&Override>) -> Result<(), redb::Error> {
    let Some(to) = to else { return forget(change, hook) };
    change.open_table(OVERRIDES)?.insert(hook.as_str(), encode(to).as_str())?;
    Ok(())
}

/// Removes the override of a hook.
pub(crate) fn forget(change: &WriteTransaction, hook: &HookId) -> Result<(), redb::Error> {
    change.open_table(OVERRIDES)?.remove(hook.as_str())?;
    Ok(())
}
