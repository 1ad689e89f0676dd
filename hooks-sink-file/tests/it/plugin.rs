use hooks_core::{BatchLimits, schemars, serde_json, sink::SinkPlugin};
use serde_json::{Value, json};

fn problems(table: Value) -> Vec<String> {
    let plugin = SinkPlugin::find("file").expect("linked");
    plugin.parse(table).map_or_else(|problems| problems.iter().map(ToString::to_string).collect(), |_| Vec::new())
}

#[test]
fn the_kind_is_registered_and_nothing_waits_in_a_batch() {
    let plugin = SinkPlugin::find("file").expect("linked");
    let factory = plugin.parse(json!({ "path": "/var/log/a.jsonl" })).unwrap();
    assert_eq!(factory.kind(), "file");
    assert_eq!(factory.batch_limits(), BatchLimits::immediate());
    assert!(factory.takes_tests());
}

#[test]
fn all_settings_are_taken() {
    let table = json!({
        "path": "/var/log/a.jsonl", "allowed_roots": ["/var/log"], "create_dirs": true, "sync": false, "mode": "0600",
    });
    assert_eq!(problems(table), [""; 0]);
}

#[test]
fn wrong_settings_are_told_at_their_place() {
    let check = |table: Value, want: &[&str]| {
        let found = problems(table);
        assert_eq!(found.len(), want.len(), "{found:?}");
        for (found, want) in found.iter().zip(want) {
            assert!(found.contains(want), "{found} does not say {want}");
        }
    };
    check(json!({}), &["missing field `path`"]);
    check(json!({ "path": "/a", "pth": 1 }), &["unknown field `pth`"]);
    check(json!({ "path": "logs/a" }), &["path: `logs/a` is not absolute: write `${CONFIG_DIR}/logs/a`"]);
    check(json!({ "path": "/a", "mode": "0999" }), &["mode: `0999` is no file mode"]);
    check(json!({ "path": "/a", "mode": 640 }), &["mode: invalid type: integer `640`"]);
    check(json!({ "path": "/a", "allowed_roots": [] }), &["allowed_roots: an empty list allows no file"]);
    check(
        json!({ "path": "a/../b", "allowed_roots": ["/x", "y", "/z/.."] }),
        &["path: `a/../b` holds `..`", "allowed_roots[1]: `y` is not absolute", "allowed_roots[2]: `/z/..` holds `..`"],
    );
    check(json!({ "path": "/etc/a", "allowed_roots": ["/var/log"] }), &["path: `/etc/a` lies outside"]);
}

#[test]
fn the_schema_documents_every_setting() {
    let mut generator =
        schemars::generate::SchemaSettings::default().with(|s| s.inline_subschemas = true).into_generator();
    let schema = SinkPlugin::find("file").expect("linked").schema(&mut generator);
    let properties = schema.get("properties").and_then(Value::as_object).unwrap();
    let mut names: Vec<_> = properties.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["allowed_roots", "create_dirs", "mode", "path", "sync"]);
    for (name, property) in properties {
        assert!(property.get("description").is_some(), "{name} is not documented");
    }
}

/// A path is the operator's.
#[test]
fn strangers_set_nothing() {
    assert_eq!(SinkPlugin::find("file").expect("linked").untrusted_options(), [""; 0]);
}
