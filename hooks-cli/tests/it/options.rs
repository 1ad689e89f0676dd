//! Every option of a webhook is in the example and in the reference, with its default.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::command::{Place, examples};

/// The options of the http sink, by their path, as the printed schema has them: `None` for what has to be
/// set.
fn options() -> BTreeMap<String, Option<Json>> {
    let root: Json = serde_json::from_str(&Place::new("").run(&["check", "--schema"]).out).unwrap();
    let sink = find(&root, "http").expect("the schema has the http sink");
    let mut options = BTreeMap::new();
    collect(&root, sink, "", &mut options);
    options.remove("kind");
    options
}

/// The table of a sink of this kind.
fn find<'a>(value: &'a Json, kind: &str) -> Option<&'a Json> {
    if value.pointer("/properties/kind/const").and_then(Json::as_str) == Some(kind) {
        return Some(value);
    }
    match value {
        Json::Array(list) => list.iter().find_map(|value| find(value, kind)),
        Json::Object(members) => members.values().find_map(|value| find(value, kind)),
        _ => None,
    }
}

fn collect(root: &Json, table: &Json, prefix: &str, options: &mut BTreeMap<String, Option<Json>>) {
    let required: Vec<&str> = table["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    for (name, option) in table["properties"].as_object().unwrap() {
        let path = format!("{prefix}{name}");
        let default = option.get("default").cloned().unwrap_or(Json::Null);
        options.insert(path.clone(), (!required.contains(&name.as_str())).then_some(default));
        let inner = resolve(root, option);
        if inner["properties"].is_object() {
            collect(root, inner, &format!("{path}."), options);
        }
    }
}

/// The schema that an option's schema refers to.
fn resolve<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    if let Some(target) = schema["$ref"].as_str().and_then(|reference| root.pointer(&reference[1..])) {
        return resolve(root, target);
    }
    let some = schema["anyOf"].as_array().and_then(|options| options.iter().find(|option| option["type"] != "null"));
    some.map_or(schema, |some| resolve(root, some))
}

#[test]
fn the_example_uses_each() {
    let text = std::fs::read_to_string(examples().join("webhook-options.toml")).unwrap();
    let config: Json = toml::from_str(&text).unwrap();
    let options = options();
    assert!(options.len() > 30, "{options:?}");
    for path in options.keys() {
        let pointer = format!("/sink/{}", path.replace('.', "/"));
        let used = config["hooks"].as_array().unwrap().iter().any(|hook| hook.pointer(&pointer).is_some());
        assert!(used, "no hook of examples/webhook-options.toml uses `{path}`");
    }
}

#[test]
fn the_reference_has_each_with_its_default() {
    let reference = std::fs::read_to_string(examples().join("../docs/configuration.md")).unwrap();
    let section = reference.split("## Options of a webhook").nth(1).unwrap().split("\n#").next().unwrap();
    let rows = section.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.splitn(3, " | ");
        Some((cells.next()?.trim_end_matches('`').to_owned(), cells.next()?.to_owned()))
    });
    let documented: BTreeMap<String, String> = rows.collect();
    let shown = |default: Option<Json>| match default {
        None => "required".to_owned(),
        Some(Json::Null) => "none".to_owned(),
        Some(Json::Object(empty)) if empty.is_empty() => "none".to_owned(),
        Some(Json::Array(empty)) if empty.is_empty() => "none".to_owned(),
        Some(default) => format!("`{default}`"),
    };
    let expected: BTreeMap<String, String> =
        options().into_iter().map(|(path, default)| (path, shown(default))).collect();
    assert_eq!(documented, expected);
}
