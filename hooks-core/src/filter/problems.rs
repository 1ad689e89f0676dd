//! What is wrong with a filter, and what may not be meant.

use super::pattern::{Pattern, any};
use super::{AttributePatterns, Filter};
use crate::config_problem::ConfigProblem;
use crate::envelope::{is_extension_name, is_reserved, no_extension};
use crate::names::nearest;
use crate::operational::OperationalEvent;

/// The extension attribute that says whose event it is.
const TENANT: &str = "tenant";

impl Filter {
    /// Patterns that match nothing although they seem to, each with the path of the setting.
    pub(crate) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        self.own_types(&mut problems);
        let tables = [("attributes", &self.rare.attributes), ("attributes_except", &self.rare.attributes_except)];
        for (setting, table) in tables {
            for (name, patterns) in table {
                let path = format!("{setting}.{name}");
                if let Some(message) = no_attribute(name) {
                    problems.push(ConfigProblem::new(path, message));
                } else if patterns.is_empty() {
                    problems.push(ConfigProblem::new(path, "an empty list matches nothing: leave it out"));
                }
            }
        }
        self.tenants(&mut problems);
        problems
    }

    fn own_types(&self, problems: &mut Vec<ConfigProblem>) {
        let own = |pattern: &&Pattern| is_reserved(pattern.literal_prefix());
        let known = OperationalEvent::ALL.map(OperationalEvent::event_type);
        let unknown = |pattern: &&Pattern| !known.contains(&pattern.as_str());
        problems.extend(self.types.iter().filter(own).filter(unknown).map(|pattern| {
            let name = pattern.as_str();
            // A glob means several.
            let near = if name.contains(['*', '?']) { None } else { nearest(name, known) };
            let meant = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            let message = format!(
                "`{name}` matches nothing: types that begin with `hooks.` are the dispatcher's own, to be named in full: {}{meant}",
                known.join(", ")
            );
            ConfigProblem::new("types", message)
        }));
    }

    /// A hook of a tenant that wants other tenants' events alone.
    fn tenants(&self, problems: &mut Vec<ConfigProblem>) {
        let Some(own) = &self.tenant else { return };
        let is_own = |patterns: &AttributePatterns| patterns.get(TENANT).map(|patterns| any(patterns, own.as_str()));
        let message = format!("matches nothing: the hook is the tenant `{own}`'s, and receives no others' events");
        if is_own(&self.rare.attributes) == Some(false) {
            problems.push(ConfigProblem::new("attributes.tenant", message.as_str()));
        }
        if is_own(&self.rare.attributes_except) == Some(true) {
            problems.push(ConfigProblem::new("attributes_except.tenant", message));
        }
    }

    /// Patterns that no event matches, or none that the exceptions leave: legal, but hardly meant. Each has the path of the
    /// setting.
    pub fn warnings(&self) -> Vec<ConfigProblem> {
        let lists = [
            ("types", &self.types, "types_except", &self.rare.types_except),
            ("subjects", &self.subjects, "subjects_except", &self.rare.subjects_except),
            ("sources", &self.rare.sources, "sources_except", &self.rare.sources_except),
        ];
        let mut warnings = Vec::new();
        for (setting, patterns, except, exceptions) in lists {
            // An event has a type and a source, but may lack a subject.
            let is_always_there = setting != "subjects";
            excepted(setting, patterns, (except, exceptions), is_always_there, &mut warnings);
        }
        for (name, patterns) in &self.rare.attributes {
            let exceptions = self.rare.attributes_except.get(name).map(Vec::as_slice).unwrap_or_default();
            excepted(&format!("attributes.{name}"), patterns, ("", exceptions), false, &mut warnings);
        }
        for (setting, table) in
            [("attributes", &self.rare.attributes), ("attributes_except", &self.rare.attributes_except)]
        {
            table.iter().for_each(|(name, patterns)| characters(&format!("{setting}.{name}"), patterns, &mut warnings));
        }
        for warning in self.rare.data.iter().flat_map(|data| data.warnings()) {
            warnings.push(ConfigProblem::new(warning.path("data"), warning.message));
        }
        for (setting, patterns, except, exceptions) in lists {
            characters(setting, patterns, &mut warnings);
            characters(except, exceptions, &mut warnings);
        }
        warnings
    }
}

/// Looks for patterns whose every match is excepted.
fn excepted(
    setting: &str,
    patterns: &[Pattern],
    (except, exceptions): (&str, &[Pattern]),
    is_always_there: bool,
    warnings: &mut Vec<ConfigProblem>,
) {
    for (index, pattern) in patterns.iter().enumerate() {
        if let Some(exception) = exceptions.iter().find(|exception| exception.covers(pattern)) {
            let (shown, exception) = (pattern.as_str(), exception.as_str());
            let message = format!("`{shown}` matches nothing: the exception `{exception}` takes out all that it would");
            warnings.push(ConfigProblem::new(format!("{setting}[{index}]"), message));
        }
    }
    let everything = Pattern::new("*");
    if patterns.is_empty() && is_always_there && exceptions.iter().any(|exception| exception.covers(&everything)) {
        warnings.push(ConfigProblem::new(except, "takes out every event: the hook receives nothing"));
    }
}

/// Looks for patterns that ask for characters which no attribute has, or which one hardly begins or ends with.
fn characters(setting: &str, patterns: &[Pattern], warnings: &mut Vec<ConfigProblem>) {
    for (index, pattern) in patterns.iter().enumerate() {
        let text = pattern.as_str();
        let why = if text.contains(char::is_control) {
            "matches nothing: no attribute has control characters"
        } else if text.trim() != text {
            "begins or ends with a space, and so must what it matches"
        } else {
            continue;
        };
        warnings.push(ConfigProblem::new(format!("{setting}[{index}]"), format!("`{}` {why}", text.escape_debug())));
    }
}

/// The reason why nothing under this name is an extension attribute.
pub(crate) fn no_attribute(name: &str) -> Option<String> {
    if is_extension_name(name) {
        return None;
    }
    Some(match name {
        "type" | "subject" | "source" => {
            format!("`{name}` is no extension attribute: the setting `{name}s` has its patterns")
        }
        _ => no_extension(name),
    })
}
