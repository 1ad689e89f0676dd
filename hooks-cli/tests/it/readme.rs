//! Every command and config of the README does what it says. Its Rust is compiled with the documentation.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{Ended, Place, examples, run};
use crate::receiver::Receiver;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap()
}

/// The README's code blocks in this language.
fn blocks(language: &str) -> Vec<String> {
    let readme = read("README.md");
    let fences = readme.split("```").skip(1).step_by(2);
    let blocks = fences.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    blocks.map(str::to_owned).collect()
}

/// A folder as the README's reader has it: the examples, and the config that it says to write.
fn place(receiver: &Receiver) -> Place {
    let config = blocks("toml").into_iter().find(|block| block.contains("[[hooks]]")).unwrap();
    let place = Place::new(&config.replace("https://example.com/hooks", &receiver.url("/")));
    std::fs::create_dir(place.path("examples")).unwrap();
    for name in ["pipe.toml", "github-events.ndjson"] {
        std::fs::copy(examples().join(name), place.path("examples").join(name)).unwrap();
    }
    place
}

/// Runs a line of shell as the reader would, with `hooks` on the path.
fn shell(place: &Place, line: &str) -> Ended {
    let binary: PathBuf = assert_cmd::cargo::cargo_bin!("hooks").into();
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-ec", &line.replace("cargo run --release --", "hooks")]);
    command.current_dir(place.path(".")).env("PATH", path);
    run(command, b"")
}

#[test]
fn every_command_works() {
    let receiver = Receiver::start(|_| 200);
    let place = place(&receiver);
    let mut ran = 0;
    for line in blocks("sh").iter().flat_map(|block| block.lines()) {
        if line == "cargo xtask test" {
            assert!(read(".ci/run").lines().any(|command| command == format!("exec {line}")), "what CI runs, too");
            continue;
        }
        let ended = shell(&place, line);
        assert_eq!(ended.code, Some(0), "{line}\n{}", ended.err);
        ran += 1;
    }
    assert_eq!(ran, 3);
    assert_eq!(receiver.events("/").len(), 1);
    assert_eq!(place.read("audit.jsonl").lines().count(), 1);
}

#[test]
fn the_first_command_prints_what_the_readme_shows() {
    let receiver = Receiver::start(|_| 200);
    let place = place(&receiver);
    let blocks = blocks("sh");
    let ended = shell(&place, blocks[0].lines().next().unwrap());
    let shown = self::blocks("text").remove(0);
    assert!(ended.err.contains(shown.trim_end()), "{shown}\n{}", ended.err);
}

#[test]
fn every_command_of_the_table_exists() {
    let help = Place::new("").run(&["--help"]).out;
    let readme = read("README.md");
    let named: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("| `hooks ")).collect();
    let commands: Vec<&str> = named.iter().map(|line| line.split([' ', '`']).next().unwrap()).collect();
    assert_eq!(commands, ["pipe", "check", "test", "sinks"]);
    for command in commands {
        assert!(help.contains(&format!("  {command} ")), "{command}");
    }
}

/// The reference names every setting of a hook that the schema has.
#[test]
fn the_reference_is_complete() {
    let schema: serde_json::Value = serde_json::from_str(&Place::new("").run(&["check", "--schema"]).out).unwrap();
    let readme = read("README.md");
    let reference = readme.split("| setting |").nth(1).unwrap().split("\n\n").next().unwrap();
    let hook = &schema["properties"]["hooks"]["items"]["properties"];
    let mut settings: Vec<&String> = hook.as_object().unwrap().keys().collect();
    for table in ["batch", "retry", "queue", "rate_limit"] {
        let schema = &hook[table];
        let table = if schema["anyOf"].is_array() { &schema["anyOf"][0] } else { schema };
        settings.extend(table["properties"].as_object().unwrap().keys());
    }
    assert!(settings.len() > 20);
    for name in settings {
        let named = [format!(".{name}`"), format!("`{name}`"), format!(".{name}.")];
        assert!(named.iter().any(|named| reference.contains(named)), "the reference says nothing of `{name}`");
    }
}
