//! Publishing through the bus: calls that come while a statement runs go into the next one together.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hooks_core::{BusError, ByteSize, Slice};
use tokio::sync::{mpsc, oneshot};

use super::Inner;
use super::link::Failed;

/// Most calls that wait. Further callers wait for a place.
const MAX_WAITING: usize = 256;

/// Most bytes of events in a statement; one call alone may have more.
const MAX_BYTES: usize = 4 << 20;

/// Most bytes of a call: the server takes no message of 1 GB.
const LONGEST_CALL: usize = 256 << 20;

/// An id for each call, so that its events stay together.
const INSERT: &str = "WITH calls AS MATERIALIZED (SELECT call, hooks.next_id() AS id FROM generate_series(1, $1::int4) AS call) \
     INSERT INTO hooks.outbox (id, n, checked, event) \
     SELECT id, n, true, event::json FROM unnest($2::int4[], $3::text[]) WITH ORDINALITY AS events (call, event, n) \
     JOIN calls USING (call)";

/// A call of `publish` on its way.
struct Call {
    slice: Slice,
    done: oneshot::Sender<Result<(), BusError>>,
}

pub(super) struct Publisher {
    calls: mpsc::Sender<Call>,
}

/// The calls that come.
pub(super) struct Calls(mpsc::Receiver<Call>);

impl Publisher {
    pub(super) fn new() -> (Self, Calls) {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        (Self { calls: sender }, Calls(receiver))
    }

    pub(super) async fn publish(&self, slice: Slice) -> Result<(), BusError> {
        fits(&slice)?;
        let (done, answer) = oneshot::channel();
        self.calls.send(Call { slice, done }).await.map_err(|_| BusError::Closed)?;
        answer.await.map_err(|_| BusError::Closed)?
    }
}

/// # Errors
/// When a call has too much.
pub(super) fn fits(slice: &Slice) -> Result<(), BusError> {
    if slice.bytes() <= LONGEST_CALL {
        return Ok(());
    }
    let (bytes, most) = (ByteSize::new(slice.bytes() as u64), ByteSize::new(LONGEST_CALL as u64));
    Err(BusError::TooLarge(format!("{bytes} of events in one call, and Postgres takes {most}")))
}

/// Inserts what comes, in statements of their own.
pub(super) async fn run(bus: Arc<Inner>, mut calls: Calls) {
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(call) => call,
            None => match calls.0.recv().await {
                Some(call) => call,
                None => return,
            },
        };
        let mut bytes = first.slice.bytes();
        let mut together = vec![first];
        while let Ok(call) = calls.0.try_recv() {
            bytes += call.slice.bytes();
            if bytes > MAX_BYTES {
                next = Some(call);
                break;
            }
            together.push(call);
        }
        let slices: Vec<Slice> = together.iter().map(|call| call.slice.clone()).collect();
        let result = bus.insert(&slices).await;
        if let Err(Failed::Refused(_)) = &result
            && together.len() > 1
        {
            // One of them may be the reason.
            for call in together {
                let result = bus.insert(std::slice::from_ref(&call.slice)).await;
                let _ = call.done.send(result.map_err(|error| error.to("publish")));
            }
            continue;
        }
        let result = result.map_err(|error| error.to("publish"));
        for call in together {
            // Who gave up does not hear of it.
            let _ = call.done.send(result.clone());
        }
    }
}

impl Inner {
    async fn insert(&self, slices: &[Slice]) -> Result<(), Failed> {
        let (mut calls, mut events) = (Vec::new(), Vec::new());
        for (slice, call) in slices.iter().zip(1_i32..) {
            calls.extend(std::iter::repeat_n(call, slice.len()));
            events.extend(slice.iter().map(|event| event.json()));
        }
        let count = i32::try_from(slices.len()).unwrap_or(i32::MAX);
        self.publishing.query(INSERT, &[&count, &calls, &events]).await?;
        self.accepted.fetch_add(events.len() as u64, Ordering::Relaxed);
        self.heard.outbox.notify_one();
        Ok(())
    }
}
