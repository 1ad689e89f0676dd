//! Overrides of hooks in the database, as JSON.

use hooks_core::{BusError, HookId, Override};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError, WriteTransaction};

use super::inner::Inner;
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

/// Removes the override of a hook.
pub(crate) fn forget(change: &WriteTransaction, hook: &HookId) -> Result<(), redb::Error> {
    change.open_table(OVERRIDES)?.remove(hook.as_str())?;
    Ok(())
}

impl Inner {
    /// Stores an override, or removes it. Returns when the change would survive a crash. Blocks.
    pub(crate) fn set_override(&self, hook: &HookId, to: Option<Override>) -> Result<(), BusError> {
        let text = to.as_ref().map(encode);
        self.store.write(|change| match &text {
            Some(text) => {
                change.open_table(OVERRIDES)?.insert(hook.as_str(), text.as_str())?;
                Ok(())
            }
            None => forget(change, hook),
        })?;
        let mut overrides = self.overrides.lock();
        match to {
            Some(to) => overrides.insert(hook.clone(), to),
            None => overrides.remove(hook),
        };
        Ok(())
    }
}
