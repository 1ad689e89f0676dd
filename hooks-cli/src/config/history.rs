//! `[history]`: what is kept of attempts.

use std::path::{Path, PathBuf};

use hooks_core::uuid::Uuid;
use hooks_server::history::{History, HistoryError, HistorySettings};

use super::bus::ConfiguredBus;
use super::problem::Findings;
use super::section::{place_of, section};
use super::tree::Entry;

/// The folder in that of the bus.
const FOLDER: &str = "history";

/// What a config file says of the history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryConfig {
    /// The settings, or the defaults.
    pub settings: HistorySettings,
    /// True if the section is there.
    pub is_set: bool,
}

impl HistoryConfig {
    /// The folder, if a history is kept.
    pub(crate) fn folder(&self, bus: &ConfiguredBus) -> Option<PathBuf> {
        if self.settings.is_off() {
            return None;
        }
        self.settings.folder.clone().or_else(|| bus.folder().map(|folder| folder.join(FOLDER)))
    }

    /// Opens it to record attempts, if one is kept. Blocks.
    ///
    /// # Errors
    /// When its folder can't be used.
    pub(crate) fn open(&self, bus: &ConfiguredBus, log: Uuid) -> Result<Option<History>, HistoryError> {
        let folder = self.folder(bus);
        folder.map(|folder| History::open(&folder, &self.settings, log)).transpose()
    }

    /// Looks at it, if there is one. Blocks.
    ///
    /// # Errors
    /// When its folder can't be read.
    pub(crate) fn look(&self, bus: &ConfiguredBus, log: Uuid) -> Result<Option<History>, String> {
        let Some(folder) = self.folder(bus).filter(|folder| folder.exists()) else { return Ok(None) };
        let history = History::look(&folder, &self.settings, log);
        history.map(Some).map_err(|error| format!("history: {}: can't be read: {error}", folder.display()))
    }
}

/// Reads and checks the section. `bus`: the one that the file names.
pub(super) fn read(
    entry: Option<Entry>,
    config_dir: Option<&str>,
    bus: Option<&ConfiguredBus>,
    findings: &mut Findings,
) -> Option<HistoryConfig> {
    let is_set = entry.is_some();
    let (mut settings, places) = section::<HistorySettings>("history", entry, findings)?;
    let problems = settings.problems();
    for problem in &problems {
        findings.add(place_of(&places, &problem.path), format!("history: {problem}"));
    }
    let without = bus.filter(|bus| bus.folder().is_none());
    if let (Some(bus), true, None, false) = (without, is_set, &settings.folder, settings.is_off()) {
        let why = format!("the `{}` bus has no folder that it could be in: set `history.folder`", bus.kind());
        findings.add(places.span.clone(), format!("history: {why}"));
    }
    if let (Some(folder), Some(config_dir)) = (&mut settings.folder, config_dir) {
        *folder = Path::new(config_dir).join(&*folder);
    }
    Some(HistoryConfig { settings, is_set })
}
