//! How long the log keeps events.

use hooks_bus::{PostgresBus, PostgresConfig};
use hooks_core::bus::{PastOrder, PastQuery};
use hooks_core::{Bus, ByteSize, Filter, Slice};
use hooks_test::{End, events_of, pause, soon, thirds};

use super::{Server, config};

/// Events of 4 KiB, which don't compress.
fn large(from: usize) -> Slice {
    thirds(from..from + 500, |_| 4 << 10)
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
        bus.publish(large(500 * at)).await.unwrap();
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
    let first = first_position(&bus).await;
    assert!(first <= 1_101, "the slow hook needs {first}");
    slow.settle(&read[1_100..]);
    is_gone(first).await;
    bus.publish(events_of(9_999..10_000, "a")).await.unwrap();
    assert_eq!(quick.read_to(9_999, 9).await, [9_999]);
}
