//! Everything at once, on several threads and real time: many publishers, hooks that come, change and
//! go, receivers that fail at random, little memory. The ledgers balance and nothing hangs.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hooks_bus::{MemoryBus, MemoryConfig};
use hooks_core::{
    BatchLimits, BoxError, Bus, ByteSize, Dispatcher, Filter, Hook, Overflow, QueueLimits, RetryPolicy, Sink, Slice,
    SliceBuilder, async_trait,
    sink::{Batch, Delivered, DeliveryError, FailureClass, SinkContext, SinkFactory},
};
use hooks_test::{id, queue};
use parking_lot::Mutex;

const PUBLISHERS: usize = 6;
const KEYS: usize = 5;

/// Pseudo-random numbers that several threads draw from.
#[derive(Debug)]
struct Dice(AtomicU64);

impl Dice {
    fn roll(&self, sides: u64) -> u64 {
        let mut x = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % sides
    }
}

/// A receiver that fails at random and refuses some events always.
#[derive(Debug, Clone)]
struct Moody {
    dice: Arc<Dice>,
    arrived: Arc<Mutex<Vec<String>>>,
    calm: Arc<AtomicBool>,
}

impl Moody {
    fn new(seed: u64) -> Self {
        Self { dice: Arc::new(Dice(seed.into())), arrived: Arc::default(), calm: Arc::default() }
    }

    fn arrived(&self) -> Vec<String> {
        self.arrived.lock().clone()
    }
}

impl SinkFactory for Moody {
    fn kind(&self) -> &str {
        "moody"
    }

    fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        if !self.calm.load(Ordering::Relaxed) && self.dice.roll(20) == 0 {
            return Err("not now".into());
        }
        Ok(Box::new(self.clone()))
    }
}

/// Events that every receiver refuses.
fn is_poisoned(id: &str) -> bool {
    id.ends_with("77")
}

#[async_trait]
impl Sink for Moody {
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        match self.dice.roll(8) {
            // tidy-allow(test-sleep): a slow receiver
            0 => tokio::time::sleep(Duration::from_millis(self.dice.roll(4))).await,
            1 => tokio::task::yield_now().await,
            _ => {}
        }
        if !self.calm.load(Ordering::Relaxed) {
            match self.dice.roll(60) {
                0 => panic!("scripted"),
                1..4 => return Err(DeliveryError::retry("scripted")),
                4 => return Err(DeliveryError::endpoint("scripted")),
                5 => return Err(DeliveryError::new(FailureClass::Throttle, "scripted")),
                6 if batch.len() > 1 => return Err(DeliveryError::new(FailureClass::TooLarge, "scripted")),
                // tidy-allow(test-sleep): a receiver that hangs beyond the attempt timeout
                7 => tokio::time::sleep(Duration::from_secs(60)).await,
                _ => {}
            }
        }
        if batch.events().any(|event| is_poisoned(event.id())) {
            return Err(DeliveryError::rejected("poisoned"));
        }
        self.arrived.lock().extend(batch.events().map(|event| event.id().to_owned()));
        Ok(Delivered::all())
    }
}

fn hook(name: &str, sink: &Moody, lanes: usize, queue: QueueLimits) -> Hook {
    let age = ["0s", "1ms", "1h"][sink.dice.roll(3) as usize];
    let limits = BatchLimits::default()
        .max_events((1 + sink.dice.roll(9) as usize).try_into().unwrap())
        .max_age(age.parse().unwrap());
    let retry = RetryPolicy::default()
        .initial("1ms".parse().unwrap())
        .max("5ms".parse().unwrap())
        .reject_hold("200ms".parse().unwrap())
        .attempt_timeout("20ms".parse().unwrap());
    Hook::new(name, sink.clone())
        .unwrap()
        .batch(limits)
        .retry(retry)
        .queue(queue)
        .lanes(NonZeroUsize::new(lanes).unwrap())
}

/// Events of a publisher, alone in their block or not; every key belongs to one publisher.
fn slice(publisher: usize, from: usize, count: usize, alone: bool) -> Slice {
    let json = |number: usize| {
        format!(
            r#"{{"specversion":"1.0","id":"{publisher}-{number}","source":"/test","type":"t.{}","subject":"{publisher}/{}","time":"2026-11-23T10:00:00Z","data":"{}"}}"#,
            number % 2,
            number % KEYS,
            "x".repeat(number % 300),
        )
    };
    let mut slice = SliceBuilder::new("/test");
    let others = if alone { 0 } else { 3 };
    (from..from + count + others).for_each(|number| slice.push_json(json(number).as_bytes()).unwrap());
    slice.finish().part(0..count)
}

/// Publishes for so many rounds or until the bus closes; says how many events were accepted.
async fn publisher(bus: MemoryBus, number: usize, rounds: usize) -> usize {
    let dice = Dice((number as u64 * 7_919 + 3).into());
    let mut published = 0;
    for _ in 0..rounds {
        let count = if dice.roll(40) == 0 { 40 } else { dice.roll(12) as usize };
        let events = slice(number, published, count, dice.roll(2) == 0);
        if dice.roll(10) == 0 {
            // Cancelled at once or soon; published as a whole, or not at all: its own events, not checked.
            let other = slice(number + 100, published, 3, true);
            let _ = tokio::time::timeout(Duration::from_micros(dice.roll(500)), bus.publish(other)).await;
        }
        if bus.publish(events).await.is_err() {
            break;
        }
        published += count;
        if dice.roll(50) == 0 {
            // tidy-allow(test-sleep): a publisher that pauses; nothing depends on how long
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    published
}

/// Adds, changes, disables and removes hooks. Comes to an end: as long as a hook is changed every few
/// milliseconds, an event that it suspects is tried afresh and keeps its room.
async fn meddle(dispatcher: Arc<Dispatcher>, moody: Vec<Moody>, rounds: usize) {
    let dice = Dice(99.into());
    for _ in 0..rounds {
        let _ = match dice.roll(7) {
            0 => dispatcher.replace(hook("steady", &moody[0], 1, queue(40, Overflow::Block))).await,
            1 => {
                let lanes = 1 + dice.roll(4) as usize;
                dispatcher.replace(hook("lanes", &moody[1], lanes, queue(60, Overflow::Block))).await
            }
            2 => {
                dispatcher
                    .replace(hook(
                        "drops",
                        &moody[2],
                        1 + dice.roll(2) as usize,
                        queue(20 + dice.roll(30) as usize, Overflow::DropOldest),
                    ))
                    .await
            }
            3 if dice.roll(2) == 0 => dispatcher.enable(&id("flaps")).await,
            3 => dispatcher.disable(&id("flaps")).await,
            4 => {
                let name = dice.roll(6);
                let filter = Filter::types(["t.*"]).subjects(["1/*", "2/0"]);
                dispatcher
                    .add(hook(&format!("guest-{name}"), &moody[4], 1, queue(30, Overflow::Block)).filter(filter))
                    .await
            }
            5 => dispatcher.remove(&id(&format!("guest-{}", dice.roll(6)))).await.map(|status| {
                assert!(status.counts.balances() && status.is_drained(), "{}", status.counts);
            }),
            _ => {
                dispatcher.status().iter().for_each(|hook| assert!(hook.counts.balances(), "{}", hook.counts));
                Ok(())
            }
        };
        // tidy-allow(test-sleep): changes come at odd moments; nothing depends on which
        tokio::time::sleep(Duration::from_millis(dice.roll(4))).await;
    }
}

/// Of one publisher's events (or one key's), in order and none twice.
fn check_order(arrived: &[String], keyed: bool) {
    let mut last = std::collections::HashMap::new();
    for event in arrived {
        let (publisher, number) = event.split_once('-').unwrap();
        if publisher.len() > 1 {
            // Of a call that was dropped; its numbers come again.
            continue;
        }
        let number: usize = number.parse().unwrap();
        let key = (publisher.to_owned(), if keyed { number % KEYS } else { 0 });
        let before = last.insert(key, number);
        assert!(before < Some(number), "{event} after {before:?}");
    }
}

fn check_complete(arrived: &[String], published: &[usize]) {
    for (publisher, published) in published.iter().enumerate() {
        let prefix = format!("{publisher}-");
        let mut got: Vec<usize> = arrived
            .iter()
            .filter_map(|event| event.strip_prefix(&prefix))
            .map(|number| number.parse().unwrap())
            .collect();
        got.sort_unstable();
        let expected: Vec<usize> = (0..*published).filter(|number| !is_poisoned(&number.to_string())).collect();
        assert_eq!(got.len(), expected.len(), "publisher {publisher}");
        assert_eq!(got, expected);
    }
}

async fn storm(rounds: usize, seed: u64) {
    let bus = MemoryBus::new(&MemoryConfig { max_memory: ByteSize::new(60_000), ..MemoryConfig::default() });
    let dispatcher = Arc::new(Dispatcher::new(Arc::new(bus.clone())));
    let moody: Vec<Moody> = (0..5).map(|number| Moody::new(seed * 100 + number)).collect();
    dispatcher.add(hook("steady", &moody[0], 1, queue(40, Overflow::Block))).await.unwrap();
    dispatcher.add(hook("lanes", &moody[1], 3, queue(60, Overflow::Block))).await.unwrap();
    dispatcher.add(hook("drops", &moody[2], 1, queue(20, Overflow::DropOldest))).await.unwrap();
    dispatcher.add(hook("flaps", &moody[3], 1, queue(20, Overflow::Block))).await.unwrap();
    let publishers: Vec<_> =
        (0..PUBLISHERS).map(|number| tokio::spawn(publisher(bus.clone(), number, rounds))).collect();
    let meddler = tokio::spawn(meddle(dispatcher.clone(), moody.clone(), rounds));
    let mut published = Vec::new();
    for publisher in publishers {
        published.push(publisher.await.unwrap());
    }
    meddler.await.unwrap();
    moody.iter().for_each(|moody| moody.calm.store(true, Ordering::Relaxed));
    let report = dispatcher.shutdown(None).await;
    for hook in &report.hooks {
        assert!(hook.counts.balances(), "{}: {}", hook.id, hook.counts);
        assert!(hook.counts.in_flight == 0 || hook.id.as_str() == "flaps", "{}: {}", hook.id, hook.counts);
    }
    assert!(bus.memory_used() <= 60_000 + 45_000, "{}", bus.memory_used());
    for (number, keyed) in [(0, false), (1, true), (2, true), (3, false)] {
        check_order(&moody[number].arrived(), keyed);
    }
    check_complete(&moody[0].arrived(), &published);
    check_complete(&moody[1].arrived(), &published);
}

#[test]
fn a_storm_loses_and_reorders_nothing() {
    let (done, ended) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
        runtime.block_on(storm(300, 1));
        let _ = done.send(());
    });
    assert!(ended.recv_timeout(Duration::from_secs(90)).is_ok(), "it panicked or never came to an end");
}
