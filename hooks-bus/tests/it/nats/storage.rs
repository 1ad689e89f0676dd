//! Streams and bucket on the server get other settings, are purged or deleted.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use futures_util::TryStreamExt as _;
use hooks_bus::NatsBus;
use hooks_core::{Bus, DropReason, Filter, HookId, bus::Instances as _};
use hooks_test::{End, pause, soon, until};

use super::{Server, bus, config, disabled, each_once, events};

const EVENTS: &str = "hooks";
const DEAD_LETTERS: &str = "hooks-dead";
const BUCKET: &str = "KV_hooks-hooks";

fn trouble(bus: &NatsBus) -> String {
    bus.monitor().health().trouble().unwrap_or_default().to_owned()
}

/// A setting, and what is said of it.
type Fault = (fn(&mut Config), &'static str);

const EVENT_FAULTS: &[Fault] = &[
    (|config| config.subjects = vec!["other.>".into()], "its subjects are"),
    (|config| config.retention = RetentionPolicy::Interest, "it must be Limits"),
    (|config| config.max_messages_per_subject = 5, "max_msgs_per_subject"),
    (|config| config.discard = DiscardPolicy::Old, "discard is old"),
    (|config| config.no_ack = true, "no_ack"),
    (|config| config.storage = StorageType::Memory, "storage"),
];

/// Faults of dead letters and bucket.
const LASTING_FAULTS: &[Fault] = &[
    (|config| config.max_age = Duration::from_secs(3600), "max_age"),
    (|config| config.max_message_size = 1000, "max_msg_size"),
    (|config| (config.max_bytes, config.discard) = (1000, DiscardPolicy::Old), "discard is old"),
    (|config| (config.max_messages, config.discard) = (3, DiscardPolicy::Old), "discard is old"),
];

const DEAD_LETTER_FAULTS: &[Fault] = &[
    (|config| config.max_messages_per_subject = -1, "max_msgs_per_subject"),
    (|config| config.deny_delete = true, "deny_delete"),
    (|config| config.deny_purge = true, "deny_purge"),
    (|config| config.retention = RetentionPolicy::WorkQueue, "it must be Limits"),
    (|config| config.storage = StorageType::Memory, "storage"),
];

const BUCKET_FAULTS: &[Fault] = &[
    (|config| config.max_messages_per_subject = -1, "history"),
    (|config| config.subjects = vec!["$KV.other.>".into()], "its subjects are"),
];

/// A setting that older servers don't know is no fault there: they keep nothing of it.
fn is_new(server: &Server, config: &Config) -> bool {
    config.subject_transform.is_some() && server.said().contains("Version:  2.9")
}

#[tokio::test]
async fn every_setting_that_a_promise_needs_is_checked() {
    let Some(server) = Server::start().await else { return };
    drop(bus(&server).await);
    let client = server.client().await;
    let transformed: Fault = (
        |config| {
            config.subject_transform = Some(async_nats::jetstream::stream::SubjectTransform {
                source: config.subjects[0].clone(),
                destination: "elsewhere.>".into(),
            });
        },
        "subject_transform",
    );
    let of_each = [
        (EVENTS, [EVENT_FAULTS, &[]]),
        (DEAD_LETTERS, [DEAD_LETTER_FAULTS, LASTING_FAULTS]),
        (BUCKET, [BUCKET_FAULTS, LASTING_FAULTS]),
    ];
    for (name, faults) in of_each {
        let good = client.get_stream(name).await.unwrap().cached_info().config.clone();
        for (change, said) in faults.concat().iter().chain([&transformed]) {
            let mut bad = good.clone();
            change(&mut bad);
            if is_new(&server, &bad) {
                continue;
            }
            client.delete_stream(name).await.unwrap();
            client.create_stream(bad).await.unwrap_or_else(|error| panic!("{name}, {said}: {error}"));
            let error = NatsBus::connect(config(&[&server])).await.map(drop).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("not as it should be"), "{name}, {said}: {error}");
        }
        client.delete_stream(name).await.unwrap();
        client.create_stream(good).await.unwrap();
    }
    drop(bus(&server).await);
}

#[tokio::test]
async fn a_setting_that_is_changed_later_shows() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let client = server.client().await;
    for name in [DEAD_LETTERS, BUCKET] {
        let good = client.get_stream(name).await.unwrap().cached_info().config.clone();
        let bad = Config { max_age: Duration::from_secs(3600), ..good.clone() };
        client.update_stream(&bad).await.unwrap();
        until("the fault", || trouble(&bus).contains("max_age")).await;
        client.update_stream(&good).await.unwrap();
        until("its end", || trouble(&bus).is_empty()).await;
    }
}

/// The numbers up to the last, each once.
async fn read_to(hook: &mut End, last: usize) -> Vec<usize> {
    each_once(hook.read_to(last, 100).await)
}

#[tokio::test]
async fn a_purged_bucket_skips_nothing() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let idle = HookId::new("idle").unwrap();
    let mut hooks = [End::new(&bus, "idle", Filter::all()).await, End::new(&bus, "busy", Filter::types(["a"])).await];
    // Of a hook that no instance has any more.
    drop(End::new(&bus, "gone", Filter::all()).await);
    bus.hooks().set_override(&idle, Some(disabled("410"))).await.unwrap();
    until("owners", || bus.owned().len() == 3).await;
    bus.unsubscribe(&HookId::new("gone").unwrap()).await.unwrap();
    let stream = server.client().await.get_stream(BUCKET).await.unwrap();
    stream.purge().await.unwrap();
    until("trouble", || trouble(&bus).contains("vanished")).await;
    bus.publish(events(0..20, "a")).await.unwrap();
    for hook in &mut hooks {
        assert_eq!(read_to(hook, 19).await, (0..20).collect::<Vec<_>>());
        assert_eq!(hook.ledger.counts().dropped_for(DropReason::Gone), 0);
    }
    until("the end of it", || trouble(&bus).is_empty()).await;
    let keys = async || {
        let listed = stream.info_with_subjects("$KV.hooks-hooks.>").await.unwrap();
        let keys: Vec<(String, usize)> = listed.try_collect().await.unwrap();
        keys.into_iter().map(|(key, _)| key.replace("$KV.hooks-hooks.", "")).collect::<Vec<_>>()
    };
    for key in ["hook.idle", "hook.busy", "hook.gone", "note.idle"] {
        assert!(keys().await.contains(&key.to_owned()), "{key}");
    }
    // A later instance finds everything.
    drop((hooks, bus));
    let later = super::bus(&server).await;
    assert_eq!(later.hooks().overrides(&idle), Some(disabled("410")));
    later.publish(events(20..30, "a")).await.unwrap();
    let mut hook = End::new(&later, "busy", Filter::types(["a"])).await;
    let read = read_to(&mut hook, 29).await;
    assert!(read.ends_with(&(20..30).collect::<Vec<_>>()), "{read:?}");
}

#[tokio::test]
async fn one_entry_that_vanishes_is_made_again() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "hook", Filter::all()).await;
    let stream = server.client().await.get_stream(BUCKET).await.unwrap();
    for round in 0..3 {
        until("an owner", || bus.owned().len() == 1).await;
        stream.purge().filter("$KV.hooks-hooks.hook.hook").await.unwrap();
        let range = round * 20..round * 20 + 20;
        bus.publish(events(range.clone(), "a")).await.unwrap();
        assert_eq!(read_to(&mut hook, range.end - 1).await, range.collect::<Vec<_>>());
    }
    let there = async {
        while stream.get_last_raw_message_by_subject("$KV.hooks-hooks.hook.hook").await.is_err() {
            pause().await;
        }
    };
    soon("the entry", there).await;
    assert_eq!(hook.ledger.counts().dropped_for(DropReason::Gone), 0);
}

/// An instance that starts before another has recreated an entry does not take the hook for a new one.
#[tokio::test]
async fn a_new_instance_skips_nothing_of_what_vanished() {
    let Some(server) = Server::start().await else { return };
    let client = server.client().await;
    for (round, delete) in [false, true].into_iter().enumerate() {
        let name = format!("hook-{round}");
        let first = bus(&server).await;
        let before = End::new(&first, &name, Filter::all()).await;
        until("an owner", || first.owned().len() == 1).await;
        let numbers = round * 20..round * 20 + 20;
        first.publish(events(numbers.clone(), &name)).await.unwrap();
        if delete {
            client.delete_stream(BUCKET).await.unwrap();
        } else {
            client
                .get_stream(BUCKET)
                .await
                .unwrap()
                .purge()
                .filter(format!("$KV.hooks-hooks.hook.{name}"))
                .await
                .unwrap();
        }
        let second = bus(&server).await;
        let mut hook = End::new(&second, &name, Filter::types([name.as_str()])).await;
        until("the entry", || second.place(&HookId::new(name.as_str()).unwrap()).is_some()).await;
        first.finish().await;
        drop((before, first));
        assert_eq!(read_to(&mut hook, numbers.end - 1).await, numbers.collect::<Vec<_>>());
        second.finish().await;
    }
}

#[tokio::test]
async fn a_deleted_bucket_is_made_again_and_each_hook_has_one_owner() {
    let Some(server) = Server::start().await else { return };
    let [one, other] = [bus(&server).await, bus(&server).await];
    let id = HookId::new("a").unwrap();
    let mut ends = Vec::new();
    for bus in [&one, &other] {
        for hook in ["a", "b"] {
            ends.push(End::earliest(bus, hook).await);
        }
    }
    one.hooks().set_override(&id, Some(disabled("410"))).await.unwrap();
    until("owners", || one.owned().len() == 1 && other.owned().len() == 1).await;
    server.client().await.delete_stream(BUCKET).await.unwrap();
    until("trouble", || !trouble(&one).is_empty() || !trouble(&other).is_empty()).await;
    one.publish(events(0..30, "a")).await.unwrap();
    let mut read: Vec<Vec<usize>> = Vec::new();
    let [a1, b1, a2, b2] = &mut ends[..] else { panic!() };
    for (first, second) in [(a1, a2), (b1, b2)] {
        // The owner delivers.
        tokio::select! {
            all = read_to(first, 29) => read.push(all),
            all = read_to(second, 29) => read.push(all),
        }
    }
    assert!(read.iter().all(|read| *read == (0..30).collect::<Vec<_>>()), "{read:?}");
    until("the end of it", || trouble(&one).is_empty() && trouble(&other).is_empty()).await;
    until("owners", || one.owned().len() + other.owned().len() == 2).await;
    assert_eq!(
        [one.hooks().overrides(&id), other.hooks().overrides(&id)],
        [Some(disabled("410")), Some(disabled("410"))]
    );
}

#[tokio::test]
async fn deleted_streams_show() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let client = server.client().await;
    client.delete_stream(DEAD_LETTERS).await.unwrap();
    let made = async {
        while client.get_stream(DEAD_LETTERS).await.is_err() {
            pause().await;
        }
    };
    soon("the letters' stream", made).await;
    until("the end of it", || trouble(&bus).is_empty()).await;
    client.delete_stream(EVENTS).await.unwrap();
    until("the stream is missed", || trouble(&bus).contains("stream not found")).await;
}
