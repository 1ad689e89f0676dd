//! What the events of each tenant take in the log, file by file.
//!
//! A file that this process began is counted as it is written. What others hold is kept in the database once they are
//! full; a file that it does not know is read, once, when somebody asks.

use std::collections::BTreeMap;

use hooks_core::serde_json;
use hooks_core::{BusError, Envelope, TenantId};
use parking_lot::Mutex;
use redb::{ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::format::RECORD_BYTES;
use super::inner::Inner;
use super::log::Part;
use super::scan::decode;
use super::segment::PIECE;

/// For the first position of a file, its end and counts as JSON.
const TENANTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("tenants");

/// Bytes of log, by tenant.
type Counts = BTreeMap<Box<str>, u64>;

/// The counts of one file.
#[derive(Debug, Default)]
pub(crate) struct FileTenants(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// `None`: nobody has counted.
    counts: Option<Counts>,
    /// The database has them.
    is_saved: bool,
}

/// The counts of a file that is full.
#[derive(Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The position behind its last event.
    end: u64,
    tenants: Counts,
}

impl FileTenants {
    /// Counts a file that is empty, and then what is [added](Self::add).
    pub(crate) fn begin(&self) {
        self.0.lock().counts = Some(Counts::new());
    }

    /// Adds an event of a tenant that was appended.
    pub(crate) fn add(&self, tenant: &str, event: &Envelope) {
        if let Some(counts) = &mut self.0.lock().counts {
            add(counts, tenant, event);
        }
    }

    fn bytes(&self, tenant: &str) -> u64 {
        self.0.lock().counts.as_ref().and_then(|counts| counts.get(tenant).copied()).unwrap_or(0)
    }

    fn is_counted(&self) -> bool {
        self.0.lock().counts.is_some()
    }

    /// What is to be saved, if anything is.
    fn unsaved(&self) -> Option<Counts> {
        let state = self.0.lock();
        state.counts.clone().filter(|_| !state.is_saved)
    }

    fn set(&self, counts: Counts, is_saved: bool) {
        *self.0.lock() = State { counts: Some(counts), is_saved };
    }

    fn saved(&self) {
        self.0.lock().is_saved = true;
    }
}

fn add(counts: &mut Counts, tenant: &str, event: &Envelope) {
    let bytes = (RECORD_BYTES + event.len()) as u64;
    match counts.get_mut(tenant) {
        Some(count) => *count += bytes,
        None => drop(counts.insert(tenant.into(), bytes)),
    }
}

impl Inner {
    /// Counts the files that nobody has counted. Blocks.
    pub(crate) fn count_tenants(&self) -> Result<(), BusError> {
        let mut kept = self.kept_tenants()?;
        for part in self.storage.log.parts() {
            let tenants = &part.segment.tenants;
            if tenants.is_counted() {
                continue;
            }
            match kept.remove(&part.segment.first).filter(|kept| kept.end == part.end) {
                Some(Kept { tenants: counts, .. }) => tenants.set(counts, true),
                None => tenants.set(self.scan(&part)?, false),
            }
        }
        self.storage.log.set_counted();
        Ok(())
    }

    /// What the database has, by the first positions of files.
    pub(crate) fn kept_tenants(&self) -> Result<BTreeMap<u64, Kept>, BusError> {
        self.storage.store.read(|database| read(&database.begin_read()?))
    }

    /// Reads a file once, and counts what is in it.
    fn scan(&self, part: &Part) -> Result<Counts, BusError> {
        let failed = |error| self.storage.unavailable("count the events of tenants", &error);
        let mut counts = Counts::new();
        let mut place = part.segment.seek(part.segment.first, part.end).map_err(failed)?;
        while place.position < part.end {
            let piece = part.segment.read(place, part.end, PIECE).map_err(failed)?;
            let slices = decode(&piece, &self.storage.dir, &self.cache.budget);
            for (_, event) in slices.iter().flat_map(|slice| slice.events()) {
                if let Some(tenant) = event.tenant() {
                    add(&mut counts, tenant, event);
                }
            }
            place = piece.next;
        }
        Ok(counts)
    }

    /// Bytes of log that the events of a tenant take. `None`: nobody has counted. A file counts until it is removed.
    pub(crate) fn tenant_bytes(&self, tenant: &TenantId) -> Option<u64> {
        let log = &self.storage.log;
        log.is_counted().then(|| log.sum(|segment| segment.tenants.bytes(tenant.as_str())))
    }

    /// Keeps the counts of files that are full. Blocks.
    pub(crate) fn save_tenants(&self) -> Result<(), BusError> {
        let full = self.storage.log.parts_but_newest().into_iter();
        let unsaved: Vec<_> = full.filter_map(|part| Some((part.segment.tenants.unsaved()?, part))).collect();
        if unsaved.is_empty() {
            return Ok(());
        }
        let begin = self.storage.log.begin();
        self.storage.store.write(|change| {
            unsaved.iter().try_for_each(|(counts, part)| write(change, part, counts))?;
            // Files before that are gone.
            change.open_table(TENANTS)?.retain(|first, _| first >= begin)?;
            Ok(())
        })?;
        unsaved.iter().for_each(|(_, part)| part.segment.tenants.saved());
        Ok(())
    }
}

fn write(change: &WriteTransaction, part: &Part, counts: &Counts) -> Result<(), redb::Error> {
    let kept = Kept { end: part.end, tenants: counts.clone() };
    // Numbers under texts: this does not fail.
    let text = serde_json::to_vec(&kept).unwrap_or_default();
    change.open_table(TENANTS)?.insert(part.segment.first, text.as_slice())?;
    Ok(())
}

/// What can't be read is not there: it is counted again.
fn read(read: &ReadTransaction) -> Result<BTreeMap<u64, Kept>, redb::Error> {
    let table = match read.open_table(TENANTS) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.into()),
    };
    let mut found = BTreeMap::new();
    for entry in table.iter()? {
        let (first, text) = entry?;
        found.extend(serde_json::from_slice(text.value()).ok().map(|kept| (first.value(), kept)));
    }
    Ok(found)
}
