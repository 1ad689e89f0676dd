//! A sink crate and a bus crate that depend on `hooks-core` alone, and a binary of three lines that has both.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The top folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The folder that cargo builds in.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}

/// Cargo in a crate outside the workspace, with the versions that the workspace has; what both need is
/// built once.
fn cargo(folder: &Path) -> Command {
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(folder).env("CARGO_TARGET_DIR", target());
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only").env("CARGO_NET_OFFLINE", "true");
    cargo
}

#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    checked(&output, &format!("{command:?}"));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn checked(output: &Output, what: &str) {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{stdout}\n{stderr}", output.status);
}

/// The crates that a crate depends on, its tests apart.
fn dependencies(folder: &Path) -> Vec<String> {
    let metadata = output(cargo(folder).args(["metadata", "--no-deps", "--format-version", "1"]));
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let all = metadata["packages"][0]["dependencies"].as_array().unwrap().clone();
    let needed = all.iter().filter(|dependency| dependency["kind"] != "dev");
    needed.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Runs the tests of a crate, the conformance kit among them.
fn test(folder: &Path) {
    assert_eq!(dependencies(folder), ["hooks-core"]);
    let tests = output(cargo(folder).arg("test"));
    assert!(tests.contains("test tests::conforms ... ok"), "{tests}");
}

/// The bus of the example, as a crate.
fn write_bus(folder: &Path) {
    let manifest = format!(
        r#"[package]
name = "hooks-bus-vec"
version = "0.1.0"
edition = "2024"

[dependencies]
hooks-core = {{ path = '{}' }}

[dev-dependencies]
tokio = {{ version = "1", features = ["rt", "macros", "time"] }}

[workspace]
"#,
        root().join("hooks-core").display()
    );
    write(&folder.join("Cargo.toml"), &manifest);
    let example = root().join("hooks-core/examples/vec_bus");
    write(&folder.join("src/lib.rs"), &fs::read_to_string(example.join("bus.rs")).unwrap());
    for file in fs::read_dir(example.join("bus")).unwrap().map(|file| file.unwrap().path()) {
        fs::copy(&file, folder.join("src").join(file.file_name().unwrap())).unwrap();
    }
}

/// The binary of three lines, and its config.
fn write_binary(folder: &Path) {
    let manifest = format!(
        r#"[package]
name = "hooks-with-mine"
version = "0.1.0"
edition = "2024"

[dependencies]
hooks-bus-vec = {{ path = "../bus" }}
hooks-cli = {{ path = '{}', default-features = false }}
hooks-sink-shout-out = {{ path = "../sink" }}

[workspace]
"#,
        root().join("hooks-cli").display()
    );
    write(&folder.join("Cargo.toml"), &manifest);
    write(
        &folder.join("src/main.rs"),
        "use hooks_bus_vec as _;\nuse hooks_sink_shout_out as _;\n\n\
         fn main() -> std::process::ExitCode { hooks_cli::main() }\n",
    );
    // The log takes a part of the events: what is delivered makes room for the next.
    write(&folder.join("hooks.toml"), &config("max_events = 50"));
    write(&folder.join("wrong.toml"), &config("max_event = 50"));
}

fn config(setting_of_bus: &str) -> String {
    format!(
        "[bus]\nkind = \"vec\"\n{setting_of_bus}\n\n\
         [[hooks]]\nid = \"pulls\"\ntypes = [\"com.github.pull_request.*\"]\n\
         sink = {{ kind = \"shout_out\", prefix = \"> \" }}\n"
    )
}

/// Runs a program with this on its standard input.
fn feed(program: &Path, arguments: &[&str], folder: &Path, input: Vec<u8>) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let mut stderr = child.stderr.take().unwrap();
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).map(|_| text)
    });
    let mut output = child.wait_with_output().unwrap();
    output.stderr = errors.join().unwrap().unwrap();
    checked(&output, &format!("{command:?}"));
    feeder.join().unwrap().unwrap();
    output
}

#[test]
fn a_sink_and_a_bus_of_somebody_else_deliver() {
    let place = tempfile::tempdir().unwrap();
    let [sink, bus, binary] = ["sink", "bus", "binary"].map(|crate_| place.path().join(crate_));

    // The crates: the sink as `new-sink` makes it, the bus from its example.
    output(Command::new(env!("CARGO_BIN_EXE_xtask")).args(["new-sink", "shout-out"]).arg(&sink));
    write_bus(&bus);
    test(&sink);
    test(&bus);

    // The binary delivers real events through them.
    write_binary(&binary);
    assert_eq!(dependencies(&binary), ["hooks-bus-vec", "hooks-cli", "hooks-sink-shout-out"]);
    output(cargo(&binary).arg("build"));
    let program = target().join("debug").join(format!("hooks-with-mine{}", std::env::consts::EXE_SUFFIX));
    let events = fs::read_to_string(root().join("examples/github-events.ndjson")).unwrap();
    let delivered = feed(&program, &["pipe", "-c", "hooks.toml"], &binary, events.clone().into_bytes());
    let delivered = String::from_utf8(delivered.stdout).unwrap();
    let wanted = |line: &&str| line.contains(r#""type":"com.github.pull_request."#);
    let expected: String = events.lines().filter(wanted).map(|line| format!("> {line}\n")).collect();
    assert!(expected.lines().count() > 10, "the sample has such events");
    assert!(delivered.contains(&expected), "not the events, in order and byte for byte:\n{delivered}");
    assert_eq!(delivered.matches("> {").count(), expected.lines().count(), "more than that:\n{delivered}");

    // `sinks` and `buses` list them with their options, and nothing that is not linked.
    let list = |what: &str| String::from_utf8(feed(&program, &[what], &binary, Vec::new()).stdout).unwrap();
    let (sinks, buses) = (list("sinks"), list("buses"));
    assert!(sinks.contains("shout_out: ") && !sinks.contains("http"), "{sinks}");
    assert!(buses.contains("vec: Keeps events in a log in the memory of this process."), "{buses}");
    assert!(buses.contains("  max_events  (integer, default 10000)") && !buses.contains("nats"), "{buses}");

    // A wrong setting of the bus is named as one of any other bus.
    let check = Command::new(&program).args(["check", "-c", "wrong.toml"]).current_dir(&binary).output().unwrap();
    let said = String::from_utf8(check.stderr).unwrap();
    assert_eq!(check.status.code(), Some(78), "{said}");
    assert!(
        said.contains("wrong.toml:3:1: bus `vec`: unknown field `max_event`, did you mean `max_events`?"),
        "{said}"
    );
}
