//! Stderr and stdout that nobody reads or that can't be written: whatever was to be said, the work is done, and how
//! it ends is what it says elsewhere.

use std::fs::OpenOptions;
use std::io::{PipeReader, Read as _, Write as _, pipe};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::command::{Place, event, events};

/// Output that is lost: a pipe whose reader has gone, a full disk, and a full pipe that nobody reads.
const NOWHERE: [&str; 3] = ["closed", "full disk", "full pipe"];

/// The bytes that a pipe holds.
const PIPE: usize = 64 << 10;

/// One of these, and what has to be kept until the process has ended.
fn nowhere(name: &str) -> (Stdio, Option<PipeReader>) {
    let (reader, mut writer) = pipe().unwrap();
    match name {
        "closed" => (writer.into(), None),
        "full pipe" => {
            writer.write_all(&[b' '; PIPE]).unwrap();
            (writer.into(), Some(reader))
        }
        _ => (full_disk(), None),
    }
}

fn full_disk() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

fn code(mut command: Command, input: &str) -> Option<i32> {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // Whoever refuses its config reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait().unwrap().code()
}

/// Its source is what looks like a variable, which is a warning.
fn with_warning(hook: &str) -> String {
    format!(
        "events.source = '/$HOME'\n[[hooks]]\nid = '{hook}'\nsink = {{ kind = 'file', path = '${{CONFIG_DIR}}/{hook}' }}\n"
    )
}

#[test]
fn a_pipe_delivers_although_nobody_reads_what_it_says() {
    for name in NOWHERE {
        let place = Place::new(&with_warning("a"));
        let (err, _kept) = nowhere(name);
        let mut command = place.hooks(&["pipe", "-c", "hooks.toml"]);
        command.stderr(err);
        // More to say than anything could hold.
        let input = "no event\n".repeat(5_000) + &events(3);
        assert_eq!(code(command, &input), Some(1), "{name}");
        assert_eq!(place.read("a"), events(3), "{name}");
    }
}

#[test]
fn a_daemon_starts_reloads_and_ends_although_nobody_reads_what_it_says() {
    for name in NOWHERE {
        let place = Place::new(&("ingest.listen = '127.0.0.1:0'\n".to_owned() + &with_warning("a")));
        let manager = UnixDatagram::bind(place.path("notify")).unwrap();
        manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let ready = || {
            let mut buffer = [0; 512];
            loop {
                let length = manager.recv(&mut buffer).unwrap();
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if text.starts_with("READY") {
                    return text;
                }
            }
        };
        let (err, _kept) = nowhere(name);
        let mut command = place.hooks(&["serve", "-c", "hooks.toml"]);
        command.env("NOTIFY_SOCKET", place.path("notify")).stderr(err);
        let mut child = command.spawn().unwrap();
        let kill = |signal: &str| {
            let kill = format!("kill -{signal} {}", child.id());
            assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        };
        assert!(ready().starts_with("READY=1\nSTATUS=serving at "), "{name}");
        kill("HUP");
        assert_eq!(ready(), "READY=1\nSTATUS=serving", "{name}");
        kill("TERM");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{name}");
    }
}

/// The error of each command when something is wrong, and its exit code.
#[test]
fn complaints_that_can_not_be_written_change_no_exit_code() {
    let place = Place::new(&with_warning("a"));
    place.pipe(event(1));
    let cases: [(&[&str], i32); 12] = [
        (&["check", "-c", "hooks.toml"], 0),
        (&["check", "-c", "nothing.toml"], 78),
        (&["test", "-c", "nothing.toml", "a"], 78),
        (&["test", "-c", "hooks.toml", "b"], 1),
        (&["status", "-c", "nothing.toml"], 78),
        (&["status", "--dir", "nothing"], 1),
        (&["log", "verify", "--dir", "nothing"], 1),
        (&["dead-letters", "drop", "--dir", "nothing", "a"], 2),
        (&["sinks", "nothing"], 2),
        (&["man", "hooks.toml/x"], 1),
        (&["--log", "nothing", "check", "-c", "hooks.toml"], 2),
        (&["nothing"], 2),
    ];
    for name in ["closed", "full disk"] {
        for (args, expected) in cases {
            let mut command = place.hooks(args);
            command.stdout(Stdio::null()).stderr(nowhere(name).0);
            assert_eq!(code(command, ""), Some(expected), "{name}: {args:?}");
        }
    }
}

/// Help is what was asked for, as any other output is: where it can't be given, that is a failure. A reader that
/// has seen enough is none.
#[test]
fn output_that_can_not_be_written_is_a_failure_which_is_said() {
    let place = Place::new(&with_warning("a"));
    let cases: [&[&str]; 6] = [
        &["--help"],
        &["--version"],
        &["help", "serve"],
        &["serve", "--help"],
        &["check", "--schema"],
        &["completions", "bash"],
    ];
    for args in cases {
        let (mut reader, writer) = pipe().unwrap();
        let mut command = place.hooks(args);
        command.stdout(full_disk()).stderr(writer);
        assert_eq!(code(command, ""), Some(1), "{args:?}");
        let mut err = String::new();
        reader.read_to_string(&mut err).unwrap();
        assert!(err.starts_with("stdout can't be written: No space left on device"), "{args:?}: {err}");
        for (out, expected) in [(nowhere("closed").0, 0), (full_disk(), 1)] {
            let mut command = place.hooks(args);
            command.stdout(out).stderr(nowhere("closed").0);
            assert_eq!(code(command, ""), Some(expected), "{args:?}");
        }
    }
}
