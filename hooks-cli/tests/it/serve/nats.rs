//! Several daemons in front of NATS, and what operators do with them.

mod again;
mod attempts;
mod gone;
mod kept;
mod managed;
mod outages;
mod pipe;
mod resends;
mod rounds;
mod seeks;

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use hooks_test::http::Receiver;
use serde_json::Value as Json;
use tempfile::TempDir;

use super::{Daemon, JSON, LINES, http_hook};
use crate::command::{Place, event};

/// Says where a `nats-server` is. Without it, these tests are skipped.
const VARIABLE: &str = "HOOKS_NATS_SERVER";

/// A lease so long that no daemon counts as dead for its silence.
const LONG: &str = "90s";

/// A lease whose end, or next heartbeat, is waited for.
const SHORT: &str = "5s";

struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Server {
    fn start() -> Option<Self> {
        Self::with_config("jetstream { STORE }")
    }

    /// With these lines in its config file.
    fn with_config(lines: &str) -> Option<Self> {
        if std::env::var_os(VARIABLE).is_none() {
            eprintln!("skipped: needs a nats-server; `cargo xtask integration nats` brings one, or set {VARIABLE}");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let store = format!("store_dir: \"{}\"", folder.path().join("store").display());
        let lines = lines.replace("STORE", &store);
        std::fs::write(folder.path().join("nats.conf"), format!("listen: \"127.0.0.1:{port}\"\n{lines}\n")).unwrap();
        Some(Self { child: run(port, &folder), port, folder })
    }

    /// Ends it at once.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again.
    fn again(&mut self) {
        self.child = run(self.port, &self.folder);
    }

    /// A plain client does something.
    fn by_client<T>(&self, does: impl AsyncFnOnce(async_nats::jetstream::Context) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = async_nats::connect(format!("127.0.0.1:{}", self.port)).await.unwrap();
            does(async_nats::jetstream::new(client)).await
        })
    }

    fn config(&self, hooks: &str) -> String {
        self.with_lease(LONG, hooks)
    }

    fn with_lease(&self, lease: &str, hooks: &str) -> String {
        format!(
            "[bus]\nkind = 'nats'\nservers = ['nats://127.0.0.1:{}']\nmax_bytes = '64MiB'\nlease = '{lease}'\n[ingest]\nlisten = '127.0.0.1:0'\n{hooks}",
            self.port
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server that takes connections. One whose port somebody else was given meanwhile is started again.
fn run(port: u16, folder: &TempDir) -> Child {
    let begin = std::time::Instant::now();
    let start = || {
        let mut command = Command::new(std::env::var_os(VARIABLE).unwrap());
        command.arg("-c").arg(folder.path().join("nats.conf")).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut child = start();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if child.try_wait().unwrap().is_some() {
            child = start();
        }
        assert!(begin.elapsed().as_secs() < 120, "the server does not listen");
        std::thread::yield_now();
    }
    child
}

fn operate(place: &Place, command: &str) -> (Option<i32>, String) {
    let ended = place.run(&command.split(' ').chain(["-c", "hooks.toml"]).collect::<Vec<_>>());
    (ended.code, ended.out + &ended.err)
}

fn status(place: &Place) -> Vec<Json> {
    let ended = place.run(&["status", "--json", "-c", "hooks.toml"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Asks until it is so.
fn until(place: &Place, is_so: impl Fn(&[Json]) -> bool) -> Vec<Json> {
    let begin = std::time::Instant::now();
    loop {
        let hooks = status(place);
        if is_so(&hooks) {
            return hooks;
        }
        assert!(begin.elapsed().as_secs() < 60, "{hooks:?}");
    }
}

/// Answers event 2 with what the second one says: 422, at first.
fn receiver_that_refuses() -> (Receiver, Arc<AtomicU16>) {
    let answer = Arc::new(AtomicU16::new(422));
    let given = answer.clone();
    let receiver =
        Receiver::on_thread(
            move |seen| {
                if seen.text().contains("\"id\":\"2\"") { given.load(Ordering::Relaxed) } else { 200 }
            },
        );
    (receiver, answer)
}

#[test]
fn daemons_are_asked_through_nats() {
    let Some(server) = Server::start() else { return };
    let (receiver, answer) = receiver_that_refuses();
    let config = server.config(&[http_hook("a", &receiver.url("/a")), http_hook("b", &receiver.url("/b"))].concat());
    let daemons = [Daemon::start(&config), Daemon::start(&config)];
    let place = &daemons[0].place;
    let hooks = until(place, |hooks| hooks[0]["owner"].is_string() && hooks[1]["owner"].is_string());
    // How often they have just begun to share is not promised.
    let hooks = if hooks[0]["owner"] == hooks[1]["owner"] {
        until(place, |hooks| {
            hooks.iter().all(|hook| hook["owner"].is_string()) && hooks[0]["owner"] != hooks[1]["owner"]
        })
    } else {
        hooks
    };
    assert!(hooks.iter().all(|hook| hook["state"] == "healthy"), "{hooks:?}");

    let lines: String = (1..4).map(|number| event(number) + "\n").collect();
    assert_eq!(daemons[0].post(LINES, lines).status, 202);
    let hooks = until(place, |hooks| {
        hooks.iter().all(|hook| hook["dead_letters"] == 1 && hook["position"].as_u64() >= Some(3))
    });
    for hook in &hooks {
        assert_eq!((&hook["counts"]["delivered"], &hook["lag"]["events"]), (&2.into(), &0.into()), "{hook}");
    }
    let (_, table) = operate(&daemons[1].place, "status");
    assert!(table.contains("owner") && table.contains(hooks[0]["owner"].as_str().unwrap()), "{table}");

    // An event that comes twice is accepted twice and taken once.
    assert_eq!(daemons[0].post(JSON, event(1)).status, 202);
    assert_eq!(daemons[0].metric("hooks_events_duplicate_total"), Some(1.0));
    assert_eq!(daemons[1].metric("hooks_events_duplicate_total"), Some(0.0));

    // Whoever owns the hook replays.
    answer.store(200, Ordering::Relaxed);
    for hook in ["a", "b"] {
        assert_eq!(
            operate(place, &format!("dead-letters replay {hook} --all")),
            (Some(0), "1 delivered, 0 refused again, 0 not tried\n".into())
        );
    }
    assert!(hooks.iter().all(|hook| hook["dead_letters"] == 1));
    until(place, |hooks| hooks.iter().all(|hook| hook["dead_letters"] == 0));

    // Every daemon hears that a hook is disabled.
    assert_eq!(operate(place, "disable a"), (Some(0), "hook `a` is disabled\n".into()));
    let (_, table) = operate(&daemons[1].place, "status");
    assert!(table.contains("disabled by operator"), "{table}");
    assert_eq!(daemons[1].post(JSON, event(4)).status, 202);
    until(place, |hooks| hooks[0]["lag"]["events"] == 1 && hooks[1]["lag"]["events"] == 0);
    assert_eq!(operate(&daemons[1].place, "enable a").0, Some(0));
    until(place, |hooks| hooks[0]["state"] == "healthy" && hooks[0]["lag"]["events"] == 0);
    let (code, out) = operate(place, "forget a");
    assert!(code == Some(1) && out.contains("take it out first, and forget it then"), "{out}");

    let (code, out) = operate(place, "log info");
    assert!(code == Some(0) && out.contains("last position") && out.contains("owner"), "{out}");
    let (code, out) = operate(place, "log verify");
    assert!(code == Some(1) && out.contains("keeps no log in a folder"), "{out}");
    let files: Vec<_> = std::fs::read_dir(place.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["hooks.toml"], "nothing is kept on the disk");
}

#[test]
fn what_nats_keeps_is_shown_without_a_daemon() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|seen| if seen.text().contains("\"id\":\"2\"") { 422 } else { 200 });
    let config = server.config(&[http_hook("a", &receiver.url("/a"))].concat());
    let (code, out) = operate(&Place::new(&config), "status");
    assert!(code == Some(1) && out.contains("there is no stream `hooks`: no instance"), "{out}");
    let daemon = Daemon::start(&config);
    let lines: String = (1..4).map(|number| event(number) + "\n").collect();
    assert_eq!(daemon.post(LINES, lines).status, 202);
    until(&daemon.place, |hooks| hooks[0]["dead_letters"] == 1 && hooks[0]["lag"]["events"] == 0);
    let Daemon { place, running, .. } = daemon;
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(0));
    let (code, out) = operate(&place, "status");
    assert!(
        code == Some(0) && out.contains("stopped") && out.contains("no daemon runs: this is what the bus has"),
        "{out}"
    );
    let hooks = status(&place);
    assert_eq!((&hooks[0]["position"], &hooks[0]["owner"]), (&3.into(), &Json::Null));
    assert_eq!(operate(&place, "dead-letters list a").1.lines().count(), 2);
    assert_eq!(operate(&place, "dead-letters drop a --all"), (Some(0), "1 dead letter dropped\n".into()));
    assert_eq!(operate(&place, "disable a").0, Some(0));
    let (_, out) = operate(&place, "status");
    assert!(out.contains("stopped, disabled by operator"), "{out}");
    let other = server.config(&http_hook("b", &receiver.url("/b")));
    std::fs::write(place.path("hooks.toml"), other).unwrap();
    assert_eq!(operate(&place, "forget a"), (Some(0), "hook `a` is forgotten\n".into()));
    assert!(status(&place).iter().all(|hook| hook["id"] != "a"));
}

#[test]
fn other_credentials_in_their_file_take_a_restart_and_that_is_said() {
    let Some(server) = Server::start() else { return };
    let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    let credentials = |token: &str| {
        format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    };
    let place = Place::new("");
    let receiver = Receiver::on_thread(|_| 200);
    let config = server.config(&http_hook("a", &receiver.url("/")));
    let config = config.replace("[ingest]", "credentials_file = 'user.creds'\n[ingest]");
    std::fs::write(place.path("hooks.toml"), &config).unwrap();
    std::fs::write(place.path("user.creds"), credentials("one")).unwrap();
    let mut daemon = Daemon::again(place);
    std::fs::write(daemon.place.path("user.creds"), credentials("two")).unwrap();
    daemon.running.signal("HUP");
    daemon.running.wait_for("bus.credentials_file has changed: its credentials are used after a restart");
    daemon.running.wait_for("applied hooks=1");
    assert_eq!(daemon.stop().code, Some(0));
}
