//! One hook without a config file: `--to`, and the config file that `--print-config` prints for it.

use std::path::Path;

use hooks_test::http::Receiver;
use serde_json::Value as Json;

use crate::command::{Ended, Place, Running};
use crate::serve::Daemon;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const EVENTS: &str = "{\"id\":\"1\",\"type\":\"invoice.paid\"}\n{\"id\":\"2\",\"type\":\"order.paid\"}\n";

/// What a receiver got: the ids of events, and whether requests were signed.
fn got(receiver: &Receiver) -> (Vec<String>, bool) {
    let seen = receiver.seen();
    let events = seen.iter().flat_map(|request| request.elements());
    let ids = events.map(|event| serde_json::from_str::<Json>(&event).unwrap()["id"].as_str().unwrap().to_owned());
    (ids.collect(), seen.iter().all(|request| request.header("webhook-signature").is_some()))
}

/// Pipes the events with these arguments, and again with the config file that they print, somewhere else.
fn both(place: &Place, arguments: &[&str], mut see: impl FnMut(&str)) {
    let piped = place.run_with(&[&["pipe"], arguments].concat(), EVENTS.as_bytes());
    assert_eq!(piped.code, Some(0), "{}", piped.err);
    assert!(piped.err.contains("one hook, `"), "{}", piped.err);
    see("arguments");
    let printed = place.run(&[&["pipe"], arguments, &["--print-config"]].concat());
    assert_eq!((printed.code, printed.err.as_str()), (Some(0), ""));
    let elsewhere = Place::new(&printed.out);
    let piped = elsewhere.pipe(EVENTS);
    assert_eq!(piped.code, Some(0), "{}\n{}", printed.out, piped.err);
    see("printed config");
}

#[test]
fn a_pipe_delivers_to_an_address_and_so_does_the_config_that_it_prints() {
    let place = Place::new("");
    std::fs::write(place.path("secret"), SECRET).unwrap();
    for secret in [&["--secret", SECRET][..], &["--secret-file", "secret"]] {
        let receiver = Receiver::on_thread(|_| 200);
        let url = receiver.url("/invoices");
        let arguments = [&["--to", &url, "--types", "x.* , invoice.*"], secret].concat();
        let mut times = 0;
        both(&place, &arguments, |with| {
            times += 1;
            assert_eq!(got(&receiver), (vec!["1".to_owned(); times], true), "{with}");
        });
    }
}

#[test]
fn a_pipe_delivers_to_a_file_and_so_does_the_config_that_it_prints() {
    let place = Place::new("");
    // Nothing in a path is a variable, and steps up are taken.
    std::fs::create_dir(place.path("in")).unwrap();
    let file = "in/../a${b} \"c\".jsonl";
    let mut times = 0;
    both(&place, &["--to", file], |with| {
        times += 1;
        assert_eq!(place.read(file).lines().count(), 2 * times, "{with}");
    });
}

#[test]
fn a_host_without_a_scheme_is_asked_about_unless_its_folder_is_there() {
    let place = Place::new("");
    let arguments = ["pipe", "--to", "example.com/hooks"];
    let asked = place.run_with(&arguments, EVENTS.as_bytes());
    assert_eq!(asked.code, Some(2), "{}", asked.err);
    assert!(asked.err.contains("Then write https://example.com/hooks, else ./example.com/hooks"), "{}", asked.err);
    assert!(!place.path("example.com").exists());
    std::fs::create_dir(place.path("example.com")).unwrap();
    let written = place.run_with(&arguments, EVENTS.as_bytes());
    assert_eq!(written.code, Some(0), "{}", written.err);
    assert_eq!(place.read("example.com/hooks").lines().count(), 2);
}

#[test]
fn what_is_said_of_the_hook_hides_the_path_and_the_secret() {
    let receiver = Receiver::on_thread(|_| 200);
    let url = receiver.url("/T0/B1/token");
    let place = Place::new("");
    let Ended { err, .. } =
        place.run_with(&["pipe", "--to", &url, "--types", "invoice.*", "--secret", SECRET], EVENTS.as_bytes());
    let (host, _) = url.split_once("/T0").unwrap();
    assert!(err.contains(&format!("events of the types invoice.* go to {host}/…, signed; kept in memory")), "{err}");
    assert!(!err.contains("token") && !err.contains(SECRET), "{err}");
}

#[test]
fn the_secret_can_come_from_the_environment() {
    let receiver = Receiver::on_thread(|_| 200);
    let place = Place::new("");
    let arguments = ["pipe", "--to", &receiver.url(""), "--secret", "${SIGNING}"];
    let mut command = place.hooks(&arguments);
    command.env("SIGNING", SECRET);
    assert_eq!(crate::command::run(command, EVENTS.as_bytes()).code, Some(0));
    assert!(got(&receiver).1);
    let unset = place.run(&arguments);
    assert_eq!(unset.code, Some(2), "{}", unset.err);
    assert!(unset.err.contains("the command line: the environment variable `SIGNING` is not set"), "{}", unset.err);
}

/// `hooks serve` with these arguments, in this place.
fn serve(place: Place, arguments: &[&str]) -> Daemon {
    let command = place.hooks(&[&["serve"], arguments].concat());
    Daemon::of(place, Running::of(command))
}

/// Publishes one that the hook wants, with this id, behind one that it does not.
fn publish(daemon: &Daemon, id: usize) {
    let wanted = format!(r#"{{"type":"invoice.paid","id":"{id}"}}"#);
    for event in [r#"{"type":"order.paid"}"#, &wanted] {
        assert_eq!(daemon.post("application/cloudevents+json", event).status, 202);
    }
}

#[test]
fn a_daemon_delivers_to_an_address_and_so_does_the_config_that_it_prints() {
    let receiver = Receiver::on_thread(|_| 200);
    let url = receiver.url("");
    let place = Place::new("");
    let arguments = ["--to", &url, "--types", "invoice.*", "--secret", SECRET, "--listen", "127.0.0.1:0"];
    let printed = place.run(&[&["serve"], &arguments[..], &["--print-config"]].concat());
    assert_eq!((printed.code, printed.err.as_str()), (Some(0), ""));

    let daemon = serve(place, &arguments);
    publish(&daemon, 1);
    receiver.wait();
    let folder = daemon.place.path("hooks-data");
    assert!(folder.is_dir());
    let Daemon { place, running, .. } = daemon;
    running.signal("TERM");
    let ended = running.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(
        ended.err.contains("one hook, `webhook`: ") && ended.err.contains("in the folder hooks-data"),
        "{}",
        ended.err
    );

    // The file goes on where the arguments stopped, in the same folder.
    let elsewhere = Place::new(&printed.out);
    let daemon = serve(elsewhere, &["-c", "hooks.toml"]);
    publish(&daemon, 2);
    receiver.wait();
    assert_eq!(got(&receiver), (vec!["1".to_owned(), "2".to_owned()], true));
    assert!(!daemon.place.path("hooks-data").exists());
    drop((daemon, place));
}

#[test]
fn what_contradicts_itself_is_named() {
    let place = Place::new("");
    std::fs::create_dir(place.path("folder")).unwrap();
    for (arguments, why) in [
        (&[][..], "--config <FILE>|--to <URL|FILE>"),
        (&["--types", "a"], "--config <FILE>|--to <URL|FILE>"),
        (&["--to", "a.jsonl", "-c", "hooks.toml"], "cannot be used with"),
        (&["-c", "hooks.toml", "--types", "a"], "cannot be used with"),
        (&["-c", "hooks.toml", "--secret", "a"], "cannot be used with"),
        (&["-c", "hooks.toml", "--print-config"], "cannot be used with"),
        (&["--to", "http://a", "--secret", "a", "--secret-file", "b"], "cannot be used with"),
        (&["--to", "folder"], "this is a folder: name a file in it"),
        (&["--to", "a.jsonl", "--secret", SECRET], "nothing signs what is in a file"),
        (&["--to", "nats://127.0.0.1"], "`nats` is no scheme that can be delivered to"),
        (&["--to", "http://"], "the command line: hook `webhook`: sink `http`: url"),
        (&["--to", "http://a", "--secret", "whsec_short"], "the command line: hook `webhook`: sink `http`: secret"),
        (&["--to", "http://a", "--types", ""], "the command line: hook `webhook`: types"),
        (&["--to", "http://a", "--secret-file", "/"], "--secret-file /: this path does not end in a name"),
    ] {
        for command in ["pipe", "serve"] {
            let ended = place.run(&[&[command], arguments].concat());
            assert_eq!(ended.code, Some(2), "{command} {arguments:?}: {}", ended.err);
            assert!(ended.err.contains(why), "{command} {arguments:?}: {}", ended.err);
            assert!(!ended.err.contains("whsec_short") && !ended.err.contains("one hook"), "{}", ended.err);
        }
    }
    for (address, why) in [
        ("8080", "expected an IP address and a port, for example 127.0.0.1:8080"),
        ("0.0.0.0:8080", "a config file with `ingest.token_file` or `api.tokens`"),
    ] {
        let ended = place.run(&["serve", "--to", "a.jsonl", "--listen", address]);
        assert!(ended.code == Some(2) && ended.err.contains(why), "{}", ended.err);
    }
    assert!(!Path::new(&place.path("hooks-data")).exists());
}
