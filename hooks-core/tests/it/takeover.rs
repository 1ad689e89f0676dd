//! A hook on one bus that another dispatcher takes over.

use std::sync::Arc;
use std::time::Duration;

use hooks_core::{Bus, Dispatcher, Hook};
use hooks_test::model::ModelBus;
use hooks_test::{Receiver, batch, events, ids, within_a_minute};

#[test]
fn two_dispatchers_with_one_hook_keep_each_other_spinning() {
    within_a_minute(async {
        let (bus, one, two) = (Arc::new(ModelBus::alone()), Receiver::default(), Receiver::default());
        let hook = |receiver: &Receiver| Hook::new("a", receiver.clone()).unwrap().batch(batch(5, "0s"));
        let first = Dispatcher::new(bus.clone());
        first.add(hook(&one)).await.unwrap();
        bus.publish(events(0..5)).await.unwrap();
        one.has(5).await;
        let second = Dispatcher::new(bus.clone());
        second.add(hook(&two)).await.unwrap();
        bus.publish(events(5..10)).await.unwrap();
        two.has(5).await;
        // tidy-allow(test-sleep): the time is paused; a hook that spins never lets it pass
        tokio::time::sleep(Duration::from_secs(120)).await;
        let report = second.shutdown(None).await;
        assert!(report.is_complete() && report.hooks[0].counts.delivered == 5, "{report:?}");
        first.shutdown(None).await;
        assert_eq!(two.arrived(), ids(5..10));
    });
}

#[test]
fn a_hook_taken_over_from_a_dropped_dispatcher_counts_what_it_never_took() {
    within_a_minute(async {
        let (bus, one, two) = (Arc::new(ModelBus::alone()), Receiver::default(), Receiver::default());
        let hook = |receiver: &Receiver| Hook::new("a", receiver.clone()).unwrap().batch(batch(5, "0s"));
        one.hang();
        let first = Dispatcher::new(bus.clone());
        first.add(hook(&one)).await.unwrap();
        bus.publish(events(0..8)).await.unwrap();
        one.was_tried(1).await;
        drop(first);
        let second = Dispatcher::new(bus.clone());
        second.add(hook(&two)).await.unwrap();
        bus.publish(events(8..10)).await.unwrap();
        let report = second.shutdown(None).await;
        assert_eq!(two.arrived(), ids(0..10));
        assert!(report.hooks[0].counts.balances() && report.hooks[0].counts.delivered == 10, "{report:?}");
    });
}
