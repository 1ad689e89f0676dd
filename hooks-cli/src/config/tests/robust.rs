//! The schema and the loader agree, and nothing makes the loader panic.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{in_hook, read};
use crate::config::schema;

/// The loader takes exactly what the schema lists: each property, one by one.
#[test]
fn every_property_of_the_schema_is_accepted() {
    let schema = schema();
    let hook = &schema["properties"]["hooks"]["items"]["properties"];
    let sink = hook["sink"]["oneOf"].as_array().unwrap();
    let stub = sink.iter().find(|sink| sink["properties"]["kind"]["const"] == "stub").unwrap();
    let names = |schema: &Json| schema.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let unknown = |text: String| read(&text).err().filter(|problems| problems.contains("unknown"));
    for name in names(hook) {
        assert_eq!(unknown(format!("[[hooks]]\n{name} = 1")), None, "{name}");
    }
    for table in ["batch", "retry", "queue"] {
        for name in names(&hook[table]["properties"]) {
            assert_eq!(unknown(in_hook(&format!("{table}.{name} = 1"))), None, "{table}.{name}");
        }
    }
    for name in names(&stub["properties"]).iter().filter(|name| *name != "kind") {
        assert_eq!(unknown(format!("[[hooks]]\nid = 'a'\nsink = {{ kind = 'stub', {name} = 1 }}")), None, "{name}");
    }
    for section in ["api", "events", "history", "ingest", "defaults", "telemetry"] {
        for name in names(&schema["properties"][section]["properties"]) {
            assert_eq!(unknown(format!("[{section}]\n{name} = 1")), None, "{section}.{name}");
        }
    }
    let buses = schema["properties"]["bus"]["oneOf"].as_array().unwrap();
    assert_eq!(buses.len(), 4);
    for bus in buses {
        let kind = &bus["properties"]["kind"]["const"];
        for name in names(&bus["properties"]).iter().filter(|name| *name != "kind") {
            assert_eq!(unknown(format!("[bus]\nkind = {kind}\n{name} = 1")), None, "{kind}: {name}");
        }
    }
    assert_eq!(
        names(&schema["properties"]),
        ["api", "bus", "defaults", "events", "history", "hooks", "ingest", "telemetry"]
    );
    assert_eq!(stub["required"], json!(["kind", "url"]));
}

#[test]
fn references_in_the_schema_lead_somewhere() {
    fn check(root: &Json, schema: &Json, found: &mut usize) {
        if let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(root.pointer(pointer).is_some(), "{reference}");
            *found += 1;
        }
        match schema {
            Json::Object(members) => members.values().for_each(|member| check(root, member, found)),
            Json::Array(members) => members.iter().for_each(|member| check(root, member, found)),
            _ => {}
        }
    }
    let (schema, mut found) = (schema(), 0);
    check(&schema, &schema, &mut found);
    assert!(found > 0, "the stub's `tls` is a reference");
}

const SAMPLE: &str = "[bus]\nkind = 'memory'\nmax_memory = '1GiB'\n[events]\nmax_bytes = 1_000\n[defaults.batch]\nmax_age = '1s'\n[[hooks]]\nid = 'a'\ntypes = ['x.*', \"${N}\"]\nmetadata = { env = 'p', n = 0x1F }\nlanes = 3\nqueue = { max_events = 20000 }\n[hooks.sink]\nkind = 'stub'\nurl = 'stub:${URL}'\ntls = { verify = true, roots = [] }\nheaders.a = '$$'\n";

proptest! {
    #[test]
    fn any_text_gets_an_answer(text in "(?s).{0,200}") {
        let _ = read(&text);
    }

    /// A good file with a few damaged places: an answer, and if it is a refusal, with a place for each reason.
    #[test]
    fn damaged_text_gets_an_answer(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0usize..12), 1..6)) {
        const PIECES: [&str; 12] = ["", "=", "[", "]", "{", "}", "\n", "'", "${", "-1", "é", "[[hooks]]\n"];
        let mut text: Vec<char> = SAMPLE.chars().collect();
        for (from, length, piece) in edits {
            let from = from.index(text.len() + 1);
            let to = (from + length.index(8)).min(text.len());
            text.splice(from..to, PIECES[piece].chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(problems) = read(&text) {
            prop_assert!(problems.starts_with("hooks.toml:"), "{}", problems);
        }
    }

    #[test]
    fn any_value_anywhere_gets_an_answer(key in prop::sample::select(vec!["types", "metadata", "batch", "retry.max", "queue.overflow", "lanes", "enabled", "sink", "sink.url", "sink.tls", "sink.labels", "id"]), value in prop::sample::select(vec!["1", "-9223372036854775808", "1e400", "nan", "''", "[]", "[[1]]", "{}", "{ a = 1 }", "1979-05-27", "true", "'${N}'", "'${X}'"])) {
        let sink = if key.starts_with("sink.") { "sink.kind = 'stub'" } else { "" };
        let id = if key == "id" { "" } else { "id = 'a'" };
        let _ = read(&format!("[[hooks]]\n{id}\n{sink}\n{key} = {value}\n"));
        let _ = read(&format!("[defaults]\n{key} = {value}\n[[hooks]]\nid = 'a'\nsink = {{ kind = 'stub', url = 'stub:' }}\n"));
    }
}

#[test]
fn the_sample_is_good() {
    assert!(read(SAMPLE).is_ok(), "{:?}", read(SAMPLE));
}
