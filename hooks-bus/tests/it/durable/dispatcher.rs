//! The bus with a dispatcher: the ledger of events that are read and stay in the log.

use std::sync::Arc;

use hooks_core::{Bus, Dispatcher, Hook, sink::FailureClass};
use hooks_test::{Receiver, disabled, id};

use super::{config, open, publish};

fn hook(receiver: &Receiver) -> Hook {
    Hook::new("a", receiver.clone()).unwrap()
}

/// A hook with three events that its receiver did not want, which disabled it.
async fn with_three_left(bus: &hooks_bus::DurableBus) -> (Dispatcher, Receiver) {
    let (dispatcher, receiver) = (Dispatcher::new(Arc::new(bus.clone())), Receiver::default());
    receiver.fails(FailureClass::Gone, 1);
    dispatcher.add(hook(&receiver)).await.unwrap();
    publish(bus, 0..3).await;
    disabled(&dispatcher).await;
    (dispatcher, receiver)
}

#[tokio::test]
async fn what_a_disabled_hook_left_is_left_behind_and_no_counter_goes_down() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&config(folder.path()));
    let (dispatcher, _) = with_three_left(&bus).await;
    let status = dispatcher.status().remove(0);
    let counts = status.counts;
    assert!(counts.balances() && counts.in_flight == 0, "{counts}");
    assert!(counts.taken > 0 && counts.handed_over == counts.taken, "{counts}");
    assert_eq!((status.left_behind().events, status.came()), (3, 3));
    assert!(!status.is_complete() && !status.is_drained(), "it was said to be complete");
    dispatcher.enable(&id("a")).await.unwrap();
    let report = dispatcher.shutdown(None).await;
    let after = &report.hooks[0];
    assert!(report.is_complete() && after.counts.taken > counts.taken && after.counts.balances(), "{}", after.counts);
    assert_eq!((after.counts.delivered, after.came()), (3, 3));
}

#[tokio::test]
async fn a_shutdown_with_a_disabled_hook_is_not_complete() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&config(folder.path()));
    let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
    dispatcher.add(hook(&Receiver::default()).enabled(false)).await.unwrap();
    publish(&bus, 0..2).await;
    let report = dispatcher.shutdown(None).await;
    assert_eq!((report.hooks[0].counts.taken, report.hooks[0].left_behind().events), (0, 2));
    assert!(!report.is_complete() && !report.is_drained());
}

#[tokio::test]
async fn a_removed_hook_says_what_is_kept_of_it_and_goes_on_there() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&config(folder.path()));
    let (dispatcher, receiver) = with_three_left(&bus).await;
    let status = dispatcher.remove(&id("a")).await.unwrap();
    assert!(status.counts.balances(), "{}", status.counts);
    assert_eq!((status.left_behind().events, status.counts.in_flight), (3, 0));
    publish(&bus, 3..5).await;
    dispatcher.add(hook(&receiver)).await.unwrap();
    dispatcher.enable(&id("a")).await.unwrap();
    let report = dispatcher.shutdown(None).await;
    assert_eq!(report.hooks[0].counts.delivered, 5, "with everything since");
}

#[tokio::test]
async fn a_forgotten_hook_is_new_when_it_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&config(folder.path()));
    let (dispatcher, receiver) = with_three_left(&bus).await;
    assert!(dispatcher.forget(&id("a")).await.unwrap());
    assert!(!dispatcher.forget(&id("a")).await.unwrap(), "there is nothing left");
    assert_eq!((dispatcher.status().len(), bus.hooks().known_hooks()), (0, vec![]));
    publish(&bus, 3..5).await;
    let tried = receiver.attempts().len();
    dispatcher.add(hook(&receiver)).await.unwrap();
    publish(&bus, 5..6).await;
    let report = dispatcher.shutdown(None).await;
    assert!(report.is_complete() && receiver.attempts().len() == tried + 1, "{report:?}");
    assert_eq!(report.hooks[0].came(), 1);
}
