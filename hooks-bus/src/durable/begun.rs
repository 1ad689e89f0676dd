//! The times when files of the log were begun. They differ from the headers after the clock was set.

use std::collections::HashMap;

use redb::{ReadTransaction, ReadableTable as _, TableDefinition, TableError, WriteTransaction};

const BEGUN: TableDefinition<'_, u64, (u64, u64)> = TableDefinition::new("begun");

/// For the first position of a file, the time when it was begun: by its header and as now known, in seconds since 1970.
/// The header's time tells whether it is still the same file.
pub(crate) type Begun = HashMap<u64, (u64, u64)>;

pub(crate) fn read(read: &ReadTransaction) -> Result<Begun, redb::Error> {
    let table = match read.open_table(BEGUN) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Begun::new()),
        Err(error) => return Err(error.into()),
    };
    let mut begun = Begun::new();
    for entry in table.iter()? {
        let (first, both) = entry?;
        begun.insert(first.value(), both.value());
    }
    Ok(begun)
}

/// Replaces all stored times by these.
pub(crate) fn write(change: &WriteTransaction, begun: &Begun) -> Result<(), redb::Error> {
    change.delete_table(BEGUN)?;
    let mut table = change.open_table(BEGUN)?;
    for (first, both) in begun {
        table.insert(first, both)?;
    }
    Ok(())
}
