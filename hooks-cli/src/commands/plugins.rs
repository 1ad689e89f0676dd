//! `hooks sinks` and `hooks buses`: the kinds that are linked, from their own JSON Schemas.

use std::fmt::Write as _;

use hooks_core::settings::{Shape, kinds, summary};
use hooks_core::{bus::BusFactory, inventory, plugin::Plugin, sink::SinkFactory};
use serde_json::Value as Json;

use super::print;
use crate::args::PluginArgs;
use crate::console::complain;
use crate::exit::Exit;

pub(crate) fn sinks(args: &PluginArgs) -> Exit {
    list::<dyn SinkFactory>("sink", args)
}

pub(crate) fn buses(args: &PluginArgs) -> Exit {
    list::<dyn BusFactory>("bus", args)
}

fn list<F: ?Sized>(what: &str, args: &PluginArgs) -> Exit
where
    Plugin<F>: inventory::Collect,
{
    let wanted = |plugin: &&Plugin<F>| args.kind.as_deref().is_none_or(|kind| kind == plugin.kind());
    let plugins: Vec<_> = Plugin::<F>::all().into_iter().filter(wanted).collect();
    if let (true, Some(kind)) = (plugins.is_empty(), &args.kind) {
        complain(format_args!("no {what} of kind `{kind}`; linked into this binary: {}", kinds::<F>()));
        return Exit::Usage;
    }
    if plugins.is_empty() {
        complain(format_args!("no {what} is linked into this binary"));
    }
    let texts: Vec<_> = plugins.into_iter().map(describe).collect();
    print(&texts.join("\n"));
    Exit::Done
}

fn describe<F: ?Sized>(plugin: &Plugin<F>) -> String {
    let shape = Shape::of(plugin);
    let mut text = plugin.kind().to_owned();
    if let Some(description) = text_of(shape.root(), "description") {
        let _ = write!(text, ": {}", summary(description));
    }
    text.push('\n');
    options(&shape, shape.root(), "", 0, &mut text);
    text
}

/// Tables within tables end here, so that one that holds itself ends too.
const DEEPEST: usize = 4;

fn options(shape: &Shape, schema: &Json, prefix: &str, depth: usize, text: &mut String) {
    let required = shape.required(schema);
    let properties = shape.resolve(schema).get("properties").and_then(Json::as_object);
    let mut properties: Vec<_> = properties.into_iter().flatten().collect();
    properties.sort_by_key(|(name, _)| !required.contains(&name.as_str()));
    for (name, schema) in properties {
        let resolved = shape.resolve(schema);
        let need = if required.contains(&name.as_str()) { ", required".to_owned() } else { default(schema) };
        let _ = writeln!(text, "\n  {prefix}{name}  ({}{need})", type_of(shape, schema));
        let description = text_of(schema, "description").or_else(|| text_of(resolved, "description"));
        if let Some(description) = description {
            for line in wrap(&summary(description), 90) {
                let _ = writeln!(text, "      {line}");
            }
        }
        if depth < DEEPEST {
            options(shape, table_of(shape, resolved), &format!("{prefix}{name}."), depth + 1, text);
        }
    }
}

/// Of a value that may be a table or something else, the table.
fn table_of<'a>(shape: &'a Shape, schema: &'a Json) -> &'a Json {
    let forms = schema.get("anyOf").and_then(Json::as_array).into_iter().flatten();
    let mut tables = forms.map(|form| shape.resolve(form)).filter(|form| form.get("properties").is_some());
    tables.next().unwrap_or(schema)
}

fn default(schema: &Json) -> String {
    match schema.get("default") {
        None | Some(Json::Null) => String::new(),
        Some(default) => format!(", default {default}"),
    }
}

fn type_of(shape: &Shape, schema: &Json) -> String {
    let schema = shape.resolve(schema);
    if let Some(options) = schema.get("enum").and_then(Json::as_array) {
        return options.iter().map(Json::to_string).collect::<Vec<_>>().join(" or ");
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(options) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Json::as_array) {
        return join(options.iter().map(|option| type_of(shape, option)));
    }
    let named = |name: &str| match name {
        "array" => match schema.get("items") {
            Some(items) => format!("list of {}", type_of(shape, items)),
            None => "list".to_owned(),
        },
        "object" => "table".to_owned(),
        "string" if schema.get("writeOnly").is_some() => "secret".to_owned(),
        other => other.to_owned(),
    };
    match schema.get("type") {
        Some(Json::String(name)) => named(name),
        Some(Json::Array(names)) => join(names.iter().filter_map(Json::as_str).map(named)),
        _ => "any value".to_owned(),
    }
}

fn join(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<_> = names.filter(|name| name != "null").collect();
    names.dedup();
    names.join(" or ")
}

fn text_of<'a>(schema: &'a Json, name: &str) -> Option<&'a str> {
    schema.get(name).and_then(Json::as_str)
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < width => line.extend([" ", word]),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
