//! Reading the table of a sink or a bus: finding its kind among those linked, and handing it its table.

use std::sync::Arc;

use serde_json::Value as Json;

use super::draft::{Draft, parse_path};
use super::fault::{About, Fault, pointer};
use super::read::Reading;
use super::redactor::Redactor;
use super::shape::{Shape, Shapes};
use super::wording::unknown_field;
use crate::config_problem::ConfigProblem;
use crate::names::nearest;
use crate::plugin::Plugin;

/// Reads a table whose `kind` says which plugin it is for. Messages call it `name`, and show `example` where there
/// is no table.
///
/// # Errors
/// Everything that is wrong; nothing where all of it was [said before](Draft::add_broken).
pub fn read_plugin<F: ?Sized>(name: &str, example: &str, draft: Draft) -> Result<Arc<F>, Vec<Fault>>
where
    Plugin<F>: inventory::Collect,
{
    let read =
        Place { name, example, allowed: None }.read(draft, &Shapes::default(), |plugin, _, table| plugin.parse(table));
    read.map(|(factory, _)| factory)
}

/// The kinds that are linked, for messages.
pub fn kinds<F: ?Sized>() -> String
where
    Plugin<F>: inventory::Collect,
{
    listed(&Plugin::<F>::all().iter().map(|plugin| plugin.kind()).collect::<Vec<_>>())
}

fn listed(kinds: &[&str]) -> String {
    let kinds: Vec<_> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
    if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }
}

/// A place for a table that names its kind.
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    /// An example of such a table.
    pub(super) example: &'a str,
    /// The kinds that may be named there, where not all that are linked may.
    pub(super) allowed: Option<Vec<&'a str>>,
}

impl Place<'_> {
    /// Reads the table with `parse`, which gets the table's shape, too. With it comes what may be shown of it.
    pub(super) fn read<F: ?Sized>(
        &self,
        mut draft: Draft,
        shapes: &Shapes,
        parse: impl Fn(&Plugin<F>, &Shape, Json) -> Result<Arc<F>, Vec<ConfigProblem>>,
    ) -> Result<(Arc<F>, Json), Vec<Fault>>
    where
        Plugin<F>: inventory::Collect,
    {
        let name = self.name;
        if draft.is_broken() {
            return Err(Vec::new());
        }
        if let Some(message) = draft.no_table(Some(self.example)) {
            return Err(vec![Fault::new("", About::Value, format!("{name}: {message}"))]);
        }
        let Some(kind) = draft.take("kind") else {
            let message = format!("{name}: `kind` is missing; {}", self.kinds::<F>());
            return Err(vec![Fault::new("/kind", About::Missing, message)]);
        };
        let plugin = self.plugin::<F>(&kind)?;
        let shape = shapes.of(plugin);
        let shown = shape.shown(draft.value(), plugin.kind());
        let parse = |table| parse(plugin, &shape, table);
        let (read, mut faults) = Reader { shape: &shape }.read(&mut draft, parse);
        for fault in &mut faults {
            fault.message = format!("{name} `{}`: {}", plugin.kind(), fault.message);
        }
        read.map(|factory| (factory, shown)).ok_or(faults)
    }

    fn plugin<F: ?Sized>(&self, kind: &Draft) -> Result<&'static Plugin<F>, Vec<Fault>>
    where
        Plugin<F>: inventory::Collect,
    {
        let place = self.name;
        let wrong = |message: String| vec![Fault::new("/kind", About::Value, message)];
        if kind.is_broken() {
            return Err(Vec::new());
        }
        let Some(name) = kind.value().as_str() else {
            let found = kind.notation().describe(kind.value());
            return Err(wrong(format!("{place}: kind: expected a string, found {found}")));
        };
        Plugin::<F>::find(name).ok_or_else(|| {
            let linked = Plugin::<F>::all().into_iter().map(|plugin| plugin.kind());
            let known = self.allowed.clone().unwrap_or_else(|| linked.collect());
            let near = nearest(name, known);
            let near = near.map_or_else(|| ".".to_owned(), |near| format!(", did you mean `{near}`?"));
            let known = match &self.allowed {
                Some(kinds) => format!("Allowed here: {}", listed(kinds)),
                None => format!(
                    "Linked into this binary: {}. A crate that nothing names is not linked: the binary has to say \
                     `use the_crate as _;`",
                    kinds::<F>()
                ),
            };
            wrong(format!("{place}: unknown kind `{}`{near} {known}", kind.redact(name)))
        })
    }

    /// The kinds that may be named, for messages.
    pub(super) fn kinds<F: ?Sized>(&self) -> String
    where
        Plugin<F>: inventory::Collect,
    {
        match &self.allowed {
            Some(kinds) => format!("allowed here: {}", listed(kinds)),
            None => format!("linked into this binary: {}", kinds::<F>()),
        }
    }
}

struct Reader<'a> {
    shape: &'a Shape,
}

impl Reader<'_> {
    fn read<F: ?Sized>(
        &self,
        draft: &mut Draft,
        parse: impl Fn(Json) -> Result<Arc<F>, Vec<ConfigProblem>>,
    ) -> (Option<Arc<F>>, Vec<Fault>) {
        let mut sound = !draft.is_damaged();
        let redactor = self.redactor(draft);
        let mut reading = Reading { redactor, ..Reading::new(draft) };
        sound &= self.names(&mut reading, self.shape.root(), "") & self.required(&mut reading);
        sound &= !reading.draft.is_damaged();
        loop {
            let problems = match parse(reading.draft.value().clone()) {
                Ok(factory) => return (sound.then_some(factory), reading.faults),
                Err(problems) => problems,
            };
            // What the plugin says may come from what was taken out.
            let whole = std::mem::replace(&mut sound, false);
            let mut progress = false;
            for problem in problems {
                let place = parse_path(reading.draft.value(), &problem.path);
                let exists = !place.is_empty() && reading.draft.value().pointer(&place).is_some();
                if exists || (whole && problem.message.starts_with("unknown field `")) {
                    progress |= reading.note(&place, &problem.message);
                } else if whole {
                    // About the table as a whole, or about something that is not in it.
                    let about = if place.is_empty() { About::Value } else { About::Missing };
                    reading.fault(&place, &place, about, &problem.message);
                }
            }
            if !progress {
                return (None, reading.faults);
            }
        }
    }

    /// Checks the names in a table against the plugin's schema. A plugin may take any name in silence.
    fn names(&self, reading: &mut Reading<'_>, schema: &Json, place: &str) -> bool {
        let Some(known) = self.shape.closed(schema) else { return true };
        reading.refuse_list(place);
        let Some(Json::Object(table)) = reading.draft.value().pointer(place) else { return true };
        let mut sound = true;
        for name in table.keys().cloned().collect::<Vec<_>>() {
            let own = format!("{place}{}", pointer(&name));
            if let Some(schema) = known.get(&name) {
                sound &= self.names(reading, schema, &own);
            } else {
                let names: Vec<_> = known.keys().map(String::as_str).collect();
                reading.plain_fault(place, &own, About::Name, &unknown_field(&name, &names));
                reading.draft.take_out(&own);
                sound = false;
            }
        }
        sound
    }

    /// Asks for what the table has to have; a nested table is asked by the plugin itself.
    fn required(&self, reading: &mut Reading<'_>) -> bool {
        let required = self.shape.closed(self.shape.root()).map(|_| self.shape.required(self.shape.root()));
        let mut sound = true;
        for name in required.unwrap_or_default() {
            let own = pointer(name);
            if !reading.draft.is_set(&own) {
                reading.plain_fault("", &own, About::Missing, &format!("`{name}` is missing"));
                sound = false;
            }
        }
        sound
    }

    /// Hides what is to be hidden, and every string in a place where the plugin's schema has a secret.
    fn redactor(&self, draft: &Draft) -> Redactor {
        let mut redactor = Redactor::default();
        let properties = self.shape.root().get("properties");
        for (name, value) in draft.value().as_object().into_iter().flatten() {
            let schema = properties.and_then(|known| known.get(name));
            self.secrets(value, schema, &mut |text| redactor.hide(text, "[secret]"));
        }
        draft.hide_in(redactor)
    }

    /// Visits each string that is a secret, or in a place that the schema does not know.
    fn secrets(&self, value: &Json, schema: Option<&Json>, visit: &mut dyn FnMut(&str)) {
        if schema.is_some_and(|schema| !self.shape.is_secret(schema)) {
            return;
        }
        match (value, schema.and_then(|schema| self.shape.closed(schema))) {
            (Json::Object(table), Some(known)) => {
                table.iter().for_each(|(name, value)| self.secrets(value, known.get(name), visit));
            }
            _ => strings(value, visit),
        }
    }
}

/// Visits each string in a value.
fn strings(value: &Json, visit: &mut dyn FnMut(&str)) {
    match value {
        Json::String(text) => visit(text),
        Json::Array(list) => list.iter().for_each(|value| strings(value, visit)),
        Json::Object(table) => table.values().for_each(|value| strings(value, visit)),
        _ => {}
    }
}
