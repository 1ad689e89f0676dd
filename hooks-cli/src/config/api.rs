//! `[api]`: who may do what over HTTP.

use std::path::{Path, PathBuf};

use hooks_core::settings::pointer;
use hooks_server::ApiSettings;

use super::bus::ConfiguredBus;
use super::problem::Findings;
use super::section::{empty, section_of};
use super::tree::{Entry, Node, Value};

/// Reads and checks the section. True beside it when it has tokens, right ones or wrong ones.
pub(super) fn read(
    entry: Option<Entry>,
    config_dir: Option<&str>,
    bus: Option<&ConfiguredBus>,
    findings: &mut Findings,
) -> (Option<ApiSettings>, bool) {
    let node = entry.map_or_else(empty, |entry| entry.node);
    let has_tokens = node.find("/tokens").1;
    let mut draft = node.draft();
    secrets(&node, String::new(), &mut |at, leaf, text| {
        // An excerpt shows the whole line.
        findings.mask(leaf.span.clone());
        draft.hide(at, text, "…");
    });
    let Some(mut settings) = section_of::<ApiSettings>("api", &node, draft, findings) else {
        return (None, has_tokens);
    };
    for problem in settings.problems() {
        let place = node.find(&as_pointer(&problem.path)).0.span();
        findings.add(place, format!("api: {problem}"));
    }
    if let (Some(_), Some(bus)) = (settings.max_retained, bus.filter(|bus| !bus.traits().counts_tenants)) {
        let kind = bus.kind();
        let why = format!(
            "has no effect on the `{kind}` bus, which does not count what a tenant's events take: set bus.kind = \"durable\""
        );
        findings.add(node.find("/max_retained").0.span(), format!("api: max_retained: {why}"));
    }
    if let Some(folder) = config_dir {
        let tokens = settings.tokens.iter_mut().filter_map(|token| token.token_file.as_mut());
        tokens.chain(&mut settings.secrets_key_file).for_each(|file| begin_at(folder, file));
    }
    (Some(settings), has_tokens)
}

/// `/tokens/0/may` of `tokens[0].may`.
fn as_pointer(path: &str) -> String {
    path.split(['.', '[']).map(|step| pointer(step.trim_end_matches(']'))).collect()
}

fn begin_at(folder: &str, file: &mut PathBuf) {
    if !file.as_os_str().is_empty() {
        *file = Path::new(folder).join(&*file);
    }
}

/// Names whose values are no secrets.
const OPEN: [&str; 6] = ["name", "token_file", "may", "tenant", "secrets_key_file", "sinks"];

/// The strings that may be tokens, also where somebody put one into a wrong place, with pointer and text.
fn secrets(node: &Node, at: String, found: &mut dyn FnMut(&str, &Node, &str)) {
    match &node.value {
        Value::Table(table) => {
            let entries = table.iter().filter(|(name, _)| !OPEN.contains(&name.as_str()));
            entries.for_each(|(name, entry)| secrets(&entry.node, at.clone() + &pointer(name), found));
        }
        Value::List(list) => {
            list.iter().enumerate().for_each(|(index, node)| secrets(node, format!("{at}/{index}"), found));
        }
        Value::Leaf(..) | Value::Broken => node.strings(&mut |leaf, text| found(&at, leaf, text)),
    }
}
