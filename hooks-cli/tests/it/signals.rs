//! Signals at moments and of kinds that nobody thinks of.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;

use hooks_test::http::Receiver;

use crate::command::{Place, Running, event, events};
use crate::serve::{Daemon, JSON, file_hook};

/// A command that has begun to read its config file, which is not there yet.
fn reading(command: &str) -> (Place, Running, std::fs::File) {
    let place = Place::new("");
    let fifo = place.path("later.toml");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let running = place.start_with(&[command, "-c", "later.toml"]);
    // Waits for its reader.
    let file = OpenOptions::new().write(true).open(&fifo).unwrap();
    (place, running, file)
}

#[test]
fn a_hang_up_while_it_starts_is_a_reload_and_not_the_end() {
    let (place, mut running, mut file) = reading("serve");
    for signal in ["HUP", "USR1", "USR2"] {
        running.signal(signal);
    }
    let config = |hook: &str| format!("ingest.listen = '127.0.0.1:0'\n{}", file_hook(hook));
    file.write_all(config("a").as_bytes()).unwrap();
    drop(file);
    running.wait_for("serving");
    // It is read again because of the signal.
    let fifo = place.path("later.toml");
    OpenOptions::new().write(true).open(&fifo).unwrap().write_all(config("b").as_bytes()).unwrap();
    running.wait_for("added hook=b");
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(0));
}

#[test]
fn a_stop_while_it_starts_is_heard_and_said() {
    for signal in ["TERM", "INT"] {
        let (_place, running, file) = reading("serve");
        running.signal(signal);
        let ended = running.wait();
        assert_eq!(ended.code, Some(0), "{signal}: {}", ended.err);
        assert!(
            ended.err.contains(&format!("stopped before it was ready: nothing was accepted signal=\"SIG{signal}\"")),
            "{}",
            ended.err
        );
        drop(file);
    }
    for signal in ["TERM", "INT", "HUP"] {
        let (_place, running, file) = reading("pipe");
        running.signal(signal);
        let ended = running.wait();
        assert_eq!((ended.code, ended.err), (Some(0), format!("stopped by SIG{signal} before anything was read\n")));
        drop(file);
    }
}

#[test]
fn a_pipe_whose_terminal_goes_delivers_what_it_read() {
    let receiver = Receiver::closed();
    let place = Place::new(&crate::serve::http_hook("a", &receiver.url("/")));
    let mut running = place.start();
    running.write(&events(1));
    receiver.wait();
    running.signal("USR1");
    running.wait_for("SIGUSR1 means nothing here");
    running.signal("HUP");
    running.wait_for("SIGHUP: reading no more, delivering what was read");
    receiver.open();
    let ended = running.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("stopped by SIGHUP after line 1\n"), "{}", ended.err);
    assert_eq!(receiver.events("/"), [event(1)]);
}

#[test]
fn a_pipe_under_nohup_goes_on() {
    let place = Place::new(&file_hook("a"));
    let hooks = place.hooks(&["pipe", "-c", "hooks.toml"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(hooks.get_program()).args(hooks.get_args());
    command.current_dir(place.path(""));
    let mut running = Running::of(command);
    running.write(&events(1));
    while !place.path("a").exists() {}
    running.signal("HUP");
    running.write(&event(2));
    running.end_input();
    let ended = running.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(!ended.err.contains("SIGHUP"), "{}", ended.err);
    assert_eq!(place.read("a"), events(2));
}

#[test]
fn signals_that_mean_nothing_end_nothing() {
    let mut daemon = Daemon::start(&file_hook("a"));
    for signal in ["USR1", "USR2", "PIPE"] {
        daemon.running.signal(signal);
    }
    daemon.running.wait_for("this signal means nothing here; SIGHUP reads the config file again signal=\"SIGUSR");
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    assert_eq!(daemon.stop().code, Some(0));
}

/// The binary with files that may become so long, in blocks of 512 bytes.
fn limited(place: &Place, blocks: usize, args: &[&str]) -> Command {
    let hooks = place.hooks(args);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" \"$@\"")]).arg(hooks.get_program()).args(args);
    command.current_dir(place.path(""));
    command
}

#[test]
fn a_file_that_may_get_no_longer_is_an_error_and_not_the_end() {
    // The log's own files are longer than this.
    let config =
        format!("ingest.listen = '127.0.0.1:0'\nbus = {{ kind = 'durable', dir = 'data' }}\n{}", file_hook("a"));
    let place = Place::new(&config);
    let running = Running::of(limited(&place, 200, &["serve", "-c", "hooks.toml"]));
    let daemon = Daemon::of(place, running);
    let answer = daemon.post(JSON, event(1));
    assert_eq!(answer.status, 507, "{}", answer.body);
    assert!(answer.body.contains("File too large"), "{}", answer.body);
    assert_eq!(daemon.get("/healthz").status, 200);
    assert_eq!(daemon.stop().code, Some(0));

    let place = Place::new(&file_hook("a"));
    let ended = crate::command::run(
        limited(&place, 2, &["pipe", "-c", "hooks.toml", "--timeout", "10s"]),
        events(50).as_bytes(),
    );
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("File too large"), "{}", ended.err);
}

#[test]
fn a_number_of_threads_that_makes_no_sense_is_named() {
    for value in ["0", "-1", "abc", "", "1025", "99999999999999999999"] {
        let place = Place::new(&format!("ingest.listen = '127.0.0.1:0'\n{}", file_hook("a")));
        let mut command = place.hooks(&["serve", "-c", "hooks.toml"]);
        command.env("TOKIO_WORKER_THREADS", value);
        let ended = crate::command::run(command, b"");
        assert_eq!(ended.code, Some(1), "{value}: {}", ended.err);
        let expected =
            format!("TOKIO_WORKER_THREADS={value:?} in the environment: expected a number of threads from 1 to 1024");
        assert!(ended.err.contains(&expected), "{}", ended.err);
    }
    let daemon = Daemon::in_environment(&file_hook("a"), &[("TOKIO_WORKER_THREADS", "3")]);
    assert_eq!(daemon.stop().code, Some(0));
}
