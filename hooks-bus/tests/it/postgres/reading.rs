//! What readers hold.

use hooks_core::{Bus, Filter, SliceBuilder};
use hooks_test::{End, id};

use super::{Server, bus};

/// Two events of a thousand, far from each other, lie side by side in memory: all between was let go.
#[tokio::test]
async fn who_takes_little_of_the_log_holds_little_of_it() {
    let Some(server) = Server::start() else { return };
    let rare = || Filter::types(["rare".to_owned()]);
    let before = bus(&server).await;
    let mut ahead = End::new(&before, "ahead", rare()).await;
    drop(End::new(&before, "behind", rare()).await);
    let mut events = SliceBuilder::new("/test");
    for number in 0..900 {
        let (kind, data) = (if [10, 890].contains(&number) { "rare" } else { "other" }, "x".repeat(900));
        events.push_json(format!(r#"{{"type":"{kind}","id":"{number}","data":"{data}"}}"#).as_bytes()).unwrap();
    }
    before.publish(events.finish()).await.unwrap();
    let read = ahead.take(2).await;
    assert_near(&read);
    before.finish().await;
    drop((ahead, before));
    let after = bus(&server).await;
    assert_near(&End::new(&after, "behind", rare()).await.take(2).await);
}

fn assert_near(read: &[hooks_core::bus::Delivery]) {
    let at = |index: usize| read[index].envelope().json().as_ptr() as usize;
    assert!(at(0).abs_diff(at(1)) < 10_000, "{} bytes lie between", at(0).abs_diff(at(1)));
}

/// It asks for the end once, not for each event of the log, which takes minutes where there are millions.
#[tokio::test]
async fn an_instance_joins_soon_though_the_log_is_long() {
    let Some(server) = Server::start() else { return };
    let first = bus(&server).await;
    first.publish(hooks_test::events(0..900)).await.unwrap();
    let mut hook = End::earliest(&first, "a").await;
    hook.take(900).await;
    let slow = "CREATE OR REPLACE FUNCTION hooks.last_position() RETURNS bigint LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep(0.02); RETURN (SELECT max(position) FROM hooks.log); END $$";
    server.psql("postgres", slow);
    let second = bus(&server).await;
    assert_eq!(second.monitor().details()["last_position"], 900);
}

/// What a daemon that was stopped says of its hooks: nothing that was settled last is left behind.
#[tokio::test]
async fn an_instance_that_has_ended_counts_what_it_settled_last() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    bus.publish(hooks_test::events(0..3)).await.unwrap();
    let read = hook.take(3).await;
    hook.settle(&read);
    bus.close().await;
    bus.finish().await;
    let lag = bus.monitor().lag(&id("a")).unwrap();
    assert_eq!((lag.events, lag.exact), (0, true));
}
