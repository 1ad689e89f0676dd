//! Reading the table of a sink or a bus: finding its kind among those linked, and handing it its table.

use std::sync::Arc;

use hooks_core::{inventory, plugin::Plugin};
use hooks_server::names::nearest;
use serde_json::Value as Json;

use super::problem::Findings;
use super::read::{Section, parse_path, place};
use super::shape::{Shape, Shapes};
use super::tree::{Entry, Node, Step, Table};
use super::wording::{Redactor, unknown_field};

/// A table whose `kind` says which plugin reads it.
pub(super) struct Place<'a> {
    /// Where it stands, for messages: ``hook `orders`: sink``, `bus`.
    pub(super) label: &'a str,
    /// An example of such a table.
    pub(super) example: &'a str,
}

impl Place<'_> {
    /// Reads the table. `None` when something is wrong, which is noted.
    pub(super) fn read<F: ?Sized>(
        &self,
        entry: &mut Entry,
        shapes: &mut Shapes,
        findings: &mut Findings,
    ) -> Option<Arc<F>>
    where
        Plugin<F>: inventory::Collect,
    {
        mask_strings(&entry.node, None, findings);
        let (label, described, span) = (self.label, entry.node.describe(), entry.key.clone());
        let Some(table) = entry.node.table_mut() else {
            if !entry.node.is_broken() {
                let example = self.example;
                let message = format!("{label}: expected a table, for example `{example}`, found {described}");
                findings.add(entry.node.span.clone(), message);
            }
            return None;
        };
        let Some(kind) = table.remove("kind") else {
            findings.add(span, format!("{label}: `kind` is missing; linked into this binary: {}", kinds::<F>()));
            return None;
        };
        let plugin = self.plugin::<F>(&kind, findings)?;
        let label = format!("{label} `{}`: ", plugin.kind());
        Reader { plugin, shape: shapes.of(plugin), label: &label, span }.read(&mut entry.node, findings)
    }

    fn plugin<F: ?Sized>(&self, kind: &Entry, findings: &mut Findings) -> Option<&'static Plugin<F>>
    where
        Plugin<F>: inventory::Collect,
    {
        if kind.node.is_broken() {
            return None;
        }
        let (label, span) = (self.label, kind.node.span.clone());
        let Some(name) = kind.node.text() else {
            findings.add(span, format!("{label}: kind: expected a string, found {}", kind.node.describe()));
            return None;
        };
        let found = Plugin::<F>::find(name);
        if found.is_none() {
            let near = nearest(name, Plugin::<F>::all().iter().map(|plugin| plugin.kind()));
            let near = near.map_or_else(|| ".".to_owned(), |near| format!(", did you mean `{near}`?"));
            let name = Redactor::default().variables(&kind.node).redact(name);
            let linked = kinds::<F>();
            findings.add(
                span,
                format!(
                    "{label}: unknown kind `{name}`{near} Linked into this binary: {linked}. A crate that \
                     nothing names is not linked: the binary has to say `use the_crate as _;`"
                ),
            );
        }
        found
    }
}

/// The kinds that are linked, for messages.
pub(crate) fn kinds<F: ?Sized>() -> String
where
    Plugin<F>: inventory::Collect,
{
    let kinds: Vec<_> = Plugin::<F>::all().iter().map(|plugin| format!("`{}`", plugin.kind())).collect();
    if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }
}

struct Reader<'a, F: ?Sized + 'static> {
    plugin: &'static Plugin<F>,
    shape: &'a Shape,
    label: &'a str,
    span: std::ops::Range<usize>,
}

impl<F: ?Sized> Reader<'_, F> {
    fn read(&self, node: &mut Node, findings: &mut Findings) -> Option<Arc<F>> {
        let redactor = self.redactor(node);
        let mut sound = !node.has_broken();
        sound &= self.names(node, self.shape.root(), &mut Vec::new(), findings);
        loop {
            let problems = match self.plugin.parse(node.json()) {
                Ok(factory) => return sound.then_some(factory),
                Err(problems) => problems,
            };
            // What the plugin says may come from what was taken out.
            let whole = sound;
            sound = false;
            let mut progress = false;
            for problem in problems {
                let path = parse_path(node, &problem.path);
                let exists = !path.is_empty() && node.find(&path).1 && !node.find(&path).0.node.is_broken();
                if !whole && !exists {
                    continue;
                }
                let (label, redactor) = (self.label, &redactor);
                progress |=
                    self.note(Section { label, node, redactor, elsewhere: &[] }, &path, &problem.message, findings);
            }
            if !progress {
                return None;
            }
        }
    }

    fn note(&self, mut section: Section<'_>, path: &[Step], message: &str, findings: &mut Findings) -> bool {
        let (found, whole) = section.node.find(path);
        if !path.is_empty() && whole || message.starts_with("unknown field `") {
            return section.note(path, message, findings);
        }
        // About the table as a whole, or about something that is not in it.
        let span = found.key.unwrap_or_else(|| self.span.clone());
        let message = section.redactor.redact(message);
        findings.add(span, format!("{}{}{message}", self.label, place(path)));
        false
    }

    /// Checks the names in a table against the plugin's schema. A plugin may take any name in silence.
    fn names(&self, node: &mut Node, schema: &Json, path: &mut Vec<Step>, findings: &mut Findings) -> bool {
        let Some(known) = self.shape.closed(schema) else { return true };
        let Some(table) = node.table_mut() else { return true };
        let mut sound = true;
        for (name, entry) in table.iter_mut().filter(|(_, entry)| !entry.node.is_broken()) {
            path.push(Step::Key(name.clone()));
            if let Some(schema) = known.get(name) {
                sound &= self.names(&mut entry.node, schema, path, findings);
            } else {
                let names: Vec<_> = known.keys().map(String::as_str).collect();
                let place = place(&path[..path.len() - 1]);
                findings.add(entry.key.clone(), format!("{}{place}{}", self.label, unknown_field(name, &names)));
                entry.node.value = super::tree::Value::Broken;
                sound = false;
            }
            path.pop();
        }
        sound & self.required(table, schema, path, findings)
    }

    fn required(&self, table: &Table, schema: &Json, path: &[Step], findings: &mut Findings) -> bool {
        // A nested table is asked for what it requires by the plugin itself.
        if !path.is_empty() {
            return true;
        }
        let missing: Vec<_> =
            self.shape.required(schema).into_iter().filter(|name| !table.contains_key(*name)).collect();
        for name in &missing {
            findings.add(self.span.clone(), format!("{}`{name}` is missing", self.label));
        }
        missing.is_empty()
    }

    /// Hides variables, and every string in a place where the plugin's schema has a secret.
    fn redactor(&self, node: &Node) -> Redactor {
        let mut redactor = Redactor::default();
        let properties = self.shape.root().get("properties");
        for (name, entry) in node.table().into_iter().flatten() {
            let schema = properties.and_then(|known| known.get(name));
            if schema.is_none_or(|schema| self.shape.is_secret(schema)) {
                entry.node.strings(&mut |_, text| redactor.hide(text, "[secret]"));
            }
        }
        redactor.variables(node)
    }
}

/// No string of a plugin's table is shown in an excerpt, but for its kind: it may be a secret, or may have been
/// meant to be one.
fn mask_strings(node: &Node, name: Option<&str>, findings: &mut Findings) {
    if name == Some("kind") {
        return;
    }
    match node.table() {
        Some(table) => table.iter().for_each(|(name, entry)| mask_strings(&entry.node, Some(name), findings)),
        None => node.strings(&mut |node, _| findings.mask(node.span.clone())),
    }
}
