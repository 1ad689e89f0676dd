//! Every command and config of the README does what it says. Its Rust is compiled with the documentation.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{Ended, Place, Running, examples, run};
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
    let config = config.replace("https://example.com/hooks", &receiver.url("/"));
    let place = Place::new(&format!("ingest.listen = '127.0.0.1:0'\n{config}"));
    std::fs::create_dir(place.path("examples")).unwrap();
    for name in ["pipe.toml", "github-events.ndjson"] {
        std::fs::copy(examples().join(name), place.path("examples").join(name)).unwrap();
    }
    place
}

/// Starts `hooks serve` and says where it listens.
fn serve(place: &Place, arguments: &str) -> (Running, String) {
    let arguments: Vec<&str> = ["serve"].into_iter().chain(arguments.split_whitespace()).collect();
    let mut running = Running::of(place.hooks(&arguments));
    let line = running.wait_for("serving address=");
    let address = line.split(['=', ' ']).find(|word| word.starts_with("127.0.0.1:")).unwrap().to_owned();
    (running, address)
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
    let (mut ran, mut daemon) = (0, None);
    for line in blocks("sh").iter().flat_map(|block| block.lines()) {
        if line == "cargo xtask test" {
            assert!(read(".ci/run").lines().any(|command| command == format!("exec {line}")), "what CI runs, too");
            continue;
        }
        ran += 1;
        if let Some(arguments) = line.strip_prefix("hooks serve") {
            daemon = Some(serve(&place, arguments));
            continue;
        }
        let address = daemon.as_ref().map_or("127.0.0.1:8080", |(_, address): &(Running, String)| address);
        let ended = shell(&place, &line.replace("127.0.0.1:8080", address).replace("curl ", "curl --fail --silent "));
        assert_eq!(ended.code, Some(0), "{line}\n{}", ended.err);
    }
    assert_eq!(ran, 6);
    let (daemon, _) = daemon.unwrap();
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code, Some(0));
    assert_eq!(receiver.events("/").len(), 2);
    assert_eq!(place.read("audit.jsonl").lines().count(), 2);
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
    assert_eq!(commands, ["pipe", "serve", "check", "test", "sinks"]);
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
    settings.extend(schema["properties"]["ingest"]["properties"].as_object().unwrap().keys());
    assert!(settings.len() > 30);
    for name in settings {
        let named = [format!(".{name}`"), format!("`{name}`"), format!(".{name}.")];
        assert!(named.iter().any(|named| reference.contains(named)), "the reference says nothing of `{name}`");
    }
}
