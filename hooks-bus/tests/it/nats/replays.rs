//! Dead letters that are replayed while instances share the hooks.

use std::sync::Arc;

use hooks_bus::NatsBus;
use hooks_core::{BatchLimits, Bus, DeadLetter, Dispatcher, Hook, HookId};
use hooks_test::{Receiver, pause, soon, until};

use super::{Server, bus, config, dead_letter, events};

/// The hook is another's between two attempts, and then this instance's again: who had it may have replayed, too.
#[tokio::test]
async fn a_replay_ends_where_another_instance_takes_the_hook() {
    let Some(server) = Server::start().await else { return };
    let (bus, receiver) = (Arc::new(bus(&server).await), Receiver::default());
    let (id, dispatcher) = (HookId::new("hook").unwrap(), Dispatcher::new(bus.clone()));
    let alone = BatchLimits::immediate().max_events(1.try_into().unwrap());
    let retry = hooks_core::RetryPolicy::default().reject_hold("100ms".parse().unwrap());
    dispatcher.add(Hook::new("hook", receiver.clone()).unwrap().batch(alone).retry(retry)).await.unwrap();
    until("an owner", || bus.owned().len() == 1).await;
    receiver.refuses(["0", "1", "2"]);
    bus.publish(events(0..3, "a")).await.unwrap();
    let left = || dispatcher.hook_status(&id).unwrap().dead_letters;
    until("dead letters", || left() == Some(3)).await;
    receiver.refuses_nothing();
    receiver.hang();
    let tried = receiver.attempts().len();
    let replay = dispatcher.replay(&id, |_, _| true);
    let taken = async {
        soon("the first attempt", receiver.was_tried(tried + 1)).await;
        let bucket = server.client().await.get_key_value("hooks-hooks").await.unwrap();
        let entry = async || String::from_utf8(bucket.get("hook.hook").await.unwrap().unwrap().to_vec()).unwrap();
        let mine = entry().await;
        bucket.put("hook.hook", mine.replace(bus.instance(), "thief").into()).await.unwrap();
        // The thief never sent a heartbeat, so the hook is taken back.
        soon("taking it back", async {
            while entry().await.contains("thief") {
                pause().await;
            }
        })
        .await;
        // Live events come again from where the entry says.
        receiver.go_on();
    };
    let (report, ()) = tokio::join!(replay, taken);
    let report = report.unwrap();
    assert_eq!((report.delivered, report.refused, report.untried), (1, 0, 2), "{report:?}");
    assert!(report.error.unwrap().contains("another instance has the hook now"));
    soon("the rest", async {
        while left() != Some(0) {
            dispatcher.replay(&id, |_, _| true).await.unwrap();
            pause().await;
        }
    })
    .await;
}

/// There is no room for one more, and who removed one does not find it again.
#[tokio::test]
async fn a_dead_letter_that_is_replaced_is_not_doubled() {
    let Some(server) = Server::start().await else { return };
    let mut config = config(&[&server]);
    config.max_dead_letters = 2;
    let bus = NatsBus::connect(config).await.unwrap();
    let dead_letters = bus.hooks().dead_letters(&HookId::new("a").unwrap()).unwrap();
    let event = || events(1..2, "a")[0].clone();
    dead_letters.keep(vec![dead_letter(1, event()), dead_letter(2, event())]).await.unwrap();
    let listed = dead_letters.list(None, 9).await.unwrap();
    let again: Vec<_> =
        listed.iter().map(|(id, kept)| (*id, DeadLetter { detail: "again".to_owned(), ..kept.clone() })).collect();
    dead_letters.replace(again[1..].to_vec()).await.unwrap();
    let details: Vec<String> =
        dead_letters.list(None, 9).await.unwrap().into_iter().map(|(_, dead_letter)| dead_letter.detail).collect();
    assert_eq!(details, [listed[0].1.detail.as_str(), "again"]);
    assert_eq!((dead_letters.count(), dead_letters.recount().await.unwrap()), (2, 2));
    assert_eq!(dead_letters.remove(&[listed[0].0]).await.unwrap(), 1);
    dead_letters.replace(again).await.unwrap();
    assert_eq!(dead_letters.recount().await.unwrap(), 1, "what is gone stays gone");
}
