//! What is noted about hooks: a text each.

use hooks_core::{BusError, HookId};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError, WriteTransaction};

use super::inner::Inner;

const NOTES: TableDefinition<'_, &str, &str> = TableDefinition::new("notes");

/// All of them.
pub(crate) fn read(database: &Database) -> Result<Vec<(HookId, String)>, redb::Error> {
    let table = match database.begin_read()?.open_table(NOTES) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut notes = Vec::new();
    for entry in table.iter()? {
        let (hook, note) = entry?;
        if let Ok(hook) = HookId::new(hook.value()) {
            notes.push((hook, note.value().to_owned()));
        }
    }
    Ok(notes)
}

/// Forgets the note about a hook.
pub(crate) fn forget(change: &WriteTransaction, hook: &HookId) -> Result<(), redb::Error> {
    change.open_table(NOTES)?.remove(hook.as_str())?;
    Ok(())
}

impl Inner {
    /// Keeps a note, or removes it. Returns when the change would survive. Blocks.
    pub(crate) fn note(&self, hook: &HookId, text: Option<String>) -> Result<(), BusError> {
        self.store.write(|change| match &text {
            Some(text) => {
                change.open_table(NOTES)?.insert(hook.as_str(), text.as_str())?;
                Ok(())
            }
            None => forget(change, hook),
        })?;
        let mut notes = self.notes.lock();
        match text {
            Some(text) => notes.insert(hook.clone(), text),
            None => notes.remove(hook),
        };
        Ok(())
    }
}
