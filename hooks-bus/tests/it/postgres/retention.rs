//! How long the log keeps events.

use std::ops::Range;
use std::time::Duration;

use hooks_bus::{PostgresBus, PostgresConfig};
use hooks_core::bus::{PastOrder, PastQuery};
use hooks_core::{Bus, BusError, ByteSize, Filter, HumanDuration, Slice, SliceBuilder};
use hooks_test::{End, events_of, pause, soon, until};

use super::{Server, bus, client, config};

/// Few bytes for a log of 16 MiB, whose partitions have 1,000 positions then.
fn small(from: usize) -> Slice {
    noise(from..from + 500, 400)
}

/// Events of 4 KiB.
fn large(from: usize) -> Slice {
    noise(from..from + 500, 4 << 10)
}

/// Events of so many bytes, which don't compress.
pub(super) fn noise(numbers: Range<usize>, bytes: usize) -> Slice {
    let mut slice = SliceBuilder::new("/test");
    for number in numbers {
        let mut random = number as u64 + 1;
        let noise = std::iter::repeat_with(|| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{random:016x}")
        });
        let noise: String = noise.take(bytes / 16).collect();
        slice.push_json(format!(r#"{{"type":"a","id":"{number}","data":"{noise}"}}"#).as_bytes()).unwrap();
    }
    slice.finish()
}

async fn first_position(bus: &PostgresBus) -> u64 {
    let query = PastQuery::default().order(PastOrder::OldestFirst).max_events(1);
    bus.past().unwrap().read(&query).await.unwrap().events[0].position.get()
}

#[tokio::test]
async fn partitions_that_all_hooks_have_passed_are_dropped_and_no_others() {
    let Some(server) = Server::start() else { return };
    let config = PostgresConfig { max_bytes: ByteSize::new(16 << 20), ..config(&server, "postgres") };
    let bus = PostgresBus::connect(config).await.unwrap();
    let (mut quick, mut slow) =
        (End::new(&bus, "quick", Filter::all()).await, End::new(&bus, "slow", Filter::all()).await);
    for at in 0..5 {
        bus.publish(small(500 * at)).await.unwrap();
    }
    let read = quick.take(2_500).await;
    quick.settle(&read);
    let read = slow.take(2_500).await;
    slow.settle(&read[..1_100]);
    let is_gone = async |position: u64| {
        soon("partitions are dropped", async {
            while first_position(&bus).await <= position {
                pause().await;
            }
        })
        .await;
    };
    is_gone(1).await;
    let partitions =
        || server.psql("postgres", "SELECT string_agg(first::text, ',' ORDER BY first) FROM hooks.partitions");
    assert_eq!(partitions(), "1001,2001", "the slow hook needs 1101");
    // Another look at the log, which would like to drop more.
    let before = bus.monitor().stats().log_bytes;
    bus.publish(small(2_500)).await.unwrap();
    until("it has grown", || bus.monitor().stats().log_bytes != before).await;
    assert_eq!(partitions(), "1001,2001");
    slow.settle(&read[1_100..]);
    is_gone(1_001).await;
    quick.take(500).await;
    bus.publish(events_of(9_999..10_000, "a")).await.unwrap();
    assert_eq!(quick.read_to(9_999, 9).await, [9_999]);
}

/// Of a hook that keeps the log, one that has been moved back counts as it is by then.
#[tokio::test]
async fn a_partition_that_a_hook_needs_by_now_is_not_dropped() {
    let Some(server) = Server::start() else { return };
    let retain = HumanDuration::new(Duration::from_secs(3600));
    let max_bytes = ByteSize::new(16 << 20);
    let config = PostgresConfig { max_bytes, retain, ..config(&server, "postgres") };
    let bus = PostgresBus::connect(config).await.unwrap();
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    for at in 0..3 {
        bus.publish(small(500 * at)).await.unwrap();
    }
    let read = hook.take(1_500).await;
    assert_eq!(server.psql("postgres", "SELECT hooks.drop_partition(1)"), "f");
    hook.settle(&read);
    until("the position is written", || server.psql("postgres", "SELECT position FROM hooks.cursors") == "1500").await;
    // A seek that has not committed yet.
    let seeking = client(&server).await;
    seeking.batch_execute("BEGIN; SELECT hooks.move('a', epoch, 10, '{}') FROM hooks.cursors").await.unwrap();
    let dropping = client(&server).await;
    let refused = dropping.batch_execute("SELECT hooks.drop_partition(1)").await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "55P03", "it waits for the seek");
    seeking.batch_execute("COMMIT").await.unwrap();
    assert_eq!(server.psql("postgres", "SELECT hooks.drop_partition(1)"), "f");
    assert_eq!(server.psql("postgres", "SELECT count(*) FROM hooks.log"), "1500");
}

#[tokio::test]
async fn a_full_log_takes_no_more_until_hooks_have_passed_it() {
    let Some(server) = Server::start() else { return };
    let config = PostgresConfig { max_bytes: ByteSize::new(16 << 20), ..config(&server, "postgres") };
    let bus = PostgresBus::connect(config).await.unwrap();
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let mut published = 0;
    let refused = soon("a refusal", async {
        loop {
            match bus.publish(large(published)).await {
                Ok(_) => published += 500,
                Err(error) => return error,
            }
            pause().await;
        }
    });
    let refused = refused.await;
    assert!(matches!(refused, BusError::Full(_)), "{refused}");
    assert!(refused.to_string().contains("max_bytes"), "{refused}");
    assert!(published < 10_000, "{published} of 4 KiB");
    let application = client(&server).await;
    let refused = application.execute(r#"SELECT hooks.publish('{"type":"a"}')"#, &[]).await.unwrap_err();
    let said = refused.as_db_error().unwrap();
    assert_eq!((said.code().code(), said.message()), ("53100", "the log of events has reached its max_bytes"));
    let mut settled = 0;
    while settled < published {
        let read = hook.take(500.min(published - settled)).await;
        hook.settle(&read);
        settled += read.len();
    }
    soon("room", async {
        while bus.publish(events_of(99_999..100_000, "a")).await.is_err() {
            pause().await;
        }
    })
    .await;
    assert_eq!(hook.read_to(99_999, 9).await, [99_999]);
}

/// A partition has at least 1,000 positions: more bytes of these than the log may have.
#[tokio::test]
async fn a_log_that_large_events_have_filled_has_room_when_hooks_have_passed() {
    let Some(server) = Server::start() else { return };
    let config = PostgresConfig { max_bytes: ByteSize::new(16 << 20), ..config(&server, "postgres") };
    let bus = PostgresBus::connect(config).await.unwrap();
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let mut published = 0;
    for _ in 0..2 {
        let begun = published;
        soon("a refusal", async {
            while bus.publish(noise(published..published + 20, 32 << 10)).await.is_ok() {
                published += 20;
                pause().await;
            }
        })
        .await;
        assert!(published - begun < 2_000, "{} of 32 KiB", published - begun);
        let mut settled = begun;
        while settled < published {
            let read = hook.take(20).await;
            hook.settle(&read);
            settled += read.len();
        }
        soon("room", async {
            while bus.publish(noise(published..published + 20, 32 << 10)).await.is_err() {
                pause().await;
            }
        })
        .await;
        published += 20;
        let read = hook.take(20).await;
        hook.settle(&read);
    }
}

/// All of it is in one partition.
#[tokio::test]
async fn a_log_that_one_call_has_filled_has_room_when_hooks_have_passed() {
    let Some(server) = Server::start() else { return };
    let config = PostgresConfig { max_bytes: ByteSize::new(16 << 20), ..config(&server, "postgres") };
    let bus = PostgresBus::connect(config).await.unwrap();
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    bus.publish(noise(0..600, 32 << 10)).await.unwrap();
    until("it is full", || server.psql("postgres", "SELECT is_full FROM hooks.sequencer") == "t").await;
    for _ in 0..30 {
        let read = hook.take(20).await;
        hook.settle(&read);
    }
    soon("room", async {
        while bus.publish(events_of(600..601, "a")).await.is_err() {
            pause().await;
        }
    })
    .await;
    assert_eq!(hook.read_to(600, 9).await, [600]);
    until("what was passed is gone", || bus.monitor().stats().log_bytes.unwrap() < 1 << 20).await;
}

/// Rows that are no events may have had partitions made for them, in which no event is.
#[tokio::test]
async fn a_partition_ends_at_the_last_event_and_others_follow_it() {
    let Some(server) = Server::start() else { return };
    let bus =
        PostgresBus::connect(PostgresConfig { max_bytes: ByteSize::new(16 << 20), ..config(&server, "postgres") });
    let bus = bus.await.unwrap();
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    bus.publish(events_of(0..700, "a")).await.unwrap();
    server.psql("postgres", "INSERT INTO hooks.outbox (event) SELECT '7' FROM generate_series(1, 900)");
    let partitions =
        || server.psql("postgres", "SELECT string_agg(first::text, ',' ORDER BY first) FROM hooks.partitions");
    until("the next one is there", || partitions() == "1,1001").await;
    server.psql("postgres", "SELECT hooks.end_partition(1001)");
    assert_eq!(partitions(), "1,1001", "it has no event");
    server.psql("postgres", "SELECT hooks.end_partition(1)");
    assert_eq!(partitions(), "1");
    bus.publish(events_of(700..710, "a")).await.unwrap();
    assert_eq!(hook.read_to(709, 100).await, (0..710).collect::<Vec<_>>());
    assert_eq!(partitions(), "1,701");
    server.psql("postgres", "SELECT hooks.end_partition(1)");
    assert_eq!(partitions(), "1,701", "it has ended");
}

#[tokio::test]
async fn of_rows_that_are_no_events_the_newest_are_kept_and_all_counted() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    server.psql("postgres", "INSERT INTO hooks.outbox (event) SELECT '7' FROM generate_series(1, 10050)");
    until("they are counted", || {
        let details = bus.monitor().details();
        (&details["refused_events"], &details["refused_events_gone"]) == (&10_050.into(), &50.into())
    })
    .await;
    assert_eq!(server.psql("postgres", "SELECT count(*), min(id) FROM hooks.refused"), "10000|51");
    // `hooks log info` asks a bus that it has just opened.
    let details = self::bus(&server).await.monitor().details();
    assert_eq!((&details["refused_events"], &details["refused_events_gone"]), (&10_050.into(), &50.into()));
}

/// A hook that is read from the beginning comes to what was counted and is no longer kept.
#[tokio::test]
async fn what_only_the_reader_could_tell_is_counted_once_though_it_is_no_longer_kept() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let bad = r#"SELECT hooks.publish('{"type":"a","\u0072egion":"eu"}')"#;
    server.psql("postgres", &format!("{bad} FROM generate_series(1, 3)"));
    bus.publish(events_of(0..1, "a")).await.unwrap();
    assert_eq!(hook.read_to(0, 9).await, [0]);
    server.psql("postgres", "INSERT INTO hooks.outbox (event) SELECT '7' FROM generate_series(1, 9998)");
    let counts = || {
        let details = bus.monitor().details();
        (details["refused_events"].as_u64().unwrap(), details["refused_events_gone"].as_u64().unwrap())
    };
    until("they are counted", || counts() == (10_001, 1)).await;
    // It has nothing of the log in memory.
    let other = self::bus(&server).await;
    let mut again = End::earliest(&other, "b").await;
    assert_eq!(again.read_to(0, 9).await, [0]);
    let rows =
        "SELECT count(*), count(position), refused_gone FROM hooks.refused, hooks.sequencer GROUP BY refused_gone";
    assert_eq!(server.psql("postgres", rows), "10000|2|1");
}
