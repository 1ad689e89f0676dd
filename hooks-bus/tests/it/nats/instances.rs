//! Several instances share hooks, come and go.

use hooks_bus::NatsBus;
use hooks_core::{Bus, DisabledBy, Filter, HookId, bus::Instances as _};
use hooks_test::{End, numbers, pause, soon, until};

use super::{Server, bus, disabled, events};

async fn ends(bus: &NatsBus, count: usize) -> Vec<End> {
    let mut ends = Vec::new();
    for number in 0..count {
        ends.push(End::new(bus, &format!("hook-{number}"), Filter::all()).await);
    }
    ends
}

#[tokio::test]
async fn hooks_are_shared_evenly() {
    let Some(server) = Server::start().await else { return };
    let buses = [bus(&server).await, bus(&server).await, bus(&server).await];
    let mut all = Vec::new();
    for bus in &buses[..2] {
        all.push(ends(bus, 30).await);
    }
    let owned = || buses.each_ref().map(|bus| bus.owned().len());
    until("two shares", || owned() == [15, 15, 0]).await;
    let third = ends(&buses[2], 30).await;
    let _workers = work(all.into_iter().flatten().chain(third).collect());
    until("three shares", || owned() == [10, 10, 10]).await;
    buses[1].finish().await;
    until("two shares again", || owned() == [15, 0, 15]).await;
}

/// Workers that wait for events, and let go of what they are asked to.
fn work(ends: Vec<End>) -> tokio::task::JoinSet<()> {
    let mut workers = tokio::task::JoinSet::new();
    for mut end in ends {
        workers.spawn(async move {
            loop {
                let _ = end.reader.next(1, &mut Vec::new()).await;
            }
        });
    }
    workers
}

/// The answer to a takeover was lost: the entry names one who does not know of it, and should not have the hook.
#[tokio::test]
async fn an_owner_that_does_not_know_that_it_is_one_gives_the_hook_on() {
    let Some(server) = Server::start().await else { return };
    let buses = [bus(&server).await, bus(&server).await];
    let mut workers = Vec::new();
    for bus in &buses {
        workers.push(work(ends(bus, 8).await));
    }
    let owned = || buses.each_ref().map(|bus| bus.owned().len());
    until("two shares", || owned() == [4, 4]).await;
    let bucket = server.client().await.get_key_value("hooks-hooks").await.unwrap();
    for hook in buses[1].owned() {
        let key = format!("hook.{hook}");
        let entry = bucket.get(&key).await.unwrap().unwrap();
        let taken = String::from_utf8(entry.to_vec()).unwrap().replace(buses[1].instance(), buses[0].instance());
        bucket.put(&key, taken.into()).await.unwrap();
    }
    until("the loss", || owned()[1] < 4).await;
    until("two shares again", || owned() == [4, 4]).await;
}

/// It could not write that it let go of the hook.
#[tokio::test]
async fn an_owner_that_no_longer_has_the_hook_blocks_no_other() {
    let Some(server) = Server::start().await else { return };
    let (first, second) = (bus(&server).await, bus(&server).await);
    let _others = (End::new(&first, "other", Filter::all()).await, End::new(&second, "other", Filter::all()).await);
    let _here = End::new(&second, "hook", Filter::all()).await;
    let id = HookId::new("hook").unwrap();
    until("an owner", || second.owned().contains(&id)).await;
    let bucket = server.client().await.get_key_value("hooks-hooks").await.unwrap();
    let entry = bucket.get("hook.hook").await.unwrap().unwrap();
    let kept = String::from_utf8(entry.to_vec()).unwrap().replace(second.instance(), first.instance());
    let put = bucket.put("hook.hook", kept.into()).await.unwrap();
    soon("what it writes as the owner again", async {
        loop {
            let entry = bucket.entry("hook.hook").await.unwrap().unwrap();
            if entry.revision > put && String::from_utf8_lossy(&entry.value).contains(second.instance()) {
                break;
            }
            pause().await;
        }
    })
    .await;
    until("the owner again", || second.owned().contains(&id)).await;
}

/// As an embedder does: forgetting right after removing.
#[tokio::test]
async fn a_hook_can_be_forgotten_as_soon_as_it_is_removed() {
    let Some(server) = Server::start().await else { return };
    let (first, second) = (bus(&server).await, bus(&server).await);
    let id = HookId::new("hook").unwrap();
    let _here = End::new(&first, "hook", Filter::all()).await;
    until("an owner", || first.owned().len() == 1).await;
    first.unsubscribe(&id).await.unwrap();
    assert!(first.hooks().forget(&id).await.unwrap());
    let _there = End::new(&second, "hook", Filter::all()).await;
    until("another owner", || second.owned().len() == 1).await;
    until("its owner is known", || first.place(&id).is_some_and(|place| place.owner.is_some())).await;
    assert!(first.hooks().forget(&id).await.is_err(), "another instance has it");
}

#[tokio::test]
async fn a_write_by_another_takes_the_hook_away() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "hook", Filter::all()).await;
    bus.publish(events(0..20, "a")).await.unwrap();
    let read = hook.take(10).await;
    let bucket = server.client().await.get_key_value("hooks-hooks").await.unwrap();
    let entry = bucket.get("hook.hook").await.unwrap().unwrap();
    let stolen = String::from_utf8(entry.to_vec()).unwrap().replace(bus.instance(), "thief");
    bucket.put("hook.hook", stolen.into()).await.unwrap();
    // This instance must not write what it settles from now on.
    hook.lost(10).await;
    hook.settle(&[]);
    drop(read);
    // The thief never sent a heartbeat, so the hook is taken back, where it was.
    assert_eq!(numbers(&hook.take(20).await), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn hooks_in_use_are_not_forgotten() {
    let Some(server) = Server::start().await else { return };
    let (first, second) = (bus(&server).await, bus(&server).await);
    let id = HookId::new("hook").unwrap();
    let _end = End::new(&first, "hook", Filter::all()).await;
    until("an owner", || first.owned().len() == 1).await;
    until("word of its owner", || second.place(&id).is_some_and(|place| place.owner.is_some())).await;
    assert!(second.hooks().forget(&id).await.is_err());
    assert!(first.hooks().forget(&id).await.is_err());
    first.unsubscribe(&id).await.unwrap();
    let forgotten = async {
        while second.hooks().forget(&id).await.is_err() {
            pause().await;
        }
    };
    soon("forgetting", forgotten).await;
    until("nothing known", || first.hooks().known_hooks().is_empty() && second.hooks().known_hooks().is_empty()).await;
}

#[tokio::test]
async fn what_another_overrides_holds_the_hook_until_it_is_followed() {
    let Some(server) = Server::start().await else { return };
    let (owner, other) = (bus(&server).await, bus(&server).await);
    let mut hook = End::new(&owner, "hook", Filter::all()).await;
    let id = HookId::new("hook").unwrap();
    other.hooks().set_override(&id, Some(disabled("x"))).await.unwrap();
    assert_eq!(soon("word of an override", owner.hooks().follow_overrides()).await, id);
    assert_eq!(owner.hooks().overrides(&id), Some(disabled("x")));
    other.publish(events(0..1, "a")).await.unwrap();
    let follower = owner.clone();
    owner.hooks().override_followed(&id);
    let next = tokio::spawn(async move { follower.hooks().follow_overrides().await });
    assert_eq!(numbers(&hook.take(1).await), [0]);
    other.hooks().set_override(&id, None).await.unwrap();
    assert_eq!(soon("word of the removal", next).await.unwrap(), id);
    assert_eq!(owner.hooks().overrides(&id), None);
    // Nothing is delivered until the override is followed.
    hook.lost(1).await;
    owner.hooks().override_followed(&id);
    assert_eq!(numbers(&hook.take(1).await), [0]);
}

/// A newer version's override is logged and left alone.
#[tokio::test]
async fn what_an_earlier_version_kept_in_the_bucket_is_read() {
    let Some(server) = Server::start().await else { return };
    drop(bus(&server).await);
    let bucket = server.client().await.get_key_value("hooks-hooks").await.unwrap();
    let kept = r#"{"by":"operator","reason":null,"since":1795861110,"sink":18276142967184165830,"secrets":"4efd2873-9eae-5d8e-986f-de947624bc18"}"#;
    bucket.put("note.old", kept.into()).await.unwrap();
    bucket.put("note.new", r#"{"by":"the_weather"}"#.into()).await.unwrap();
    let bus = bus(&server).await;
    let id = HookId::new("old").unwrap();
    until("the override", || bus.hooks().overrides(&id).is_some()).await;
    let read = bus.hooks().overrides(&id).unwrap();
    assert_eq!((read.by, read.reason.as_deref(), read.since), (DisabledBy::Operator, None, 1_795_861_110));
    assert_eq!(bus.hooks().overrides(&HookId::new("new").unwrap()), None);
    bus.hooks().set_override(&id, Some(read)).await.unwrap();
    assert_eq!(bucket.get("note.old").await.unwrap().unwrap(), kept);
}
