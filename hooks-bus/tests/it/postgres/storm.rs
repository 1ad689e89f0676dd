//! Writers commit, roll back, hang and are killed, while instances and the server are.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hooks_test::{pause, soon};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use super::{Server, bus};

const INSTANCES: usize = 3;
pub(super) const HOOKS: usize = 12;
const WRITERS: usize = 6;

/// Short, so that much is taken over.
const LEASE: Duration = Duration::from_secs(2);

/// What became of the events of transactions, by their ids. Those that no set has may have been committed or not.
#[derive(Default)]
struct Outcomes {
    committed: HashSet<String>,
    rolled_back: HashSet<String>,
}

/// A small generator (SplitMix64), so that a run can be repeated as far as it decides.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % bound
    }
}

async fn connect(port: u16) -> Client {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(port).user("hooks").dbname("postgres");
    loop {
        match config.connect(NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                return client;
            }
            Err(_) => pause().await,
        }
    }
}

/// Publishes `w<writer>-<serial>` and, with the lock of the row, `row-<value>-<writer>-<serial>`.
async fn write(writer: usize, port: u16, outcomes: Arc<Mutex<Outcomes>>, ends: Arc<AtomicBool>, mut random: Random) {
    let (mut client, mut serial) = (connect(port).await, 0_usize);
    while !ends.load(Ordering::Relaxed) {
        serial += 1;
        pause().await;
        let mut ids = Vec::new();
        let done = transaction(&client, writer, serial, &mut random, &mut ids).await;
        let end = random.below(10);
        let ended = match (done, end) {
            (Err(_), _) => Err(()),
            (Ok(()), 0..=5) => client.batch_execute("COMMIT").await.map(|()| true).map_err(drop),
            (Ok(()), 6 | 7) => client.batch_execute("ROLLBACK").await.map(|()| false).map_err(drop),
            (Ok(()), 8) => {
                // It hangs for a while.
                for _ in 0..random.below(20) {
                    pause().await;
                }
                client.batch_execute("COMMIT").await.map(|()| true).map_err(drop)
            }
            // It is killed.
            (Ok(()), _) => {
                client = connect(port).await;
                Ok(false)
            }
        };
        match ended {
            Ok(true) => outcomes.lock().committed.extend(ids),
            Ok(false) => outcomes.lock().rolled_back.extend(ids),
            Err(()) => client = connect(port).await,
        }
    }
}

async fn transaction(
    client: &Client,
    writer: usize,
    serial: usize,
    random: &mut Random,
    ids: &mut Vec<String>,
) -> Result<(), tokio_postgres::Error> {
    client.batch_execute("BEGIN").await?;
    let publish = async |id: &str| {
        client.batch_execute(&format!("SELECT hooks.publish('{{\"type\":\"load\",\"id\":\"{id}\"}}')")).await
    };
    ids.push(format!("w{writer}-{serial}"));
    publish(&ids[0]).await?;
    if random.below(3) == 0 {
        let row = client.query_one("UPDATE account SET value = value + 1 RETURNING value", &[]).await?;
        ids.push(format!("row-{}-{writer}-{serial}", row.get::<_, i32>(0)));
        publish(&ids[1]).await?;
    }
    Ok(())
}

/// The example, or `None`, said aloud.
pub(super) fn program() -> Option<PathBuf> {
    let program = std::env::var_os("HOOKS_POSTGRES_INSTANCE").map(PathBuf::from);
    if program.is_none() {
        eprintln!("skipped: needs the example postgres_instance; `cargo xtask integration postgres` builds it");
    }
    program
}

pub(super) struct Instance(Child);

impl Instance {
    pub(super) fn start(
        program: &Path,
        port: u16,
        lease: Duration,
        log: &Path,
        variables: &[(String, String)],
    ) -> Self {
        let mut command = Command::new(program);
        command
            .arg(format!("127.0.0.1:{port}"))
            .args([HOOKS as u128, lease.as_millis()].map(|n| n.to_string()))
            .arg(log);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Publishes an event and waits until all hooks have delivered it.
pub(super) async fn probe(port: u16, name: &str, log: &Path) {
    let sql = format!("SELECT hooks.publish('{{\"type\":\"load\",\"id\":\"{name}\"}}')");
    soon("publishing", async {
        // An answer that was lost may have been one of success.
        while connect(port).await.batch_execute(&sql).await.is_err() {}
    })
    .await;
    soon("all hooks go on", async {
        let line = format!(" {name}\n");
        let has = |hook: usize, text: &str| text.contains(&format!("h{hook}{line}"));
        while !std::fs::read_to_string(log).is_ok_and(|text| (0..HOOKS).all(|hook| has(hook, &text))) {
            pause().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_writers_instances_and_the_server_are_killed() {
    let Some(program) = program() else { return };
    let Some(server) = Server::start() else { return };
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let rounds = number("HOOKS_POSTGRES_ROUNDS").unwrap_or(50);
    let seed = number("HOOKS_POSTGRES_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("seed {seed}");
    let (mut random, folder) = (Random(seed), tempfile::tempdir().unwrap());
    let log = folder.path().join("log");
    drop(bus(&server).await);
    server.psql("postgres", "CREATE TABLE account (value int); INSERT INTO account VALUES (0)");
    let start = || Instance::start(&program, server.port, LEASE, &log, &[]);
    let mut instances: Vec<Instance> = (0..INSTANCES).map(|_| start()).collect();
    let (outcomes, ends) = (Arc::new(Mutex::new(Outcomes::default())), Arc::new(AtomicBool::new(false)));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let random = Random(seed ^ (writer as u64 + 1) << 32);
        writers.spawn(write(writer, server.port, outcomes.clone(), ends.clone(), random));
    }
    probe(server.port, "begin", &log).await;
    let mut may_move = 0;
    for round in 0..rounds {
        if random.below(3) == 0 {
            may_move += HOOKS;
            server.stop_at_once();
            server.run();
        } else {
            // Also back to the one that comes.
            may_move += 2 * (HOOKS / INSTANCES + 1);
            let at = random.below(INSTANCES as u64) as usize;
            drop(instances.remove(at));
            instances.push(start());
        }
        probe(server.port, &format!("round-{round}"), &log).await;
    }
    ends.store(true, Ordering::Relaxed);
    soon("the writers end", async { while writers.join_next().await.is_some() {} }).await;
    probe(server.port, "end", &log).await;
    drop(instances);
    let outcomes = std::mem::take(&mut *outcomes.lock());
    let (events, [repeats, rewinds]) = check(&server, &outcomes, &std::fs::read_to_string(&log).unwrap());
    assert!(rewinds <= may_move, "hooks went back {rewinds} times, and can have moved {may_move} times");
    let Outcomes { committed, rolled_back } = outcomes;
    let (committed, rolled_back) = (committed.len(), rolled_back.len());
    eprintln!(
        "{rounds} rounds, {events} events, {committed} committed, {rolled_back} rolled back, {repeats} repeats in {rewinds} steps back"
    );
}

/// Returns the number of events in the log, how many deliveries came again, and how often hooks went back.
fn check(server: &Server, outcomes: &Outcomes, delivered: &str) -> (usize, [usize; 2]) {
    let in_log = server.psql("postgres", "SELECT event ->> 'id' FROM hooks.log ORDER BY position");
    let in_log: Vec<&str> = in_log.lines().collect();
    let places: HashMap<&str, usize> = in_log.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    for id in &outcomes.committed {
        assert!(places.contains_key(id.as_str()), "{id} was committed, and has no position");
    }
    for id in &outcomes.rolled_back {
        assert!(!places.contains_key(id.as_str()), "{id} was rolled back, and has a position");
    }
    let (mut row, mut serials) = (0, [0; WRITERS]);
    for id in &in_log {
        let mut parts = id.split('-');
        match parts.next().unwrap() {
            "row" => {
                let value: usize = parts.next().unwrap().parse().unwrap();
                assert_eq!(value, row + 1, "{id} is not the next change of the row");
                row = value;
            }
            writer if writer.starts_with('w') => {
                let (writer, serial): (usize, usize) =
                    (writer[1..].parse().unwrap(), parts.next().unwrap().parse().unwrap());
                assert!(serial > serials[writer], "{id} comes behind {}", serials[writer]);
                serials[writer] = serial;
            }
            _ => {}
        }
    }
    let (mut repeats, mut rewinds) = (0, 0);
    for hook in 0..HOOKS {
        let prefix = format!("h{hook} ");
        let (mut next, mut after) = (0, 0);
        for id in delivered.lines().filter_map(|line| line.strip_prefix(&prefix)) {
            let place = *places.get(id).unwrap_or_else(|| panic!("{id} was delivered, and has no position"));
            // It goes back, or it goes on with the next: nothing is passed over, and nothing comes before its time.
            assert!(place <= next, "h{hook} has {id} before {}", in_log[next]);
            repeats += usize::from(place < next);
            rewinds += usize::from(place < after);
            after = place + 1;
            next = next.max(place + 1);
        }
        assert_eq!(next, in_log.len(), "h{hook} has not got all");
    }
    (in_log.len(), [repeats, rewinds])
}
