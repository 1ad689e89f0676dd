//! What holds for hooks in place of their settings: JSON each.

use hooks_core::{BusError, HookId, Override, serde_json};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError, WriteTransaction};

use super::inner::Inner;

/// Under the name that it was given first.
const OVERRIDES: TableDefinition<'_, &str, &str> = TableDefinition::new("notes");

/// All of them.
pub(crate) fn read(database: &Database) -> Result<Vec<(HookId, Override)>, redb::Error> {
    let table = match database.begin_read()?.open_table(OVERRIDES) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut overrides = Vec::new();
    for entry in table.iter()? {
        let (hook, text) = entry?;
        match (HookId::new(hook.value()), serde_json::from_str(text.value())) {
            (Ok(hook), Ok(kept)) => overrides.push((hook, kept)),
            (_, kept) => tracing::error!(
                hook = hook.value(),
                error = kept.err().map(|error| error.to_string()),
                "whether the hook is disabled is kept in words that nobody here understands: passed over"
            ),
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
    /// Keeps an override, or removes it. Returns when the change would survive. Blocks.
    pub(crate) fn set_override(&self, hook: &HookId, to: Option<Override>) -> Result<(), BusError> {
        let text = to.as_ref().map(|to| serde_json::to_string(to).unwrap_or_default());
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
