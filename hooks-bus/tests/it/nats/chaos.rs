//! Instances and servers are killed and stopped at random, one at a time, while events flow.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, consumer::pull};
use futures_util::StreamExt as _;
use hooks_bus::{NatsBus, NatsConfig};
use hooks_test::{pause, soon};

use super::config;
use super::load::{Publisher, SLICE, Seen, TYPES};
use super::server::Server;

const INSTANCES: usize = 3;
const LEASE: Duration = Duration::from_secs(2);

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().map_or(default, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_instances_and_servers_are_killed() {
    let Some(program) = std::env::var_os("HOOKS_NATS_INSTANCE").map(PathBuf::from) else {
        eprintln!(
            "skipped: needs the example nats_instance; `cargo xtask integration nats` builds it, or set HOOKS_NATS_INSTANCE"
        );
        return;
    };
    let Some(servers) = Server::cluster().await else { return };
    let (rounds, hooks) = (number("HOOKS_NATS_ROUNDS", 6), number("HOOKS_NATS_HOOKS", 100));
    let mut scene = Scene::new(program, servers, hooks).await;
    scene.start().await;
    let publisher = Publisher::start(scene.settings()).await;
    let mut seen = Seen::new(&scene.log);
    let mut random = Random(number("HOOKS_NATS_SEED", std::process::id() as usize) as u64);
    eprintln!("seed {}", random.0);
    publisher.probe(&mut seen, hooks).await;
    let mut times: HashMap<&str, Vec<Duration>> = HashMap::new();
    for round in 0..rounds {
        let (what, took) = scene.disturb(&mut random, &publisher, &mut seen).await;
        eprintln!("round {round}: {what}: all hooks go on after {:.1} s", took.as_secs_f64());
        times.entry(what).or_default().push(took);
    }
    publisher.probe(&mut seen, hooks).await;
    let acknowledged = publisher.stop().await;
    scene.end().await;
    seen.look();
    let Repeats { rewinds, events: repeats, longest } = scene.check(&seen, acknowledged).await;
    let happened = |what: &str| times.get(what).map_or(0, Vec::len);
    let may_move = (happened(KILLED) + happened(STOPPED)) * (hooks / INSTANCES + 1) + happened(SERVER) * hooks;
    for (what, mut took) in times {
        took.sort();
        let (half, worst) = (took[took.len() / 2], took[took.len() - 1]);
        eprintln!(
            "{what}: {} times, all hooks go on after {:.1} s (median), {:.1} s (most)",
            took.len(),
            half.as_secs_f64(),
            worst.as_secs_f64()
        );
    }
    eprintln!("{acknowledged} events acknowledged, {} deliveries, {rounds} rounds", seen.count);
    eprintln!("{repeats} repeats in {rewinds} steps back of {may_move} that may be; the longest: {longest}");
    assert!(rewinds <= may_move, "hooks went back more often than they can have moved");
    assert!(repeats <= rewinds * PER_REWIND, "hooks went back further than to what was written last");
}

const KILLED: &str = "instance killed";
const STOPPED: &str = "instance stopped and continued";
const SERVER: &str = "server killed";

/// What comes again when a hook moves, at this rate and on average: what was delivered since its position was
/// written last, which is a second, and where nothing can be written the lease; the probe; and what was on
/// its way.
const PER_REWIND: usize = SLICE * 40 / TYPES * (LEASE.as_secs() as usize + 1) + 2;

/// Repeated deliveries.
struct Repeats {
    /// The number of times that a hook went back.
    rewinds: usize,
    events: usize,
    /// Most events that a hook went back over.
    longest: usize,
}

impl Repeats {
    /// The places in the stream of what came, in the order in which it came.
    fn count(&mut self, came: &[usize]) {
        for pair in came.windows(2).filter(|pair| pair[1] <= pair[0]) {
            self.rewinds += 1;
            self.longest = self.longest.max(pair[0] - pair[1] + 1);
        }
    }
}

/// A small generator (SplitMix64), so that a run can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % bound as u64) as usize
    }
}

struct Instance {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(servers: &[Server]) -> NatsConfig {
    NatsConfig { replicas: Some(3), ..config(&servers.iter().collect::<Vec<_>>()) }
}

struct Scene {
    program: PathBuf,
    servers: Vec<Server>,
    instances: Vec<Instance>,
    hooks: usize,
    _folder: tempfile::TempDir,
    log: PathBuf,
}

impl Scene {
    async fn new(program: PathBuf, servers: Vec<Server>, hooks: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("delivered");
        std::fs::write(&log, "").unwrap();
        let settings = settings(&servers);
        // A new cluster takes a moment until it has a leader.
        let created = async {
            while let Err(error) = NatsBus::connect(settings.clone()).await {
                eprintln!("{error}");
                pause().await;
            }
        };
        soon("the cluster", created).await;
        Self { program, servers, instances: Vec::new(), hooks, _folder: folder, log }
    }

    fn settings(&self) -> NatsConfig {
        settings(&self.servers)
    }

    async fn start(&mut self) {
        for _ in 0..INSTANCES {
            let instance = self.instance().await;
            self.instances.push(instance);
        }
        self.balanced().await;
    }

    async fn instance(&self) -> Instance {
        let urls = self.servers.iter().map(Server::url).collect::<Vec<_>>().join(",");
        let (program, log, hooks) = (self.program.clone(), self.log.clone(), self.hooks);
        let mut command = Command::new(program);
        command.arg(urls).arg(hooks.to_string()).arg(TYPES.to_string()).arg(LEASE.as_millis().to_string()).arg(log);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let started = tokio::task::spawn_blocking(move || {
            loop {
                let mut child = command.spawn().unwrap();
                let mut line = String::new();
                BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
                if line == "ready\n" {
                    return Instance { stdin: child.stdin.take(), child };
                }
                // The servers may be electing who leads yet, and then it says so.
                assert_eq!(child.wait().unwrap().code(), Some(1), "{line}");
            }
        });
        soon("an instance", started).await.unwrap()
    }

    /// Does something bad, and waits until all hooks deliver again.
    async fn disturb(
        &mut self,
        random: &mut Random,
        publisher: &Publisher,
        seen: &mut Seen,
    ) -> (&'static str, Duration) {
        let victim = random.below(INSTANCES);
        match random.below(10) {
            0..5 => {
                let begin = Instant::now();
                self.instances[victim].child.kill().unwrap();
                publisher.probe(seen, self.hooks).await;
                let took = begin.elapsed();
                self.instances[victim] = self.instance().await;
                self.balanced().await;
                (KILLED, took)
            }
            5..8 => {
                let begin = Instant::now();
                self.servers[victim].kill();
                publisher.probe(seen, self.hooks).await;
                let took = begin.elapsed();
                self.servers[victim].run();
                self.servers[victim].ready().await;
                self.whole().await;
                self.balanced().await;
                (SERVER, took)
            }
            _ => {
                let begin = Instant::now();
                self.signal(victim, "STOP");
                publisher.probe(seen, self.hooks).await;
                let took = begin.elapsed();
                self.signal(victim, "CONT");
                publisher.probe(seen, self.hooks).await;
                self.balanced().await;
                (STOPPED, took)
            }
        }
    }

    fn signal(&self, victim: usize, signal: &str) {
        let pid = self.instances[victim].child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
    }

    async fn client(&self) -> jetstream::Context {
        let urls: Vec<_> = self.servers.iter().map(Server::url).collect();
        jetstream::new(async_nats::connect(urls).await.unwrap())
    }

    /// Waits until every server has everything.
    async fn whole(&self) {
        let client = self.client().await;
        let whole = async {
            for name in ["hooks", "KV_hooks-hooks"] {
                loop {
                    let cluster =
                        client.get_stream(name).await.ok().and_then(|stream| stream.cached_info().cluster.clone());
                    if cluster.is_some_and(|cluster| {
                        cluster.leader.is_some() && cluster.replicas.iter().all(|replica| replica.current)
                    }) {
                        break;
                    }
                    pause().await;
                }
            }
        };
        soon("all servers", whole).await;
    }

    /// Waits until each instance owns its share.
    async fn balanced(&self) {
        let bucket = self.client().await.get_key_value("hooks-hooks").await.unwrap();
        let balanced = async {
            loop {
                // A server that has only just come back does not answer.
                let owners = tokio::time::timeout(LEASE, self.owners(&bucket)).await.ok().flatten().unwrap_or_default();
                if owners.len() == INSTANCES && owners.values().all(|hooks| hooks.abs_diff(self.hooks / INSTANCES) <= 1)
                {
                    break;
                }
                pause().await;
            }
        };
        soon("equal shares", balanced).await;
    }

    /// Each instance's number of owned hooks.
    async fn owners(&self, bucket: &jetstream::kv::Store) -> Option<HashMap<String, usize>> {
        let mut owners = HashMap::new();
        let mut entries = bucket.watch_with_history("hook.*").await.ok()?;
        for _ in 0..self.hooks {
            let entry = entries.next().await?.ok()?;
            let record: serde_json::Value = serde_json::from_slice(&entry.value).unwrap();
            *owners.entry(record["owner"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        Some(owners)
    }

    /// Ends the instances cleanly.
    async fn end(&mut self) {
        for mut instance in std::mem::take(&mut self.instances) {
            drop(instance.stdin.take());
            let ended = tokio::task::spawn_blocking(move || instance.child.wait().unwrap());
            assert!(soon("an instance's end", ended).await.unwrap().success());
        }
    }

    /// What is in the stream came to every hook that it concerns, in this order, and everything that was
    /// acknowledged is in the stream. What came again came in this order, too.
    async fn check(&self, seen: &Seen, acknowledged: usize) -> Repeats {
        let stream = self.stream().await;
        let in_stream: HashSet<usize> = stream.iter().map(|(id, _)| *id).collect();
        let missing = (0..acknowledged).filter(|id| !in_stream.contains(id)).count();
        assert_eq!(missing, 0, "acknowledged and not in the stream");
        let mut repeats = Repeats { rewinds: 0, events: 0, longest: 0 };
        for hook in 0..self.hooks {
            let own = format!("load.{}", hook % TYPES);
            let expected: Vec<usize> = stream
                .iter()
                .filter(|(_, subject)| *subject == "probe" || *subject == own)
                .map(|(id, _)| *id)
                .collect();
            let came = seen.of(hook);
            let mut known = HashSet::new();
            let first: Vec<usize> = came.iter().copied().filter(|id| known.insert(*id)).collect();
            if first != expected {
                let at = first.iter().zip(&expected).take_while(|(a, b)| a == b).count();
                let near =
                    |list: &[usize]| list.iter().skip(at.saturating_sub(3)).take(10).copied().collect::<Vec<_>>();
                panic!(
                    "hook {hook} at {at} of {}: came {:?}, expected {:?}",
                    expected.len(),
                    near(&first),
                    near(&expected)
                );
            }
            repeats.events += came.len() - first.len();
            let places: HashMap<usize, usize> = expected.iter().enumerate().map(|(at, id)| (*id, at)).collect();
            repeats.count(&came.iter().map(|id| places[id]).collect::<Vec<_>>());
        }
        repeats
    }

    /// Numbers and types of the events in the stream.
    async fn stream(&self) -> Vec<(usize, String)> {
        let stream = self.client().await.get_stream("hooks").await.unwrap();
        let count = stream.cached_info().state.messages as usize;
        let config = pull::OrderedConfig::default();
        let mut messages = loop {
            // A server that has only just come back does not answer.
            match stream.create_consumer(config.clone()).await {
                Ok(consumer) => break consumer.messages().await.unwrap(),
                Err(error) => eprintln!("{error}"),
            }
        };
        let mut found = Vec::new();
        while found.len() < count {
            let message = soon("the stream", messages.next()).await.unwrap().unwrap();
            let event = hooks_core::Envelope::from_json(&message.payload).unwrap();
            found.push((event.id().parse().unwrap(), event.event_type().to_owned()));
        }
        found
    }
}
