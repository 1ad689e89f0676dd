//! What is wrong with a template before any event comes.

use hooks_core::names::nearest;
use minijinja::value::Value;
use minijinja::{Environment, ErrorKind, Template};

use super::{Context, Templates};
use crate::config::{HttpConfig, Mode};

/// Functions that a template may call.
const FUNCTIONS: [&str; 3] = ["range", "dict", "namespace"];

/// Filters that are suggested for misspelt ones.
const FILTERS: [&str; 34] = [
    "abs",
    "capitalize",
    "count",
    "default",
    "dictsort",
    "escape",
    "first",
    "float",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "replace",
    "reverse",
    "round",
    "select",
    "sort",
    "split",
    "string",
    "tojson",
    "trim",
    "unix",
    "upper",
    "urlencode",
];

/// The place of a fault. It may be in a file of settings, whose lines are other ones.
pub(super) fn line(number: usize) -> String {
    format!("line {number} of the template")
}

/// What is said of a statement that there is not, where it would take in another template.
pub(super) fn hint(why: String) -> String {
    let elsewhere = ["include", "extends", "import", "from"];
    if elsewhere.iter().any(|name| why.contains(&format!("unknown statement {name}"))) {
        return format!("{why}: a template stands alone, and takes nothing from others");
    }
    why
}

/// Names that nothing stands for: they would fail at every event.
pub(super) fn names(template: &Template<'_, '_>, mode: Mode, values: &Value) -> Result<(), String> {
    let known = Context::names(mode);
    let mut used: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    used.sort_unstable();
    for name in &used {
        let mut parts = name.split('.');
        let first = parts.next().unwrap_or_default();
        if first == "values" {
            let value = parts.next().filter(|value| values.get_attr(value).is_ok_and(|value| value.is_undefined()));
            if let Some(value) = value {
                return Err(format!("`values` has no `{value}`"));
            }
        } else if !known.contains(&first) && !FUNCTIONS.contains(&first) && !sets(template.source(), first) {
            let line = line(line_of(template.source(), first));
            return Err(format!("{line}: {}: a template has {}", unknown(first, mode), listed(&known)));
        }
    }
    Ok(())
}

/// Filters that there are not. The engine finds them only when it comes to them.
pub(super) fn filters(environment: &Environment<'_>, source: &str) -> Result<(), String> {
    let mut state = environment.empty_state();
    for (place, name) in piped(source) {
        let applied = state.apply_filter(name, &[]);
        if applied.is_err_and(|error| error.kind() == ErrorKind::UnknownFilter) {
            let line = line(source[..place].matches('\n').count() + 1);
            let near = nearest(name, FILTERS).map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
            return Err(format!("{line}: there is no filter `{name}`{near}"));
        }
    }
    Ok(())
}

/// The names behind a `|` within tags, each with its place; none where tags may be text.
fn piped(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let (mut quote, mut tag) = (None, false);
    let is_plain = !words(source).any(|(_, word)| word == "raw") && !source.contains("{#");
    let pipes = source.char_indices().filter(move |(at, char)| {
        let begins = |what: &str| source[*at..].starts_with(what);
        match quote {
            _ if !tag => tag = begins("{{") || begins("{%"),
            Some(open) if open == *char => quote = None,
            Some(_) => {}
            None if matches!(char, '"' | '\'') => quote = Some(*char),
            None if begins("}}") || begins("%}") => tag = false,
            None => return *char == '|',
        }
        false
    });
    pipes.filter(move |_| is_plain).filter_map(|(at, _)| {
        let rest = source[at + 1..].trim_start();
        let (_, name) = words(rest).next().filter(|(_, name)| !name.is_empty())?;
        Some((at, name))
    })
}

/// True if a template sets this name somewhere: perhaps in each branch of a condition, which the engine does not see.
fn sets(source: &str, name: &str) -> bool {
    let tags = source.split("{%").skip(1).filter_map(|tag| tag.split("%}").next());
    let set = tags.filter_map(|tag| tag.trim_start_matches(['-', '+']).trim_start().strip_prefix("set "));
    set.filter_map(|set| set.split('=').next()).any(|target| words(target).any(|(_, word)| word == name))
}

/// The line that a name first stands in.
fn line_of(source: &str, name: &str) -> usize {
    let place = words(source).find(|(_, word)| *word == name).map_or(0, |(place, _)| place);
    source[..place].matches('\n').count() + 1
}

/// The names in a text, each with its place.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let words = text.split(|char: char| !(char.is_alphanumeric() || char == '_'));
    words.map(|word| (word.as_ptr().addr() - text.as_ptr().addr(), word))
}

fn unknown(name: &str, mode: Mode) -> String {
    match (name, mode) {
        ("event", Mode::Batch) => "`event` is there with mode = \"single\" alone, else `events`, a list".to_owned(),
        ("events", Mode::Single) => "`events` is there with mode = \"batch\" alone, else `event`".to_owned(),
        _ => format!("there is no `{name}`"),
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Whatever is wrong with the templates of these settings, each with its path, and the templates where nothing is.
pub(crate) fn problems(config: &HttpConfig) -> (Option<Box<Templates>>, Vec<(String, String)>) {
    let (body, headers) = (config.template(), config.header_templates.as_deref());
    if body.is_none() && headers.is_none() {
        return (None, Vec::new());
    }
    let mut templates = Templates::new(config.mode, config.values.as_deref());
    let mut problems = Vec::new();
    // One that stands in a file is looked at once it was read.
    if let Some((template, text)) = body.and_then(|body| Some((body, body.template.as_deref()?)))
        && let Err(why) = templates.add_body(text, &template.content_type)
    {
        problems.push(("body.template".to_owned(), why));
    }
    for (name, text) in headers.into_iter().flatten() {
        // Another name is refused elsewhere.
        let Ok(header) = name.parse() else { continue };
        if let Err(why) = templates.add_header(header, text) {
            problems.push((header_problem(name), why));
        }
    }
    (Some(Box::new(templates)), problems)
}

/// The path of a header's template.
pub(crate) fn header_problem(name: &str) -> String {
    format!("header_templates.{name}")
}
