//! The database beside the events: the place of each hook, and the end of the log at that moment.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use hooks_core::{
    BusError, HookId,
    bus::{Definition, Revision},
};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError, WriteTransaction};
use uuid::Uuid;

use super::backend::{Backend, Health, is_no_room};
use super::begun::{self, Begun};
use super::checkpoint::{Behind, Checkpoint};
use super::definition_table;
use super::disk::Disk;
use super::error::OpenError;

/// The database's file.
pub(crate) const FILE: &str = "meta.redb";

/// Bytes of memory for the database's pages.
const CACHE: usize = 8 << 20;

const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
const ID: TableDefinition<'_, &str, u128> = TableDefinition::new("id");
const HOOKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("hooks");
const LOG: &str = "log";
/// Every event before this position was safe and dispatched at the last commit.
const END: &str = "end";
/// Segments that end at or before this position may be gone.
const FLOOR: &str = "floor";
/// Before the name of a hook: since when its receiver has accepted nothing.
const FAILING: &str = "failing ";
/// Behind all of those names.
const BEHIND_FAILING: &str = "failing!";
/// The last revision of a definition, of any hook: none comes twice.
const REVISION: &str = "revision";

/// The contents of the database when the folder is opened.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) log: Uuid,
    pub(crate) end: u64,
    pub(crate) floor: u64,
    pub(crate) hooks: Vec<(HookId, Checkpoint)>,
    pub(crate) begun: Begun,
}

impl Known {
    /// The contents for a new log.
    pub(crate) fn new(log: Uuid) -> Self {
        Self { log, end: 0, floor: 0, hooks: Vec::new(), begun: Begun::new() }
    }
}

/// The database. All calls block. Who reads waits for nobody who writes.
#[derive(Debug)]
pub(crate) struct Store {
    /// Nobody may use it while it is opened once more.
    open: RwLock<Option<Database>>,
    health: Arc<Health>,
    dir: PathBuf,
    /// Dropped last: closing the database writes to the folder, which another process may have once this is gone.
    disk: Arc<dyn Disk>,
}

impl Store {
    /// Opens the database, or makes one in a folder that has none.
    pub(crate) fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, OpenError> {
        let health = Arc::<Health>::default();
        let open = open(&*disk, &health, Check::All).map_err(|error| match error {
            // That is how the database says that a file is none of its own.
            redb::Error::Io(source) if source.kind() != io::ErrorKind::InvalidData => {
                OpenError::io(dir, "open `meta.redb` in", source)
            }
            error => OpenError::unusable(
                dir,
                format!("`{FILE}`, the database of the hooks' positions, can't be read ({error})"),
            ),
        })?;
        Ok(Self { open: RwLock::new(Some(open)), health, dir: dir.to_owned(), disk })
    }

    /// Stores the log's id, as the first entry.
    pub(crate) fn name_log(&self, log: Uuid) -> Result<(), BusError> {
        self.write(|change| {
            change.open_table(ID)?.insert(LOG, log.as_u128())?;
            Ok(())
        })
    }

    /// Reads the contents. `None` in a new database.
    pub(crate) fn known(&self) -> Result<Option<Known>, BusError> {
        self.read(|database| {
            let read = database.begin_read()?;
            let log = match read.open_table(ID) {
                Ok(table) => table.get(LOG)?.map(|id| Uuid::from_u128(id.value())),
                Err(TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(error.into()),
            };
            let Some(log) = log else { return Ok(None) };
            let mut known = Known::new(log);
            known.begun = begun::read(&read)?;
            match read.open_table(NUMBERS) {
                Ok(table) => {
                    known.end = table.get(END)?.map_or(0, |number| number.value());
                    known.floor = table.get(FLOOR)?.map_or(0, |number| number.value());
                }
                Err(TableError::TableDoesNotExist(_)) => {}
                Err(error) => return Err(error.into()),
            }
            match read.open_table(HOOKS) {
                Ok(table) => {
                    for entry in table.iter()? {
                        let (hook, checkpoint) = entry?;
                        let (Ok(hook), Some(checkpoint)) =
                            (HookId::new(hook.value()), Checkpoint::decode(checkpoint.value()))
                        else {
                            return Err(redb::Error::Corrupted(format!("the position of `{}`", hook.value())));
                        };
                        known.hooks.push((hook, checkpoint));
                    }
                }
                Err(TableError::TableDoesNotExist(_)) => {}
                Err(error) => return Err(error.into()),
            }
            Ok(Some(known))
        })
    }

    /// Stores checkpoints of hooks, and where new ones began. All others at the end move on to this end.
    pub(crate) fn advance(
        &self,
        end: u64,
        checkpoints: &[(HookId, Checkpoint)],
        began: &[(HookId, u64)],
    ) -> Result<(), BusError> {
        self.write(|change| {
            let mut numbers = change.open_table(NUMBERS)?;
            numbers.insert(END, end)?;
            for (hook, at) in began {
                numbers.insert(&*beginning(hook), at)?;
            }
            let mut hooks = change.open_table(HOOKS)?;
            for (hook, checkpoint) in checkpoints {
                hooks.insert(hook.as_str(), checkpoint.encode().as_slice())?;
            }
            Ok(())
        })
    }

    /// Reads the position where a hook began.
    pub(crate) fn began(&self, hook: &HookId) -> Result<Option<u64>, BusError> {
        let name = beginning(hook);
        self.read(|database| match database.begin_read()?.open_table(NUMBERS) {
            Ok(table) => Ok(table.get(&*name)?.map(|at| at.value())),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        })
    }

    /// Reads since when the receivers of hooks have accepted nothing, in seconds since 1970.
    pub(crate) fn failing(&self) -> Result<HashMap<HookId, u64>, BusError> {
        self.read(|database| {
            let numbers = match database.begin_read()?.open_table(NUMBERS) {
                Ok(numbers) => numbers,
                Err(TableError::TableDoesNotExist(_)) => return Ok(HashMap::new()),
                Err(error) => return Err(error.into()),
            };
            let mut failing = HashMap::new();
            for entry in numbers.range(FAILING..BEHIND_FAILING)? {
                let (name, since) = entry?;
                let hook = name.value().strip_prefix(FAILING).map(HookId::new);
                failing.extend(hook.and_then(Result::ok).map(|hook| (hook, since.value())));
            }
            Ok(failing)
        })
    }

    /// Stores since when the receiver of a hook has accepted nothing, or removes it.
    pub(crate) fn set_failing(&self, hook: &HookId, since: Option<u64>) -> Result<(), BusError> {
        self.write(|change| {
            let (mut numbers, name) = (change.open_table(NUMBERS)?, failing(hook));
            match since {
                Some(since) => numbers.insert(&*name, since)?,
                None => numbers.remove(&*name)?,
            };
            Ok(())
        })
    }

    /// Stores the floor: segments that end at or before it may be removed.
    pub(crate) fn set_floor(&self, floor: u64) -> Result<(), BusError> {
        self.write(|change| {
            change.open_table(NUMBERS)?.insert(FLOOR, floor)?;
            Ok(())
        })
    }

    /// Stores the times when files of the log were begun.
    pub(crate) fn set_begun(&self, begun: &Begun) -> Result<(), BusError> {
        self.write(|change| begun::write(change, begun))
    }

    /// Stores the place of one hook. The end, where all others are that are not behind, stays where it is.
    pub(crate) fn set_place(&self, hook: &HookId, place: &Behind) -> Result<(), BusError> {
        self.write(|change| {
            let checkpoint = Checkpoint::Behind(place.clone());
            change.open_table(HOOKS)?.insert(hook.as_str(), checkpoint.encode().as_slice())?;
            Ok(())
        })
    }

    /// Removes all entries of a hook.
    pub(crate) fn forget(&self, hook: &HookId) -> Result<(), BusError> {
        self.write(|change| forget(change, hook))
    }

    /// Makes changes of definitions, all of them or none. Returns what was defined by each.
    pub(crate) fn change_definitions(
        &self,
        changes: &[DefinitionChange<'_>],
    ) -> Result<Vec<Option<Definition>>, BusError> {
        self.write(|change| {
            // Each change opens the table, too.
            let mut revision = change.open_table(NUMBERS)?.get(REVISION)?.map_or(0, |number| number.value());
            let mut defined = Vec::with_capacity(changes.len());
            for one in changes {
                revision += 1;
                defined.push(one.make(change, Revision::new(revision))?);
            }
            change.open_table(NUMBERS)?.insert(REVISION, revision)?;
            Ok(defined)
        })
    }

    /// Runs a write transaction. When it returns, the change would survive a crash.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, BusError> {
        self.read(|database| {
            let transaction = database.begin_write()?;
            let result = change(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, BusError> {
        let slot = self.opened()?;
        let database = slot.as_ref().ok_or_else(|| self.broken(&"it is closed"))?;
        look(database).map_err(|error| self.failed(&error))
    }

    /// The database, opened once more where that is needed.
    fn opened(&self) -> Result<RwLockReadGuard<'_, Option<Database>>, BusError> {
        if self.health.is_broken() {
            return Err(self.broken(&"an earlier write failed"));
        }
        let slot = self.open.read();
        if slot.is_some() && !self.health.has_failed() {
            return Ok(slot);
        }
        drop(slot);
        let mut slot = self.open.write();
        if self.health.take_failed() {
            *slot = None;
        }
        if slot.is_none() {
            *slot = Some(open(&*self.disk, &self.health, Check::AsNeeded).map_err(|error| self.failed(&error))?);
        }
        Ok(RwLockWriteGuard::downgrade(slot))
    }

    /// The error if the database takes no more changes until a restart.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.health.is_broken().then(|| self.broken(&"a write failed").to_string())
    }

    fn failed(&self, error: &redb::Error) -> BusError {
        let file = self.dir.join(FILE);
        let file = file.display();
        match error {
            _ if self.health.is_broken() => self.broken(error),
            redb::Error::Io(source) if is_no_room(source) => {
                BusError::Full(format!("no room on the disk for `{file}`: {error}"))
            }
            _ => BusError::Unavailable(format!("`{file}` can't be used now: {error}")),
        }
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> BusError {
        let file = self.dir.join(FILE);
        BusError::Unavailable(format!("`{}` can't be written: {error}; restart to recover", file.display()))
    }
}

/// A change of the definition of a hook.
#[derive(Debug)]
pub(crate) enum DefinitionChange<'a> {
    Define {
        hook: &'a HookId,
        text: &'a Arc<str>,
        /// If it was defined before.
        created: Option<SystemTime>,
        /// The position of a hook that had none.
        place: Option<u64>,
    },
    Undefine {
        hook: &'a HookId,
    },
}

impl DefinitionChange<'_> {
    fn make(&self, change: &WriteTransaction, revision: Revision) -> Result<Option<Definition>, redb::Error> {
        let (hook, text, created, place) = match self {
            Self::Define { hook, text, created, place } => (*hook, *text, *created, *place),
            Self::Undefine { hook } => return forget(change, hook).map(|()| None),
        };
        let now = definition_table::now();
        let definition = Definition::new(hook.clone(), revision, text.clone(), created.unwrap_or(now)).changed(now);
        definition_table::set(change, &definition)?;
        if let Some(place) = place {
            let checkpoint = Checkpoint::Behind(Behind::at(place));
            change.open_table(HOOKS)?.insert(hook.as_str(), checkpoint.encode().as_slice())?;
            change.open_table(NUMBERS)?.insert(&*beginning(hook), place)?;
        }
        Ok(Some(definition))
    }
}

/// The number's name that says where a hook began. Not a table of its own: each takes room in a file that can't grow on a
/// full disk, where hooks still go on.
fn beginning(hook: &HookId) -> String {
    format!("began {hook}")
}

/// The number's name that says since when a hook's receiver has accepted nothing.
fn failing(hook: &HookId) -> String {
    format!("{FAILING}{hook}")
}

/// Removes all entries of a hook.
fn forget(change: &WriteTransaction, hook: &HookId) -> Result<(), redb::Error> {
    change.open_table(HOOKS)?.remove(hook.as_str())?;
    for name in [beginning(hook), failing(hook)] {
        change.open_table(NUMBERS)?.remove(&*name)?;
    }
    super::overrides::forget(change, hook)?;
    super::dead_letter_table::forget(change, hook)?;
    definition_table::forget(change, hook)
}

/// The check of the file when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Checks all of it: a flipped bit in a position would skip events.
    All,
    /// Checks all of it after a failed write, else nothing: this process wrote it last.
    AsNeeded,
}

fn open(disk: &dyn Disk, health: &Arc<Health>, check: Check) -> Result<Database, redb::Error> {
    let file = match disk.open(FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(FILE)?,
        opened => opened?,
    };
    let backend = Backend { file, health: health.clone() };
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(check == Check::All);
    Ok(builder.create_with_backend(backend)?)
}
