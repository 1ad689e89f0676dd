//! Through the dispatcher: a receiver that is down for a long time costs disk, not memory, and nobody notices.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hooks_bus::DurableBus;
use hooks_core::{Bus, ByteSize, Dispatcher, Filter, Hook, HumanDuration, RetryPolicy};
use hooks_test::{Receiver, id, ids};

use super::{config, slice};

fn hook(id: &str, receiver: &Receiver) -> Hook {
    let retry = RetryPolicy::default()
        .initial(HumanDuration::new(Duration::from_millis(1)))
        .max(HumanDuration::new(Duration::from_millis(5)));
    Hook::new(id, receiver.clone()).unwrap().filter(Filter::all()).retry(retry)
}

fn say(what: &str, events: usize, took: Duration) {
    eprintln!("{events} events {what}: {:.0} a second", events as f64 / took.as_secs_f64());
}

#[tokio::test]
async fn a_receiver_that_is_down_costs_no_memory_and_catches_up_afterwards() {
    let events = std::env::var("HOOKS_BACKLOG_EVENTS").map_or(30_000, |events| events.parse().unwrap());
    const MEMORY: usize = 2 << 20;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.segment_size = ByteSize::new(1 << 20);
    config.max_bytes = ByteSize::new(16 << 30);
    config.max_memory = ByteSize::new(MEMORY as u64);
    let (up, down) = (Receiver::default(), Receiver::default());
    down.is_down(true);
    {
        let bus = DurableBus::open(&config).unwrap();
        let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
        dispatcher.add(hook("up", &up)).await.unwrap();
        dispatcher.add(hook("down", &down).lanes(4.try_into().unwrap())).await.unwrap();
        let begin = Instant::now();
        for first in (0..events).step_by(500) {
            bus.publish(slice(first..first + 500, 200)).await.unwrap();
            assert!(bus.memory_used() <= MEMORY, "{} bytes", bus.memory_used());
        }
        up.has(events).await;
        assert!(up.arrived() == ids(0..events));
        say("published, and delivered by the hook that is up", events, begin.elapsed());
        let lag = bus.monitor().lag(&id("down")).unwrap();
        assert_eq!((lag.events, lag.exact), (events as u64, true));
        assert!(lag.bytes > 300 * events as u64 && lag.oldest.is_some(), "{lag:?}");
        dispatcher.shutdown(Some(Duration::ZERO)).await;
    }
    assert!(down.arrived().is_empty());

    // After a restart, too.
    down.is_down(false);
    let bus = DurableBus::open(&config).unwrap();
    let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
    dispatcher.add(hook("up", &up)).await.unwrap();
    let begin = Instant::now();
    dispatcher.add(hook("down", &down)).await.unwrap();
    bus.all_subscribed();
    down.has(events).await;
    assert!(down.arrived() == ids(0..events));
    say("delivered by the hook that was down", events, begin.elapsed());
    assert!(bus.memory_used() <= MEMORY, "{} bytes", bus.memory_used());
    let report = dispatcher.shutdown(None).await;
    assert!(report.hooks.iter().all(|hook| hook.counts.balances() && hook.counts.in_flight == 0));
    bus.sync_positions().await.unwrap();
    assert_eq!(bus.info().segments.len(), 1, "what everybody has is gone");
    assert_eq!(up.arrived().len(), events, "nothing came twice");
}
