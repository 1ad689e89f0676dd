//! `hooks apply`, `hooks get`, `hooks delete`: hooks of a file at a daemon.

use hooks_test::http::Receiver;
use serde_json::Value as Json;

use super::{Daemon, JSON, MEMORY, file_hook};
use crate::command::{Ended, Place, event, run};

/// Hooks may go to this machine.
const API: &str = "[api.sink_options.http]\nallow_cidrs = ['127.0.0.0/8']\n";

/// Applies this file to the daemon in the place.
fn apply(place: &Place, file: &str, arguments: &[&str]) -> Ended {
    std::fs::write(place.path("shop.toml"), file).unwrap();
    let whole = [&["apply", "-f", "shop.toml", "-c", "hooks.toml"], arguments].concat();
    let mut command = place.hooks(&whole);
    command.env("SHOP_SECRET", SECRET).env("SHOP_KEY", "open-sesame");
    let ended = run(command, b"");
    for secret in [SECRET, "open-sesame"] {
        assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "{ended:?}");
    }
    ended
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What is printed when it is done.
fn done(place: &Place, file: &str, arguments: &[&str]) -> String {
    let ended = apply(place, file, arguments);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    ended.out
}

fn hook(id: &str, url: &str, more: &str) -> String {
    format!("[[hooks]]\nid = '{id}'\nsink = {{ kind = 'http', url = '{url}'{more} }}\n")
}

#[test]
fn a_daemon_gets_what_a_file_has_and_nothing_is_done_twice() {
    let receiver = Receiver::on_thread(|_| 200);
    let (daemon, url) = (Daemon::start(&format!("{API}{}", file_hook("mine"))), receiver.url("/a"));
    let (place, defaults) = (&daemon.place, "defaults.types = ['test.*']\n");
    let first = format!("{defaults}{}{}", hook("a", &url, ", secret = '${SHOP_SECRET}'"), hook("b", &url, ""));
    let shown = done(place, &first, &["--dry-run"]);
    for line in ["hook `a` would be defined:\n", "  + types = [\"test.*\"]\n", "  + sink.kind = \"http\"\n"] {
        assert!(shown.contains(line), "{shown}");
    }
    let made = done(place, &first, &[]);
    assert!(made.starts_with("hook `a` is defined\nhook `b` is defined\n  its secret, "), "{made}");
    assert!(made.lines().count() == 3 && made.contains("whsec_"), "{made}");
    assert_eq!(done(place, &first, &[]), "nothing to do: 2 hooks as the file has it\n");
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    receiver.wait();

    let second = format!("{defaults}{}lanes = 2\n", hook("a", &receiver.url("/b"), ", secret = '${SHOP_SECRET}'"));
    let previewed = apply(place, &second, &["--dry-run", "--prune"]);
    let (before, after) = (&url, receiver.url("/b"));
    let expected = format!(
        "hook `a` would be changed:\n  + lanes = 2\n  - sink.url = \"{before}\"\n  + sink.url = \"{after}\"\nhook `b` would be deleted\n"
    );
    assert_eq!((previewed.code, previewed.out), (Some(0), expected));
    assert!(previewed.err.contains("were not compared"), "{}", previewed.err);
    assert_eq!(done(place, &second, &["--prune"]), "hook `a` is changed\nhook `b` is deleted\n");
    assert_eq!(done(place, &second, &["--prune"]), "nothing to do: 1 hook as the file has it\n");
    let other_secret = second.replace("'${SHOP_SECRET}'", "'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'");
    assert_eq!(done(place, &other_secret, &[]), "hook `a` is changed\n");

    // On a machine that is busy a shell may have to be asked twice.
    while crate::docs::completed(place, "hooks get -c hooks.toml ") != ["a", "mine"] {}
    while crate::docs::completed(place, &format!("hooks delete --url http://{} ", daemon.address)) != ["a", "mine"] {}
    let asked = |command: &[&str]| place.run(&[command, &["-c", "hooks.toml"]].concat());
    let table = asked(&["get"]).out;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().take(5).collect()).collect();
    assert_eq!(rows[0], ["hook", "origin", "tenant", "sink", "state"]);
    assert_eq!(rows[1], ["a", "api", "-", "http", "healthy"]);
    assert_eq!(rows[2], ["mine", "file", "-", "file", "healthy"]);
    let one = asked(&["get", "a"]).out;
    assert!(one.contains("sink.url") && one.contains("revision") && !one.contains("whsec_"), "{one}");
    let json: Json = serde_json::from_str(&asked(&["get", "a", "--json"]).out).unwrap();
    assert_eq!((&json["origin"], &json["settings"]["lanes"]), (&"api".into(), &2.into()), "{json}");

    assert_eq!(asked(&["delete", "a"]).out, "hook `a` is deleted\n");
    for (command, why) in [
        (&["delete", "a"][..], "there is no hook `a`"),
        (&["get", "a"], "there is no hook `a`"),
        (&["delete", "mine"], "config file"),
    ] {
        let ended = asked(command);
        assert!(ended.code == Some(1) && ended.err.contains(why), "{command:?}: {}", ended.err);
    }
}

#[test]
fn what_the_daemon_does_not_take_has_its_place_in_the_file() {
    let daemon = Daemon::start(&format!("{API}{}", file_hook("mine")));
    let place = &daemon.place;
    assert_eq!(
        done(place, &hook("old", "http://127.0.0.1:9/", ", secret = '${SHOP_SECRET}'"), &[]),
        "hook `old` is defined\n"
    );
    let refused = |file: &str, parts: &[&str]| {
        let ended = apply(place, file, &["--prune"]);
        assert_eq!(ended.code, Some(78), "{ended:?}");
        for part in parts {
            assert!(ended.err.contains(part), "{part}: {}", ended.err);
        }
        ended.out
    };
    // Seen here, before anything is asked.
    let misspelt = format!("{}tipes = ['a']\n", hook("a", "http://127.0.0.1:9/", ""));
    assert_eq!(refused(&misspelt, &["shop.toml:4:1: hook `a`: unknown field `tipes`", "did you mean `types`?"]), "");
    let bus = format!("bus.kind = 'memory'\n{}", hook("a", "http://127.0.0.1:9/", ""));
    assert_eq!(refused(&bus, &["shop.toml:1:1: unknown field `bus`"]), "");
    assert_eq!(refused(&hook("mine", "http://127.0.0.1:9/", ""), &["shop.toml:1:1: hook `mine`: ", "config file"]), "");
    // Seen there. The others are defined, and nothing is deleted.
    let file = format!(
        "{}{}{}",
        hook("a", "http://127.0.0.1:9/", ", secret = '${SHOP_SECRET}'"),
        hook("b", "http://127.0.0.1:9/", ", bearer = '${SHOP_KEY}', proxy = 'http://127.0.0.1:1/'"),
        file_hook("c")
    );
    let out = refused(&file, &["shop.toml:6:", "hook `b`: ", "proxy", "hook `c`: ", "2 errors", "nothing was deleted"]);
    assert_eq!(out, "hook `a` is defined\n");
    let ended = place.run(&["get", "old", "-c", "hooks.toml"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}

#[test]
fn every_page_is_read_and_a_token_is_asked_for() {
    let tokens = "[[api.tokens]]\nname = 'all'\ntoken = 'token-all'\nmay = ['read', 'manage']
[[api.tokens]]\nname = 'r'\ntoken = 'token-read'\nmay = ['read']\n";
    let daemon = Daemon::start(&format!("{MEMORY}{API}{tokens}"));
    let place = Place::new("");
    for token in ["all", "read"] {
        std::fs::write(place.path(token), format!("token-{token}\n")).unwrap();
    }
    let hooks: String = (0..501).map(|number| hook(&format!("h{number:03}"), "http://127.0.0.1:9/", "")).collect();
    std::fs::write(place.path("shop.toml"), hooks).unwrap();
    let url = format!("http://{}", daemon.address);
    let asked = |command: &[&str], token: &str| place.run(&[command, &["--url", &url, "--token-file", token]].concat());
    let refused = asked(&["apply", "-f", "shop.toml"], "read");
    assert!(refused.code == Some(1) && refused.err.contains("`manage`"), "{refused:?}");
    let applied = asked(&["apply", "-f", "shop.toml"], "all");
    assert_eq!((applied.code, applied.out.matches(" is defined\n").count()), (Some(0), 501), "{}", applied.err);
    assert_eq!(asked(&["get", "--json"], "read").out.lines().count(), 501);
    assert_eq!(
        asked(&["apply", "-f", "shop.toml", "--prune"], "all").out,
        "nothing to do: 501 hooks as the file has it\n"
    );
}

#[test]
fn without_a_daemon_nothing_is_done() {
    let place = Place::new(&file_hook("a"));
    for command in [&["get"][..], &["delete", "a"], &["apply", "-f", "hooks.toml"]] {
        let ended = place.run(&[command, &["-c", "hooks.toml"]].concat());
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
        assert!(ended.err.contains("no daemon has the folder") && ended.err.contains("--url"), "{}", ended.err);
    }
    assert!(!place.path("hooks-data").exists());
}
