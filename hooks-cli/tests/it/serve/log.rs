//! The daemon's log when something is wrong with it, its folder or the process.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::durable::operate;
use super::{Client, Daemon, JSON, file_hook};
use crate::command::Place;

/// An event that takes most of a segment of 4 KiB.
fn large() -> String {
    format!("{{\"type\":\"a\",\"data\":\"{}\"}}", "x".repeat(3000))
}

fn post(client: &mut Client, body: &str) -> super::Answer {
    let length = body.len();
    client.send(format!(
        "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: {JSON}\r\ncontent-length: {length}\r\n\r\n{body}"
    ));
    client.answer()
}

fn get<S: Read + Write>(client: &mut Client<S>, path: &str) -> super::Answer {
    client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
    client.answer()
}

/// From now on a process may have files open up to this number.
fn limit_files(daemon: &Daemon, soft: Option<u64>) -> Option<u64> {
    let pid = Pid::from_raw(i32::try_from(daemon.running.id()).unwrap());
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    prlimit(pid, Resource::Nofile, Rlimit { current: soft, maximum }).unwrap().current
}

#[test]
fn too_many_open_files_for_a_moment_refuse_events_for_that_moment_and_show_everywhere() {
    let daemon = Daemon::start(&["bus = { kind = 'durable', segment_size = '4KiB' }\n", &file_hook("a")].concat());
    let mut client = daemon.connect();
    assert_eq!((post(&mut client, &large()).status, get(&mut client, "/readyz").status), (202, 200));
    let mut operator = Client::operator(&daemon.place);
    let mut status = || get(&mut operator, "/v1/status").json()["trouble"].clone();
    assert!(status().is_null());

    let before = limit_files(&daemon, Some(3));
    let refused = post(&mut client, &large());
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("another file of the log can't be begun now"), "{}", refused.body);
    let ready = get(&mut client, "/readyz");
    assert_eq!((ready.status, &*ready.body), (503, "unavailable\n"));
    assert!(get(&mut client, "/metrics").body.contains("\nhooks_bus_healthy 0\n"));
    assert!(status().as_str().unwrap().contains("can't be begun now"));

    limit_files(&daemon, before);
    while get(&mut client, "/readyz").status != 200 {}
    assert_eq!(post(&mut client, &large()).status, 202);
    assert!(get(&mut client, "/metrics").body.contains("\nhooks_bus_healthy 1\n"));
    assert!(status().is_null());
}

/// Every file of a folder.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

/// The folder of a daemon that ended years ago without closing it, as version 1 wrote it.
fn old_folder(config: &str) -> Place {
    let place = Place::new(config);
    let data = place.path("hooks-data");
    std::fs::create_dir(&data).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hooks-bus/tests/fixtures/v1");
    for (name, bytes) in files(&fixture) {
        std::fs::write(data.join(name), bytes).unwrap();
    }
    place
}

#[test]
fn to_look_at_a_log_changes_nothing_however_old_its_events_are() {
    let place = old_folder(&["bus = { kind = 'durable', max_age = '1s' }\n", &file_hook("all")].concat());
    let before = files(&place.path("hooks-data"));
    for look in [
        &["status"][..],
        &["log", "info"],
        &["log", "verify"],
        &["dead-letters", "list"],
        &["dead-letters", "show", "all"],
        &["dead-letters", "replay", "all", "--dry-run"],
    ] {
        let (code, out) = operate(&place, look);
        assert_eq!(code, Some(0), "{look:?}: {out}");
        assert!(!out.contains("loses") && !out.contains("full"), "{look:?}: {out}");
        assert_eq!(files(&place.path("hooks-data")), before, "{look:?}");
    }
    let (_, out) = operate(&place, &["status"]);
    assert!(out.contains("≤40"), "{out}");
}

#[test]
fn who_operates_on_a_log_gives_up_nothing() {
    let place = old_folder(&["bus = { kind = 'durable', max_age = '1s' }\n", &file_hook("all")].concat());
    for change in
        [&["disable", "all"][..], &["enable", "all"], &["forget", "none"], &["dead-letters", "drop", "all", "--all"]]
    {
        let (code, out) = operate(&place, change);
        assert_eq!(code, Some(0), "{change:?}: {out}");
    }
    let (_, out) = operate(&place, &["log", "info", "--json"]);
    let info: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&info["segments"][0]["first"], &info["hooks"][0]["to_end"]), (&0.into(), &40.into()), "{info}");
}

#[test]
fn a_newest_file_that_max_bytes_has_no_more_room_for_goes_when_it_was_delivered() {
    for on_full in ["refuse", "drop_oldest"] {
        let bus = |segment: &str, max: &str| {
            let bus = format!(
                "bus = {{ kind = 'durable', segment_size = '{segment}', max_bytes = '{max}', on_full = '{on_full}' }}\n"
            );
            bus + &file_hook("a")
        };
        let daemon = Daemon::start(&bus("1MiB", "4MiB"));
        let event = format!("{{\"type\":\"a\",\"data\":\"{}\"}}", "x".repeat(20_000));
        assert_eq!(daemon.post(JSON, &event).status, 202);
        while daemon.metric("hooks_events_delivered_total{hook=\"a\"}") != Some(1.0) {}
        let place = daemon.place.path("hooks.toml");
        let config = std::fs::read_to_string(&place).unwrap().replace("1MiB", "4KiB").replace("4MiB", "8KiB");
        let Daemon { place: folder, running, .. } = daemon;
        running.signal("TERM");
        running.wait();
        std::fs::write(place, config).unwrap();
        let daemon = Daemon::again(folder);
        let answer = daemon.post(JSON, "{\"type\":\"a\"}");
        assert_eq!(answer.status, 202, "{on_full}: {}", answer.body);
        while daemon.metric("hooks_events_delivered_total{hook=\"a\"}") != Some(1.0) {}
        assert!(daemon.metric("hooks_log_bytes") <= Some(8192.0));
        let (code, out) = operate(&daemon.place, &["log", "info"]);
        assert_eq!(code, Some(0), "{out}");
    }
}

#[test]
fn damage_is_said_when_all_files_are_gone_and_shows_in_a_metric() {
    let config = ["bus = { kind = 'durable', max_age = '100000h' }\n", &file_hook("all")].concat();
    let place = old_folder(&config);
    let data = place.path("hooks-data");
    let first = data.join("00000000000000000000.log");
    let mut bytes = std::fs::read(&first).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&first, bytes).unwrap();
    std::fs::write(place.path("hooks.toml"), super::listening(&config)).unwrap();
    let daemon = Daemon::again(place);
    assert!(daemon.metric("hooks_log_damaged").is_some());
    while daemon.metric("hooks_log_damaged") != Some(1.0) {}
    while daemon.metric("hooks_events_dropped_total{hook=\"all\",reason=\"unreadable\"}") != Some(1.0) {}
    let place = daemon.kill();
    for entry in std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some_and(|extension| extension == "log") {
            std::fs::remove_file(entry).unwrap();
        }
    }
    let (code, out) = operate(&place, &["log", "verify"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("were safe and are gone") && out.contains("lost    60"), "{out}");
    std::fs::remove_file(data.join("meta.redb")).unwrap();
    let (code, out) = operate(&place, &["log", "verify"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("`meta.redb`, the database of the hooks' positions, is missing"), "{out}");
}

#[test]
fn a_hook_that_begins_with_the_oldest_events_says_which_those_are() {
    let bus = "bus = { kind = 'durable', segment_size = '4KiB', retain = '0s' }\n";
    let mut daemon = Daemon::start(&[bus, &file_hook("a")].concat());
    for _ in 0..3 {
        assert_eq!(daemon.post(JSON, large()).status, 202);
    }
    while daemon.metric("hooks_log_bytes") > Some(4096.0) {}
    let early = |id: &str| file_hook(id) + "from = 'earliest'\n";
    daemon.reload(&[bus, &file_hook("a"), &early("b")].concat());
    let line = daemon.running.wait_for("the hook begins with the oldest event of the log: older ones are gone");
    assert!(line.contains("hook=b") && line.contains("events=1") && line.contains("gone=2"), "{line}");

    let mut daemon = Daemon::start(&[bus, &early("c")].concat());
    assert_eq!(daemon.post(JSON, large()).status, 202);
    daemon.reload(&[bus, &early("c"), &early("d")].concat());
    let line = daemon.running.wait_for("the hook begins with the first event");
    daemon.reload(&[bus, &early("c"), &early("d"), &file_hook("e"), "from = '1h'\n"].concat());
    daemon.running.wait_for("the hook begins with the events from this time on");
    while daemon.metric("hooks_events_delivered_total{hook=\"e\"}") != Some(1.0) {}
    assert!(line.contains("hook="), "{line}");
}

/// A hook whose receiver refuses it could never go on.
#[test]
fn an_event_that_could_become_no_dead_letter_is_not_accepted() {
    let bus = |max: &str| format!("bus = {{ kind = 'durable', dead_letters = {{ max_bytes = '{max}' }} }}\n");
    let place = Place::new(&[&bus("1MiB"), &*file_hook("a")].concat());
    let ended = place.run(&["check", "-c", "hooks.toml"]);
    let why = "events: max_bytes: an event of 1MiB never fits: bus.dead_letters.max_bytes allows for events of 1047518";
    assert!(ended.code == Some(78) && ended.err.contains(why), "{}", ended.err);
    let place = Place::new(&[&bus("1KiB"), &*file_hook("a")].concat());
    let ended = place.run(&["check", "-c", "hooks.toml"]);
    assert!(
        ended.code == Some(78) && ended.err.contains("leaves no room for an event beside its reason"),
        "{}",
        ended.err
    );
}

#[test]
fn operators_reach_a_daemon_whose_folder_has_a_long_path() {
    let dir = ["a".repeat(100), "b".repeat(100)].join("/");
    let daemon = Daemon::start(&[&format!("bus = {{ kind = 'durable', dir = '{dir}' }}\n"), &*file_hook("a")].concat());
    let (code, out) = operate(&daemon.place, &["status"]);
    assert!(code == Some(0) && out.contains("healthy"), "{out}");
    let socket = daemon.place.path(&dir).join("operator.sock");
    assert!(socket.exists());
    let Daemon { running, .. } = daemon;
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(0));
    assert!(!socket.exists());
}

#[test]
fn a_folder_in_place_of_the_socket_keeps_operators_away_and_no_event() {
    let place = Place::new(&super::listening(&file_hook("a")));
    std::fs::create_dir_all(place.path("hooks-data/operator.sock/full")).unwrap();
    let checked = place.run(&["check", "-c", "hooks.toml", "--for", "serve"]);
    let warning = "warning: operators could not reach the daemon: ";
    assert!(checked.code == Some(0) && checked.err.contains(warning), "{}", checked.err);
    assert!(checked.err.contains("operator.sock` is a folder"), "{}", checked.err);
    let daemon = Daemon::again(place);
    assert_eq!(daemon.post(JSON, large()).status, 202);
    let (code, out) = operate(&daemon.place, &["status"]);
    assert!(
        code == Some(1) && out.contains("it answers no operators at `") && out.contains("its log says why"),
        "{out}"
    );
    daemon.running.signal("TERM");
    let ended = daemon.running.wait();
    assert!(ended.err.contains("operators can't reach this daemon"), "{}", ended.err);
}
