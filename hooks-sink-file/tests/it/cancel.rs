//! Futures that are dropped while their write is on its way.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use hooks_core::{
    Sink,
    sink::{Batch, SinkConfig},
};
use hooks_sink_file::{FileConfig, FileSink};

use crate::support::{Folder, batch, context, deliver, ids, lock, padded, read, sink};

/// Begins a delivery and drops it while the write can't be done.
fn begin_and_drop(sink: &mut FileSink, batch: &Batch) {
    let future = pin!(sink.deliver(batch));
    assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// The fault: dropping a future counts as delivered. The batch comes again and is there once.
#[tokio::test]
async fn a_batch_whose_delivery_was_dropped_comes_again_and_is_there_once() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let mut sink = sink(&FileConfig::new(&path));
    deliver(&mut sink, &batch(0..1)).await.unwrap();
    let (second, third) = (batch(1..3), batch(3..5));
    let held = lock(&path);
    begin_and_drop(&mut sink, &second);
    begin_and_drop(&mut sink, &second);
    drop(held);
    deliver(&mut sink, &second).await.unwrap();
    deliver(&mut sink, &third).await.unwrap();
    sink.flush().await.unwrap();
    assert_eq!(ids(&read(&path)), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_delivery_dropped_before_it_had_its_turn_writes_nothing() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let shared = Arc::default();
    let [mut first, mut second] = ["a", "b"].map(|hook| FileConfig::new(&path).build(&context(hook, &shared)).unwrap());
    let held = lock(&path);
    begin_and_drop(&mut first, &batch(0..1));
    begin_and_drop(&mut second, &batch(1..2));
    drop(held);
    deliver(&mut second, &batch(2..3)).await.unwrap();
    let ids = ids(&read(&path));
    assert!(!ids.contains(&1) && ids.ends_with(&[2]), "{ids:?}");
}

/// Dropped at any moment of a real write, many times: in order, whole, each once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_dropped_at_any_moment_lose_swap_and_repeat_nothing() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let mut sink = sink(&FileConfig::new(&path));
    for n in 0..200 {
        let batch = padded(n * 3..n * 3 + 3, 5_000);
        let mut arrived = false;
        for polls in 0..n % 4 {
            arrived = arrived || begin_and_poll(&mut sink, &batch, polls).await;
        }
        if !arrived {
            deliver(&mut sink, &batch).await.unwrap();
        }
    }
    assert_eq!(ids(&read(&path)), (0..600).collect::<Vec<_>>());
}

/// Polls a delivery some times more and drops it, unless it has arrived by then.
async fn begin_and_poll(sink: &mut FileSink, batch: &Batch, more: usize) -> bool {
    let mut future = pin!(sink.deliver(batch));
    for _ in 0..=more {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            result.unwrap();
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

/// The same batch again after `Ok` is what somebody wanted written again.
#[tokio::test]
async fn a_batch_that_was_reported_is_written_again_when_it_comes_again() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let mut sink = sink(&FileConfig::new(&path));
    let batch = batch(0..2);
    deliver(&mut sink, &batch).await.unwrap();
    deliver(&mut sink, &batch).await.unwrap();
    assert_eq!(ids(&read(&path)), [0, 1, 0, 1]);
}

#[tokio::test]
async fn a_dropped_delivery_whose_file_was_emptied_is_written_again() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let mut sink = sink(&FileConfig::new(&path));
    deliver(&mut sink, &batch(9..10)).await.unwrap();
    let again = batch(0..2);
    let held = lock(&path);
    begin_and_drop(&mut sink, &again);
    drop(held);
    // Waits for its turn, and so for the write that was left.
    sink.flush().await.unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    deliver(&mut sink, &again).await.unwrap();
    assert_eq!(ids(&read(&path)), [0, 1]);
}
