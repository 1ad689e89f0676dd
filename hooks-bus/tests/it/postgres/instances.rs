//! Several instances share hooks, come and go.

use hooks_bus::PostgresBus;
use hooks_core::{Bus, Filter};
use hooks_test::{End, events, until};

use super::{Server, bus};

/// Workers that wait for events, and let go of what they are asked to.
async fn work(bus: &PostgresBus, count: usize) -> tokio::task::JoinSet<()> {
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..count {
        let mut end = End::new(bus, &format!("hook-{number}"), Filter::all()).await;
        workers.spawn(async move {
            loop {
                let _ = end.reader.next(1, &mut Vec::new()).await;
            }
        });
    }
    workers
}

#[tokio::test]
async fn hooks_are_shared_evenly() {
    let Some(server) = Server::start() else { return };
    let buses = [bus(&server).await, bus(&server).await, bus(&server).await];
    let _workers = [work(&buses[0], 30).await, work(&buses[1], 30).await];
    let owned = || buses.each_ref().map(|bus| bus.owned().len());
    until("two shares", || owned() == [15, 15, 0]).await;
    let _third = work(&buses[2], 30).await;
    until("three shares", || owned() == [10, 10, 10]).await;
    buses[1].finish().await;
    until("two shares again", || owned() == [15, 0, 15]).await;
}

/// The leader of the sequencer ends without a word, as in a crash: the other gives positions.
#[tokio::test]
async fn another_instance_gives_positions_when_the_first_is_gone() {
    let Some(server) = Server::start() else { return };
    let (first, second) = (bus(&server).await, bus(&server).await);
    let mut hook = End::new(&second, "a", Filter::all()).await;
    first.publish(events(0..3)).await.unwrap();
    assert_eq!(hook.read_to(2, 9).await, [0, 1, 2]);
    drop(first);
    second.publish(events(3..6)).await.unwrap();
    assert_eq!(hook.read_to(5, 9).await, [3, 4, 5]);
}
