//! A change of a hook is whole, whatever becomes of the call, and waits for no other hook. So is the end.

use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use hooks_core::{
    BoxError, Bus, DisabledBy, Dispatcher, EndpointState, Envelope, Filter, Hook, Sink, TenantId, async_trait,
    sink::{Batch, Delivered, DeliveryError, SinkContext, SinkFactory},
};
use hooks_test::{Receiver, World, batch, event, events, id, ids};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::keeping::Keeping;

fn hook(name: &str, receiver: &Receiver) -> Hook {
    Hook::new(name, receiver.clone()).unwrap().batch(batch(4, "0s"))
}

/// A hook `a` that has delivered one event.
async fn running() -> (Keeping, Dispatcher, Receiver) {
    let (bus, receiver) = (Keeping::new(9), Receiver::default());
    let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
    dispatcher.add(hook("a", &receiver)).await.unwrap();
    bus.publish(event("first").into()).await.unwrap();
    receiver.has(1).await;
    (bus, dispatcher, receiver)
}

/// Polls a call once and drops it, as a web framework does with the handler of somebody who left. Then time passes.
async fn dropped<T>(call: impl Future<Output = T>) {
    tokio::select! {
        biased;
        _ = call => panic!("it waits for nothing"),
        () = std::future::ready(()) => {}
    }
    // tidy-allow(test-sleep): the time is paused; all that can go on without the call has its end then
    tokio::time::sleep(Duration::from_secs(600)).await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_that_disables_a_hook_disables_it() {
    let (bus, dispatcher, receiver) = running().await;
    dropped(dispatcher.disable(&id("a"))).await;
    let status = dispatcher.hook_status(&id("a")).unwrap();
    assert_eq!(status.state, EndpointState::Disabled);
    assert_eq!(status.disabled.unwrap().by, DisabledBy::Operator);
    bus.publish(events(0..2)).await.unwrap();
    dropped(dispatcher.enable(&id("a"))).await;
    assert_eq!(receiver.arrived().len(), 3);
    assert_eq!(bus.hooks().overrides(&id("a")), None);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_that_adds_replaces_or_removes_a_hook_does_so() {
    let (bus, dispatcher, _) = running().await;
    let (next, other) = (Receiver::default(), Receiver::default());
    dropped(dispatcher.replace(hook("a", &next))).await;
    dropped(dispatcher.add(hook("b", &other))).await;
    bus.publish(events(0..2)).await.unwrap();
    next.has(2).await;
    other.has(2).await;
    dropped(dispatcher.remove(&id("a"))).await;
    dropped(dispatcher.forget(&id("b"))).await;
    assert_eq!(dispatcher.status().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_shutdown_ends_after_its_grace() {
    let (bus, dispatcher, receiver) = running().await;
    receiver.hang();
    bus.publish(events(0..2)).await.unwrap();
    receiver.was_tried(2).await;
    dropped(dispatcher.shutdown(Some(Duration::from_secs(5)))).await;
    receiver.go_on();
    let report = dispatcher.shutdown(None).await;
    assert_eq!((receiver.arrived().len(), report.hooks[0].counts.in_flight), (1, 2));
    assert!(!report.is_complete() && !report.is_drained());
}

#[tokio::test(start_paused = true)]
async fn whoever_left_the_line_has_changed_nothing() {
    let (_, dispatcher, receiver) = running().await;
    receiver.hangs_at_close();
    let name = id("a");
    let first = dispatcher.disable(&name);
    let second = async { dropped(dispatcher.remove(&name)).await };
    let (first, ()) = tokio::join!(first, second);
    first.unwrap();
    assert_eq!(dispatcher.status()[0].state, EndpointState::Disabled);
}

#[tokio::test(start_paused = true)]
async fn changes_of_one_hook_do_not_wait_for_another() {
    let (_, dispatcher, receiver) = running().await;
    receiver.hangs_at_close();
    let began = Instant::now();
    let others = async {
        for change in 0..3 {
            dispatcher.add(hook(&format!("b{change}"), &receiver)).await.unwrap();
            dispatcher.remove(&id(&format!("b{change}"))).await.unwrap();
        }
        began.elapsed()
    };
    let (replaced, others) = tokio::join!(dispatcher.replace(hook("a", &receiver)), others);
    replaced.unwrap();
    assert_eq!((others, began.elapsed()), (Duration::ZERO, Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn the_grace_is_the_whole() {
    for (grace, hangs) in [(1, true), (1, false), (30, true)] {
        let (bus, dispatcher, receiver) = running().await;
        receiver.hangs_at_close();
        bus.hangs_at_the_end.store(true, Ordering::Relaxed);
        if hangs {
            receiver.hang();
            bus.publish(events(0..2)).await.unwrap();
            receiver.was_tried(2).await;
        }
        let (began, grace) = (Instant::now(), Duration::from_secs(grace));
        let report = dispatcher.shutdown(Some(grace)).await;
        assert!(began.elapsed() <= grace, "{:?} of {grace:?}", began.elapsed());
        assert_eq!(report.is_drained(), !hangs, "{report:?}");
    }
    let (bus, dispatcher, receiver) = running().await;
    receiver.hangs_at_close();
    bus.hangs_at_the_end.store(true, Ordering::Relaxed);
    let began = Instant::now();
    dispatcher.shutdown(Some(Duration::ZERO)).await;
    assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_shorter_grace_ends_a_shutdown_that_has_begun() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.hang();
    world.add(hook("a", &receiver)).await;
    world.publish(&events(0..2)).await;
    receiver.was_tried(1).await;
    let began = Instant::now();
    let both = async {
        tokio::join!(
            world.dispatcher.shutdown(None),
            world.dispatcher.shutdown(Some(Duration::from_secs(2))),
            world.dispatcher.add(hook("b", &receiver)),
        )
    };
    let (one, two, add) = both.await;
    assert!(began.elapsed() <= Duration::from_secs(2) && add.is_err());
    assert!(!one.is_drained() && !two.is_drained());
}

/// Holds up the thread that it delivers on until it is told to go on.
#[derive(Debug, Clone)]
struct Blocking(Arc<(Notify, Mutex<mpsc::Receiver<()>>)>);

impl SinkFactory for Blocking {
    fn kind(&self) -> &str {
        "blocking"
    }

    fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Sink for Blocking {
    async fn deliver(&mut self, _: &Batch) -> Result<Delivered, DeliveryError> {
        self.0.0.notify_one();
        let _ = self.0.1.lock().recv();
        Ok(Delivered::all())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_delivery_that_blocks_its_thread_delays_nobody_else() {
    let (go_on, wait) = mpsc::sync_channel(1);
    let blocking = Blocking(Arc::new((Notify::new(), Mutex::new(wait))));
    let world = Arc::new(World::new());
    world.add(Hook::new("a", blocking.clone()).unwrap().batch(batch(1, "0s"))).await;
    world.publish(&events(0..1)).await;
    blocking.0.0.notified().await;
    let disabling = {
        let world = world.clone();
        tokio::spawn(async move { world.dispatcher.disable(&id("a")).await })
    };
    // So that it is about to wait for the worker.
    while world.dispatcher.status()[0].disabled.is_none() {
        tokio::task::yield_now().await;
    }
    let receiver = Receiver::default();
    let late = Duration::from_secs(60);
    timeout(late, world.add(hook("b", &receiver))).await.unwrap();
    world.publish(&events(1..2)).await;
    timeout(late, receiver.has(1)).await.unwrap();
    let report = timeout(late, world.dispatcher.shutdown(Some(Duration::from_millis(100)))).await.unwrap();
    assert_eq!((receiver.arrived(), report.is_drained()), (ids(1..2), false));
    drop(go_on);
    disabling.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_lags_of_a_tenant_are_those_of_its_hooks() {
    let (world, receiver) = (World::new(), Receiver::default());
    let tenant = |name: &str| TenantId::new(name).unwrap();
    let hook = |id: &str, name: &str| {
        let filter = Filter::all().tenant(tenant(name));
        Hook::new(id, receiver.clone()).unwrap().filter(filter).enabled(false)
    };
    let lags = |name: &str| world.dispatcher.lags_of(&tenant(name)).iter().map(|lag| lag.events).collect::<Vec<_>>();
    world.add(hook("a", "acme")).await;
    world.add(hook("b", "acme")).await;
    world.add(Hook::new("c", receiver.clone()).unwrap().enabled(false)).await;
    let event = |json: &str| Envelope::from_json(json.as_bytes()).unwrap();
    world.publish(&[event(r#"{"type":"a","tenant":"acme"}"#), event(r#"{"type":"a"}"#)]).await;
    assert_eq!((lags("acme"), lags("other")), (vec![1, 1], vec![]));
    world.dispatcher.replace(hook("a", "other")).await.unwrap();
    assert_eq!((lags("acme"), lags("other").len()), (vec![1], 1));
    world.dispatcher.remove(&id("b")).await.unwrap();
    assert_eq!((lags("acme").len(), lags("other").len()), (0, 1));
}
