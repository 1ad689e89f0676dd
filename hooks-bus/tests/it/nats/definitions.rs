//! Hooks that are defined through one instance and delivered by another.

use hooks_bus::NatsBus;
use hooks_core::bus::{DefineError, Expected, HookStore as _, Instances as _, Seek, SeekTo};
use hooks_core::{Bus, BusError, Filter, Position, StartAt};
use hooks_test::{End, id, soon, until};

use super::{Server, bus, dead_letter, disabled, events, publish};

async fn define(bus: &NatsBus, hook: &str) {
    bus.define(&id(hook), "{}", Expected::Absent, StartAt::End).await.unwrap();
}

/// Waits for word of a hook, in whatever order it comes.
async fn hears(bus: &NatsBus, hook: &str) {
    let hook = id(hook);
    soon("word of the hook", async { while bus.follow_definitions().await != hook {} }).await;
}

#[tokio::test]
async fn events_accepted_anywhere_right_after_a_definition_reach_the_hook_though_its_instance_dies() {
    let Some(server) = Server::start().await else { return };
    let (accepts, delivers) = (bus(&server).await, bus(&server).await);
    for round in 0..20 {
        let hook = format!("hook.{round}");
        let defines = bus(&server).await;
        let first = round * 10;
        publish(&accepts, events(first..first + 2, "before")).await;
        define(&defines, &hook).await;
        accepts.publish(events(first + 2..first + 5, "after")).await.unwrap();
        // It says no good-bye.
        drop(defines);
        hears(&delivers, &hook).await;
        let mut end = End::new(&delivers, &hook, Filter::all()).await;
        let read = soon("the events", end.take(3)).await;
        assert!(read.iter().all(|delivery| delivery.envelope().event_type() == "after"), "round {round}");
        end.settle(&read);
    }
}

#[tokio::test]
async fn of_two_instances_that_define_a_hook_at_once_one_does() {
    let Some(server) = Server::start().await else { return };
    let (one, two) = (bus(&server).await, bus(&server).await);
    for round in 0..10 {
        let hook = id(&format!("hook-{round}"));
        let define = |bus: &NatsBus, text: &'static str| {
            let (bus, hook) = (bus.clone(), hook.clone());
            async move { bus.define(&hook, text, Expected::Absent, StartAt::End).await }
        };
        let both = tokio::join!(define(&one, "{\"by\":1}"), define(&two, "{\"by\":2}"));
        let (kept, refused) = match both {
            (Ok(kept), Err(refused)) | (Err(refused), Ok(kept)) => (kept, refused),
            both => panic!("{both:?}"),
        };
        assert!(matches!(refused, DefineError::Conflict { current } if current == Some(kept.revision)), "{refused}");
        // The watch of neither need have brought it for the next change to be right.
        for bus in [&one, &two] {
            let changed = bus.define(&hook, "{\"changed\":1}", Expected::Any, StartAt::End).await.unwrap();
            assert!(changed.revision > kept.revision && changed.created == kept.created, "{changed:?}");
        }
    }
}

#[tokio::test]
async fn a_hook_that_is_undefined_while_another_instance_delivers_leaves_nothing_to_its_successor() {
    let Some(server) = Server::start().await else { return };
    let (manages, owns) = (bus(&server).await, bus(&server).await);
    let hook = id("a");
    define(&manages, "a").await;
    hears(&owns, "a").await;
    for round in 0..3 {
        let mut end = End::new(&owns, "a", Filter::all()).await;
        publish(&manages, events(round * 10..round * 10 + 2, "old")).await;
        let read = soon("events", end.take(2)).await;
        end.settle(&read);
        manages.set_override(&hook, Some(disabled("gone"))).await.unwrap();
        let letters = owns.dead_letters(&hook).unwrap();
        letters.keep(vec![dead_letter(read[0].position.get(), read[0].envelope().clone())]).await.unwrap();
        assert!(manages.undefine(&hook, Expected::Any).await.unwrap());
        // The owner goes on until it hears of it, and writes positions meanwhile.
        publish(&manages, events(round * 10 + 2..round * 10 + 4, "old")).await;
        hears(&owns, "a").await;
        letters.keep(vec![dead_letter(read[1].position.get(), read[1].envelope().clone())]).await.unwrap();
        assert_eq!((owns.definition(&hook).await.unwrap(), owns.known_hooks()), (None, Vec::new()));
        until("the loss", || !owns.owned().contains(&hook)).await;
        owns.unsubscribe(&hook).await.unwrap();
        drop(end);
        define(&owns, "a").await;
        hears(&manages, "a").await;
        assert_eq!((owns.overrides(&hook), owns.dead_letters(&hook).unwrap().count()), (None, 0));
        publish(&manages, events(round * 10 + 4..round * 10 + 5, "new")).await;
        let mut end = End::new(&owns, "a", Filter::all()).await;
        let read = soon("an event", end.take(1)).await;
        assert_eq!(read[0].envelope().event_type(), "new");
        end.settle(&read);
    }
}

#[tokio::test]
async fn an_instance_hears_of_what_changed_while_it_was_cut_off() {
    let Some(mut server) = Server::start().await else { return };
    let (one, two) = (bus(&server).await, bus(&server).await);
    define(&one, "before").await;
    hears(&two, "before").await;
    server.kill();
    let cut_off = one.define(&id("meanwhile"), "{}", Expected::Any, StartAt::End).await.unwrap_err();
    assert!(matches!(cut_off, DefineError::Bus(BusError::Unavailable(_))), "{cut_off}");
    server.run();
    server.ready().await;
    soon("defining", async {
        while one.define(&id("after"), "{}", Expected::Any, StartAt::End).await.is_err() {
            hooks_test::pause().await;
        }
    })
    .await;
    hears(&two, "after").await;
    let defined: Vec<_> = two.definitions(None, 9).await.unwrap().into_iter().map(|one| one.hook).collect();
    assert_eq!(defined, [id("after"), id("before")]);
    assert!(soon("undefining", one.undefine(&id("before"), Expected::Any)).await.unwrap());
    hears(&two, "before").await;
    assert_eq!(two.definition(&id("before")).await.unwrap(), None);
}

#[tokio::test]
async fn a_definition_that_is_too_large_is_refused_and_says_so() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let text = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
    let refused = bus.define(&id("a"), &text, Expected::Any, StartAt::End).await.unwrap_err();
    let why = "too large: the definition of `a` takes 1048729, and the NATS server at most 1048064 (`max_payload`)";
    assert_eq!(refused.to_string(), why);
    assert!(bus.definitions(None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_definition_that_vanished_is_kept_again_and_one_that_was_purged_is_not() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let _works = End::new(&bus, "works", Filter::all()).await;
    define(&bus, "vanished").await;
    define(&bus, "purged").await;
    let bucket = server.client().await.get_key_value("hooks-hooks").await.unwrap();
    bucket.purge("def.purged").await.unwrap();
    hears(&bus, "purged").await;
    bucket.stream.purge().filter("$KV.hooks-hooks.def.vanished").await.unwrap();
    soon("its return", async {
        while bucket.get("def.vanished").await.unwrap().is_none() {
            hooks_test::pause().await;
        }
    })
    .await;
    let defined: Vec<_> = bus.definitions(None, 9).await.unwrap().into_iter().map(|one| one.hook).collect();
    assert_eq!(defined, [id("vanished")]);
}

#[tokio::test]
async fn where_a_hook_began_is_known_to_every_instance_whoever_moves_and_takes_it() {
    let Some(server) = Server::start().await else { return };
    let (one, other) = (bus(&server).await, bus(&server).await);
    let began = async |bus: &NatsBus, hook: &str| bus.began(&id(hook)).await.unwrap().map(Position::get);
    publish(&one, events(0..3, "a")).await;
    define(&one, "defined").await;
    let mut plain = End::new(&one, "plain", Filter::all()).await;
    let _defined = End::new(&one, "defined", Filter::all()).await;
    publish(&one, events(3..6, "a")).await;
    let read = soon("events", plain.take(3)).await;
    plain.settle(&read);
    until("the position", || one.place(&id("plain")).is_some_and(|place| place.position == 6)).await;
    let back = one.seek(&id("plain"), &Seek::to(SeekTo::Position(Position::new(2)))).await.unwrap();
    assert_eq!((back.after, began(&one, "plain").await), (2, Some(4)), "it began where it began");
    for hook in ["plain", "defined"] {
        until("the entry", || other.place(&id(hook)).is_some()).await;
        assert_eq!(began(&other, hook).await, Some(4), "{hook}");
    }
    one.finish().await;
    drop((plain, _defined));
    let third = bus(&server).await;
    let _plain = End::new(&third, "plain", Filter::all()).await;
    until("the hook", || third.owned().contains(&id("plain"))).await;
    assert_eq!((began(&third, "plain").await, began(&third, "nobody").await), (Some(4), None));
}
