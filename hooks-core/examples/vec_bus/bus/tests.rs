//! The bus keeps the contract of all buses, and its own limit.

use std::sync::Arc;

use hooks_core::conformance::bus::{self, Store};
use hooks_core::{BoxError, DropReason, Filter, Ledger, Outcome, SliceBuilder, serde_json};

use super::*;

/// A bus with room for so many events.
struct Room(usize);

#[async_trait]
impl Store for Room {
    fn traits(&self) -> BusTraits {
        VecConfig::TRAITS
    }

    async fn open(&self) -> Result<Arc<dyn Bus>, BoxError> {
        let factory = BusPlugin::find("vec").unwrap().parse(serde_json::json!({ "max_events": self.0 })).unwrap();
        Ok(factory.open(Purpose::Deliver).await?.bus)
    }
}

#[tokio::test]
async fn conforms() {
    // Room for a whole window of events.
    let report = bus::check(async || Room(100_000)).await;
    report.assert_passed();
    let of_hooks =
        ["seeking", "overrides", "dead_letters", "dead_letter_limit", "definitions", "defining", "undefining"];
    let of_lasting = ["restart", "crash", "kept_definitions", "one_at_a_time"];
    let of_shared = ["takeover", "takeover_after_crash", "sharing", "shared_overrides", "shared_definitions"];
    assert_eq!(report.skipped(), [&of_hooks[..], &of_lasting, &of_shared].concat());
}

/// Events of this type.
fn events(event_type: &str, count: usize) -> Slice {
    let mut slice = SliceBuilder::new("/tests");
    for _ in 0..count {
        slice.push_json(format!(r#"{{"type":"{event_type}"}}"#).as_bytes()).unwrap();
    }
    slice.finish()
}

/// A hook that receives events of type `a`.
async fn subscribe(bus: &dyn Bus, hook: &str) -> (Box<dyn Reader>, Settler, Arc<Ledger>) {
    let ledger = Arc::new(Ledger::default());
    let (hook, filter) = (HookId::new(hook).unwrap(), Arc::new(Filter::types(["a"])));
    let subscription = Subscription::new(hook, filter, ledger.clone());
    let (reader, settler) = bus.subscribe(subscription).await.unwrap();
    (reader, settler, ledger)
}

async fn read(reader: &mut dyn Reader, max: usize) -> Vec<Position> {
    let mut read = Vec::new();
    assert_eq!(reader.next(max, &mut read).await.unwrap(), Read::Events(max));
    read.iter().map(|delivery| delivery.position).collect()
}

#[tokio::test]
async fn a_full_log_accepts_more_when_the_slowest_hook_has_settled_some() {
    let bus = Room(3).open().await.unwrap();
    let (mut quick, settler_of_quick, _) = subscribe(&*bus, "quick").await;
    let (mut slow, settler, _) = subscribe(&*bus, "slow").await;
    bus.publish(events("a", 3)).await.unwrap();
    settler_of_quick.settle(&read(&mut *quick, 3).await, Outcome::Delivered);
    let all = read(&mut *slow, 3).await;

    let full = bus.publish(events("a", 1)).await.unwrap_err();
    assert!(matches!(&full, BusError::Full(text) if text.contains("hook `slow`")), "{full}");
    assert_eq!(bus.monitor().stats().accepted, 3);
    // The hook delivers what it has instead of waiting for more.
    let mut nothing = Vec::new();
    let said = tokio::select! {
        biased;
        said = slow.next(1, &mut nothing) => Some(said.unwrap()),
        () = std::future::ready(()) => None,
    };
    assert_eq!(said, Some(Read::Flush));
    // The oldest event holds the log, not the number of unsettled ones.
    settler.settle(&all[1..], Outcome::Delivered);
    assert!(matches!(bus.publish(events("a", 1)).await, Err(BusError::Full(_))));
    settler.settle(&all[..1], Outcome::Delivered);
    bus.publish(events("a", 3)).await.unwrap();
    assert!(matches!(bus.publish(events("a", 4)).await, Err(BusError::TooLarge(_))));
}

#[tokio::test]
async fn a_hook_holds_only_events_that_it_wants() {
    let bus = Room(3).open().await.unwrap();
    let (mut hook, ..) = subscribe(&*bus, "a").await;
    for _ in 0..9 {
        bus.publish(events("b", 1)).await.unwrap();
    }
    bus.publish(events("a", 1)).await.unwrap();
    assert_eq!(read(&mut *hook, 1).await, [Position::new(9)]);
}

#[tokio::test]
async fn a_disabled_hook_keeps_as_many_events_as_there_is_room_for() {
    let bus = Room(3).open().await.unwrap();
    let (mut hook, _settler, ledger) = subscribe(&*bus, "a").await;
    hook.set_enabled(false);
    for event_type in ["a", "b", "a", "a", "a"] {
        bus.publish(events(event_type, 1)).await.unwrap();
    }
    assert_eq!(ledger.counts().dropped_for(DropReason::Overflow), 1);
    hook.set_enabled(true);
    assert_eq!(read(&mut *hook, 3).await, [Position::new(2), Position::new(3), Position::new(4)]);
    assert!(ledger.counts().balances());
}

#[tokio::test]
async fn events_of_a_removed_hook_count_as_dropped() {
    let bus = Room(9).open().await.unwrap();
    let (mut hook, settler, ledger) = subscribe(&*bus, "a").await;
    bus.publish(events("a", 3)).await.unwrap();
    settler.settle(&read(&mut *hook, 2).await[..1], Outcome::Delivered);
    bus.unsubscribe(&HookId::new("a").unwrap()).await.unwrap();
    let counts = ledger.counts();
    assert_eq!((counts.taken, counts.dropped_for(DropReason::Removed), counts.in_flight), (3, 2, 0));
}

#[test]
fn settings_are_checked() {
    let plugin = BusPlugin::find("vec").unwrap();
    let problem = |settings| plugin.parse(settings).unwrap_err()[0].to_string();
    assert!(problem(serde_json::json!({ "max_event": 1 })).contains("unknown field `max_event`"));
    assert!(problem(serde_json::json!({ "max_events": 0 })).starts_with("max_events: "));
}
