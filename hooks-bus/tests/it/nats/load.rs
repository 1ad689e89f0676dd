//! A load of numbered events, and what comes of it.

use std::collections::{HashMap, HashSet};
use std::io::{BufReader, Read as _, Seek as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hooks_bus::{NatsBus, NatsConfig};
use hooks_core::Bus;
use hooks_test::pause;

use super::events;

/// Types of the load: `load.0` and so on.
pub(super) const TYPES: usize = 100;

/// Events between two pauses of the publisher, which are 25 ms.
pub(super) const SLICE: usize = 5;

/// Publishes all the time; what fails is published again until it does not.
pub(super) struct Publisher {
    bus: Arc<NatsBus>,
    next: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    running: tokio::task::JoinHandle<()>,
}

impl Publisher {
    pub(super) async fn start(settings: NatsConfig) -> Self {
        let bus = Arc::new(NatsBus::connect(settings).await.unwrap());
        let (next, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let running = {
            let (bus, next, stop) = (bus.clone(), next.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Acquire) {
                    let first = next.fetch_add(SLICE, Ordering::AcqRel);
                    for number in first..first + SLICE {
                        publish(&bus, number, &format!("load.{}", number % TYPES)).await;
                    }
                    // tidy-allow(test-sleep): the rate of events, not a wait for something
                    tokio::time::sleep(Duration::from_millis(25)).await;
                }
            })
        };
        Self { bus, next, stop, running }
    }

    /// Publishes an event for all hooks and waits until all have it.
    pub(super) async fn probe(&self, seen: &mut Seen, hooks: usize) {
        let number = self.next.fetch_add(1, Ordering::AcqRel);
        publish(&self.bus, number, "probe").await;
        let arrived = async {
            while seen.have(number) < hooks {
                pause().await;
                seen.look();
            }
        };
        if tokio::time::timeout(hooks_test::LATE * 2, arrived).await.is_err() {
            let missing: Vec<_> = (0..hooks).filter(|hook| !seen.of(*hook).contains(&number)).take(20).collect();
            panic!("{} of {hooks} hooks have the probe; not {missing:?}", seen.have(number));
        }
    }

    pub(super) async fn stop(self) -> usize {
        self.stop.store(true, Ordering::Release);
        self.running.await.unwrap();
        self.next.load(Ordering::Acquire)
    }
}

async fn publish(bus: &NatsBus, number: usize, event_type: &str) {
    let event = events(number..number + 1, event_type);
    while bus.publish(event.clone()).await.is_err() {
        pause().await;
    }
}

/// The deliveries of all instances.
pub(super) struct Seen {
    file: BufReader<std::fs::File>,
    by_hook: HashMap<usize, Vec<usize>>,
    /// Each event's number of hooks that have it.
    having: HashMap<usize, HashSet<usize>>,
    pub(super) count: usize,
    rest: String,
}

impl Seen {
    pub(super) fn new(log: &Path) -> Self {
        let mut file = std::fs::File::open(log).unwrap();
        file.rewind().unwrap();
        Self {
            file: BufReader::new(file),
            by_hook: HashMap::new(),
            having: HashMap::new(),
            count: 0,
            rest: String::new(),
        }
    }

    pub(super) fn look(&mut self) {
        let mut text = std::mem::take(&mut self.rest);
        self.file.read_to_string(&mut text).unwrap();
        let end = text.rfind('\n').map_or(0, |at| at + 1);
        self.rest = text[end..].to_owned();
        for line in text[..end].lines() {
            let (hook, id) = line.split_once(' ').unwrap();
            let (hook, id): (usize, usize) = (hook[1..].parse().unwrap(), id.parse().unwrap());
            self.by_hook.entry(hook).or_default().push(id);
            self.having.entry(id).or_default().insert(hook);
            self.count += 1;
        }
    }

    fn have(&self, id: usize) -> usize {
        self.having.get(&id).map_or(0, HashSet::len)
    }

    pub(super) fn of(&self, hook: usize) -> &[usize] {
        self.by_hook.get(&hook).map_or(&[], Vec::as_slice)
    }
}
