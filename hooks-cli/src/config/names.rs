//! What a shell needs of a config file to complete the names of hooks: little, soon, and whatever else is wrong with it.

use std::path::{Path, PathBuf};

use super::bus::{self, Source};
use super::origin::ConfigText;
use super::problem::Findings;
use super::tree::Value;
use super::{Variables, WithoutBus, tree_of};

/// The folder of a config file's bus, and the names of its hooks.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) folder: Option<PathBuf>,
    pub(crate) hooks: Vec<String>,
}

impl Names {
    /// Those of the file, as far as they can be read.
    pub(crate) fn read(path: &Path) -> Self {
        let Ok(ConfigText { file, text, folder }) = ConfigText::read(path) else { return Self::default() };
        let variables = Variables { config_dir: folder.as_deref(), lookup: &|name| std::env::var(name) };
        let mut findings = Findings::default();
        let Ok((mut root, _)) = tree_of(&text, &file, &variables, &mut findings) else { return Self::default() };
        let Some(table) = root.table_mut() else { return Self::default() };
        let (config_dir, lookup) = (folder.as_deref(), variables.lookup);
        let source = Source { text: &text, file: &file, without_bus: WithoutBus::OnDisk, config_dir, lookup };
        let bus = bus::read(table.remove("bus"), &source, &mut findings);
        let list = match table.remove("hooks").map(|entry| entry.node.value) {
            Some(Value::List(list)) => list,
            _ => Vec::new(),
        };
        let name = |hook: super::tree::Node| hook.table()?.get("id")?.node.text().map(str::to_owned);
        Self {
            folder: bus.and_then(|bus| bus.folder().map(Path::to_owned)),
            hooks: list.into_iter().filter_map(name).collect(),
        }
    }
}
