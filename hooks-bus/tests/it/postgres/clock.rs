//! Clocks that jump: the server's, by which leases go, and an instance's, by which nothing goes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hooks_bus::{PostgresBus, PostgresConfig};
use hooks_core::bus::Expected;
use hooks_core::{Bus, Filter, HookId, HumanDuration, StartAt};
use hooks_test::postgres::{clock_variables, fake_clock};
use hooks_test::{End, events, soon, until};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::storm::{self, Instance, probe};
use super::{Server, bus, config};

const HOOKS: usize = 4;

/// The lease of those who are to keep their hooks, however busy the machine is.
const LONG: Duration = Duration::from_secs(60);

/// What each hook was given, by all instances.
type Delivered = Arc<Mutex<[BTreeSet<usize>; HOOKS]>>;

/// Workers that settle all that they get.
async fn work(bus: &PostgresBus, delivered: &Delivered) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    for hook in 0..HOOKS {
        let mut end = End::new(bus, &format!("hook-{hook}"), Filter::all()).await;
        let delivered = delivered.clone();
        workers.spawn(async move {
            loop {
                let mut read = Vec::new();
                let _ = end.reader.next(9, &mut read).await;
                delivered.lock()[hook].extend(hooks_test::numbers(&read));
                end.settle(&read);
            }
        });
    }
    workers
}

#[tokio::test]
async fn hooks_go_on_when_the_clock_of_the_server_jumps() {
    let Some(server) = Server::with_clock() else { return };
    let delivered = Delivered::default();
    let lease = HumanDuration::new(Duration::from_secs(2));
    let config = PostgresConfig { lease, ..config(&server, "postgres") };
    let connect = || soon("connecting", PostgresBus::connect(config.clone()));
    let (stays, goes) = (connect().await.unwrap(), connect().await.unwrap());
    let (_workers, mut workers) = (work(&stays, &delivered).await, work(&goes, &delivered).await);
    let shares = || [&stays, &goes].map(|bus| bus.owned().len());
    until("two shares", || shares() == [2, 2]).await;
    let arrive = async |numbers: std::ops::Range<usize>| {
        stays.publish(events(numbers.clone())).await.unwrap();
        let all = || delivered.lock().iter().all(|hook| numbers.clone().all(|number| hook.contains(&number)));
        until(&format!("{numbers:?} arrive"), all).await;
    };
    arrive(0..5).await;
    for (step, offset) in (1..).zip(["+1h", "-1h", "+10d", "-10d", "+0"]) {
        server.set_clock(offset);
        arrive(5 * step..5 * step + 5).await;
        until("two shares", || shares() == [2, 2]).await;
    }
    // One that dies at a time that the clock reaches in an hour.
    workers.shutdown().await;
    drop(goes);
    server.set_clock("-1h");
    arrive(30..35).await;
    assert_eq!(stays.owned().len(), HOOKS);
    // By epochs: none has written over what another had.
    until("all is settled", || server.psql("postgres", "SELECT DISTINCT position FROM hooks.cursors") == "35").await;
    assert_eq!(
        server.psql(
            "postgres",
            "SELECT count(*) FROM hooks.log AS a, hooks.log AS b WHERE a.position < b.position AND a.at > b.at"
        ),
        "0"
    );
}

/// A definition's times are one when it is made, and never the wrong way round.
#[tokio::test]
async fn definitions_have_times_in_order_when_the_clock_jumps() {
    let Some(server) = Server::with_clock() else { return };
    let bus = bus(&server).await;
    // Many, since two looks at a clock seldom differ.
    server.psql("postgres", "SELECT hooks.define('hook-' || n, '{}', 0, 0, '') FROM generate_series(1, 2000) AS n");
    let differ = "SELECT count(*) FROM hooks.definitions WHERE created <> changed";
    assert_eq!(server.psql("postgres", differ), "0");
    let hook = HookId::new("hook-1").unwrap();
    let first = bus.hooks().definition(&hook).await.unwrap().unwrap();
    for offset in ["-1h", "+1h"] {
        server.set_clock(offset);
        let said = bus.hooks().define(&hook, "{}", Expected::Any, StartAt::End).await.unwrap();
        assert_eq!(said.created, first.created);
        assert!(said.changed >= first.changed, "{said:?} after {first:?}");
        assert_eq!(bus.hooks().definition(&hook).await.unwrap(), Some(said));
    }
}

/// It keeps its hooks and writes its positions: nothing comes twice.
#[tokio::test]
async fn nothing_changes_when_the_clock_of_an_instance_jumps() {
    let (Some(program), Some(library)) = (storm::program(), fake_clock()) else { return };
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (log, clock) = (folder.path().join("log"), folder.path().join("clock"));
    let set = |offset: &str| {
        std::fs::write(folder.path().join("new"), offset).unwrap();
        std::fs::rename(folder.path().join("new"), &clock).unwrap();
    };
    set("+0");
    let _jumps = Instance::start(&program, server.port, LONG, &log, &clock_variables(&library, &clock));
    let _stays = Instance::start(&program, server.port, LONG, &log, &[]);
    let shares = "SELECT string_agg(n::text, ' ') FROM (SELECT count(*) AS n FROM hooks.cursors WHERE owner IS NOT NULL GROUP BY owner) AS s";
    until("two shares", || server.psql("postgres", shares) == "6 6").await;
    let epochs = || server.psql("postgres", "SELECT hook, epoch FROM hooks.cursors ORDER BY hook");
    let before = epochs();
    for offset in ["+0", "+10d", "-10d", "+1h"] {
        set(offset);
        probe(server.port, offset, &log).await;
    }
    assert_eq!(epochs(), before);
    let delivered = std::fs::read_to_string(&log).unwrap();
    assert_eq!(delivered.lines().count(), 4 * storm::HOOKS, "{delivered}");
}
