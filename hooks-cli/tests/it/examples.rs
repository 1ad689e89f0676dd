//! The configs in `examples/` do what they say.

use std::path::PathBuf;

use hooks_test::http::Receiver;
use serde_json::Value as Json;

use crate::command::{Place, examples, run};

fn configs() -> Vec<PathBuf> {
    let files = std::fs::read_dir(examples()).unwrap().map(|entry| entry.unwrap().path());
    let configs: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    assert!(configs.len() >= 2);
    configs
}

/// The example, in a folder of its own.
fn copy(name: &str) -> Place {
    Place::new(&std::fs::read_to_string(examples().join(name)).unwrap())
}

#[test]
fn all_are_right() {
    let place = Place::new("");
    for config in configs() {
        let mut command = place.hooks(&["check", "-c", config.to_str().unwrap()]);
        command.env("HOOKS_URL", "http://127.0.0.1:9/").env("HOOKS_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let ended = run(command, b"");
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    }
}

#[test]
fn pipe_runs_without_any_setup() {
    let place = copy("pipe.toml");
    let input = std::fs::read(examples().join("github-events.ndjson")).unwrap();
    let ended = place.pipe(&input);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(place.read("out/everything.jsonl").as_bytes(), input);
    assert_eq!(place.read("out/pull-requests.jsonl").lines().count(), 41);
    assert_eq!(place.read("out/one-repository.jsonl").matches("\"env\":\"example\"").count(), 18);
}

#[test]
fn webhooks_delivers() {
    let receiver = Receiver::on_thread(|_| 200);
    let place = copy("webhooks.toml");
    let input = std::fs::read(examples().join("github-events.ndjson")).unwrap();
    let mut command = place.hooks(&["pipe", "-c", "hooks.toml"]);
    command.env("HOOKS_URL", receiver.url("/")).env("HOOKS_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let ended = run(command, &input);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(receiver.events("/").len(), 41 + 322);
    assert_eq!(place.read("out/copy.jsonl").as_bytes(), input);
}

/// Every key of every example is one that the printed schema lists.
#[test]
fn the_schema_knows_every_key_of_the_examples() {
    let ended = Place::new("").run(&["check", "--schema"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let schema: Json = serde_json::from_str(&ended.out).unwrap();
    for config in configs() {
        let text = std::fs::read_to_string(&config).unwrap();
        let config: Json = toml::from_str(&text).unwrap();
        fits(&schema, &schema, &config, "").unwrap();
    }
    let misspelt: Json = toml::from_str("[[hooks]]\nid = 'a'\nsink = { kind = 'file', paht = 'x' }").unwrap();
    assert_eq!(fits(&schema, &schema, &misspelt, ""), Err("/hooks/sink/paht".to_owned()));
}

/// A small part of JSON Schema: names of members, and which sink it is.
fn fits(root: &Json, schema: &Json, value: &Json, path: &str) -> Result<(), String> {
    let pointer = schema.get("$ref").and_then(Json::as_str).and_then(|reference| root.pointer(&reference[1..]));
    if let Some(target) = pointer {
        return fits(root, target, value, path);
    }
    if let Some(options) = schema.get("oneOf").and_then(Json::as_array).filter(|_| value.get("kind").is_some()) {
        let kind = |option: &&Json| option.pointer("/properties/kind/const") == value.get("kind");
        return fits(root, options.iter().find(kind).ok_or(path)?, value, path);
    }
    if let Some(options) = schema.get("anyOf").and_then(Json::as_array) {
        let fitting =
            options.iter().filter(|option| option["type"] != "null").map(|option| fits(root, option, value, path));
        return fitting.reduce(Result::or).unwrap_or(Ok(()));
    }
    match value {
        Json::Array(list) => list.iter().try_for_each(|value| fits(root, &schema["items"], value, path)),
        Json::Object(members) => members.iter().try_for_each(|(name, value)| {
            let path = format!("{path}/{name}");
            let known = schema.pointer(&format!("/properties/{name}"));
            let more = schema.get("additionalProperties").filter(|more| more.is_object());
            fits(root, known.or(more).ok_or_else(|| path.clone())?, value, &path)
        }),
        _ => Ok(()),
    }
}

/// A program of this crate's examples. Cargo builds them when it runs all tests, not when it runs these alone.
fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    if !program.exists() {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.args(["build", "--locked", "--package", env!("CARGO_PKG_NAME"), "--example", name]);
        assert!(cargo.status().unwrap().success(), "{cargo:?}");
    }
    program
}

/// Other people's sinks take the cryptography that the process has for its default, or panic where there is none.
#[test]
fn a_sink_with_an_http_client_of_its_own_finds_cryptography() {
    let place = Place::new("[[hooks]]\nid = \"a\"\nsink = { kind = \"other_tls\" }\n");
    let mut command = std::process::Command::new(example("other_tls"));
    command.args(["pipe", "-c", "hooks.toml", "--timeout", "10s"]).current_dir(place.path("."));
    let ended = run(command, b"{\"type\":\"a\",\"id\":\"1\"}\n");
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains(r#""id":"1""#), "{}", ended.out);
}
