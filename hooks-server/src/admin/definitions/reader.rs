//! From what the bus keeps to a hook, and from what a client sends to what the bus keeps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use hooks_core::bus::BusTraits;
use hooks_core::settings::{Draft, Fault, HookReader, HookSettings, Strangers};
use hooks_core::{BoxError, DefinitionReader, Hook, HookId, TenantId};
use http::StatusCode;
use parking_lot::{Mutex, RwLock};
use schemars::SchemaGenerator;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::sealer::{Seal, Sealer};
use crate::Keys;
use crate::admin::response::Problem;

/// A hook's definition, with its secrets.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// What a `[[hooks]]` table holds beside `id`.
    pub(super) hook: Json,
    /// The time from which on only the first of its signing secrets is good, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) overlap_until: Option<u64>,
}

/// What is needed to read definitions; all of it but the bus may change.
pub(super) struct Reader {
    kind: String,
    traits: BusTraits,
    settings: RwLock<Arc<ReaderSettings>>,
    /// Hooks that were read for the dispatcher, and when their old secrets end.
    overlaps: Mutex<BTreeMap<HookId, u64>>,
}

/// What of it may change.
pub(super) struct ReaderSettings {
    sealer: Sealer,
    strangers: Strangers,
    reader: HookReader<'static>,
}

impl ReaderSettings {
    fn new(kind: &str, traits: BusTraits, keys: Option<&Keys>, strangers: Strangers) -> Self {
        let reader = HookReader::new().on_bus(kind.to_owned(), traits).for_strangers(strangers.clone());
        Self { sealer: Sealer::new(keys), strangers, reader }
    }
}

impl Reader {
    pub(super) fn new(kind: String, traits: BusTraits, keys: Option<&Keys>, strangers: Strangers) -> Self {
        let settings = RwLock::new(Arc::new(ReaderSettings::new(&kind, traits, keys, strangers)));
        Self { kind, traits, settings, overlaps: Mutex::default() }
    }

    /// Returns true if hooks that are read from now on may be others.
    pub(super) fn set(&self, keys: Option<&Keys>, strangers: Strangers) -> bool {
        let new = Arc::new(ReaderSettings::new(&self.kind, self.traits, keys, strangers));
        let old = std::mem::replace(&mut *self.settings.write(), new.clone());
        old.strangers != new.strangers
    }

    /// # Errors
    /// When nothing can be sealed.
    pub(super) fn check_key(&self) -> Result<(), Problem> {
        if self.settings().sealer.key().is_some() {
            return Ok(());
        }
        let why = "there is no key to seal definitions with: set api.secrets_key_file, the same on all instances";
        Err(Problem::new(StatusCode::NOT_IMPLEMENTED, why))
    }

    pub(super) fn settings(&self) -> Arc<ReaderSettings> {
        self.settings.read().clone()
    }

    /// # Errors
    /// Everything that is wrong with the table.
    pub(super) fn read(&self, table: Json) -> Result<HookSettings, Vec<Fault>> {
        self.settings().reader.read(Draft::new(table))
    }

    /// The JSON Schema of the tables that clients may send.
    pub(super) fn schema(&self, generator: &mut SchemaGenerator) -> Json {
        self.settings().reader.schema(generator)
    }

    /// The settings without secrets. `None` where something is wrong with them by now.
    pub(super) fn shown(&self, table: Json) -> Option<Json> {
        serde_json::to_value(self.read(table).ok()?).ok()
    }

    pub(super) fn take_overlaps(&self) -> BTreeMap<HookId, u64> {
        std::mem::take(&mut *self.overlaps.lock())
    }

    /// The text that the bus keeps.
    ///
    /// # Errors
    /// When it can't be sealed.
    pub(super) fn seal(&self, hook: &HookId, kept: &Kept) -> Result<String, String> {
        let plain = serde_json::to_vec(kept).map_err(|error| error.to_string())?;
        let tenant = kept.hook.get("tenant").and_then(|tenant| TenantId::new(tenant.as_str()?).ok());
        self.settings().sealer.seal(hook, plain, tenant)
    }

    /// The id of the key that seals.
    pub(super) fn key(&self) -> Option<String> {
        self.settings().sealer.key().map(str::to_owned)
    }

    /// Which key a definition is sealed with, and whose it says that it is.
    pub(super) fn seal_of(&self, hook: &HookId, text: &str) -> (Seal, Option<TenantId>) {
        self.settings().sealer.seal_of(hook, text)
    }

    /// The tenant of a definition, as far as anything says so.
    pub(super) fn tenant(&self, hook: &HookId, text: &str) -> Option<TenantId> {
        match self.open(hook, text) {
            Ok(kept) => TenantId::new(kept.hook["tenant"].as_str()?).ok(),
            Err(_) => self.seal_of(hook, text).1,
        }
    }

    /// # Errors
    /// When the text can't be opened.
    pub(super) fn open(&self, hook: &HookId, text: &str) -> Result<Kept, String> {
        let plain = self.settings().sealer.open(hook, text)?;
        // The error would quote it.
        serde_json::from_slice(&plain).map_err(|_| "its definition was kept by another version".to_owned())
    }
}

/// For the dispatcher.
pub(super) struct Restorer(pub(super) Arc<Reader>);

impl DefinitionReader for Restorer {
    fn read(&self, hook: &HookId, text: &str) -> Result<Hook, BoxError> {
        let kept = self.0.open(hook, text)?;
        if let Some(until) = kept.overlap_until {
            self.0.overlaps.lock().insert(hook.clone(), until);
        }
        let settings = self.0.read(kept.hook).map_err(said)?;
        Ok(settings.into_hook(hook.clone()).map_err(said)?)
    }
}

/// Everything that is wrong, in one text.
pub(super) fn said(faults: Vec<Fault>) -> String {
    let messages: Vec<_> = faults.into_iter().map(|fault| fault.message).collect();
    messages.join("; ")
}

/// Seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
