//! A file of hooks that are defined at a daemon: `[[hooks]]` and `[defaults]`, as a config file has them.

use std::path::Path;

use hooks_core::HookId;
use serde_json::Value as Json;

use super::origin::ConfigText;
use super::problem::{Findings, Problems};
use super::tree::{Node, Value};
use super::{Variables, defaults, hook, hook_list, refuse_unknown, tree_of};

/// The names that can stand at the top of such a file. The others are a daemon's own.
const SECTIONS: [&str; 2] = ["defaults", "hooks"];

/// The hooks of a file. No `Debug`: it may hold secrets.
pub(crate) struct HookFile {
    file: String,
    text: String,
    pub(crate) hooks: Vec<FileHook>,
}

/// A hook, as a file has it.
pub(crate) struct FileHook {
    pub(crate) id: HookId,
    /// Without secrets.
    pub(crate) shown: Json,
    node: Node,
}

/// Something that a daemon has to say against a hook: at which JSON pointer, and what.
pub(crate) type Fault = (String, String);

/// Reads and checks a file of hooks.
///
/// # Errors
/// Everything that is wrong with it; or that it can't be read.
pub(crate) fn load_hooks(path: &Path) -> Result<HookFile, Problems> {
    let ConfigText { file, text, folder } = ConfigText::read(path)?;
    let variables = Variables { config_dir: folder.as_deref(), lookup: &|name| std::env::var(name) };
    parse(text, file, &variables)
}

fn parse(text: String, file: String, variables: &Variables<'_>) -> Result<HookFile, Problems> {
    let mut findings = Findings::default();
    let (mut root, _) = tree_of(&text, &file, variables, &mut findings)?;
    let mut hooks = Vec::new();
    if let Some(table) = root.table_mut() {
        let unknown = refuse_unknown(table, &SECTIONS, &mut findings);
        let defaults = defaults(table, &mut findings);
        let entry = table.remove("hooks");
        if entry.is_some() || !unknown {
            let list = hook_list(entry, &mut findings);
            hooks = hook::read_for_daemon(list, &defaults, &mut findings);
        }
    }
    if !findings.is_empty() {
        return Err(findings.into_problems(&file, &text));
    }
    let hooks = hooks.into_iter().map(|(hook, node)| FileHook {
        shown: hook.settings.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
        id: hook.id,
        node,
    });
    Ok(HookFile { hooks: hooks.collect(), file, text })
}

impl FileHook {
    /// What a daemon is to have, with secrets.
    pub(crate) fn table(&self) -> Json {
        self.node.json()
    }

    /// True if something is written that a daemon does not show.
    pub(crate) fn has_secrets(&self) -> bool {
        let mut any = false;
        self.node.visit(&mut |pointer, node| {
            any |= !matches!(node.value, Value::Table(_)) && self.shown.pointer(pointer).is_none();
        });
        any
    }

    /// A text without the values of variables.
    pub(crate) fn redact(&self, text: &str) -> String {
        self.node.draft().redact(text)
    }
}

impl HookFile {
    /// What a daemon says against these hooks, at its places in the file.
    pub(crate) fn problems(&self, found: Vec<(&FileHook, Vec<Fault>)>) -> Problems {
        let mut findings = Findings::default();
        for (hook, faults) in found {
            if let (sink, true) = hook.node.find("/sink") {
                findings.mask_plugin(sink.node);
            }
            for (pointer, reason) in faults {
                let (found, whole) = hook.node.find(&pointer);
                if reason.starts_with("unknown field") {
                    // It may be a secret that belongs elsewhere.
                    found.node.strings(&mut |node, _| findings.mask(node.span.clone()));
                }
                let span = if whole { found.span() } else { found.key() };
                findings.add(span, format!("hook `{}`: {}", hook.id, hook.redact(&reason)));
            }
        }
        findings.into_problems(&self.file, &self.text)
    }
}
