//! Publishing through the bus: calls that come while a statement runs go into the next one together.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hooks_core::{BusError, ByteSize, Envelope, Slice};
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

/// The same with what names each event: the number of those of each call that are known.
const ACCEPT: &str = "SELECT hooks.accept($1, $2, $3, $4, $5)";

/// A call of `publish` on its way.
struct Call {
    slice: Slice,
    /// Hears how many of its events were known.
    done: oneshot::Sender<Result<usize, BusError>>,
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

    /// Returns how many of the events were known.
    pub(super) async fn publish(&self, slice: Slice) -> Result<usize, BusError> {
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
                let known = result.map(|known| known.first().copied().unwrap_or(0));
                let _ = call.done.send(known.map_err(|error| error.to("publish")));
            }
            continue;
        }
        let result = result.map_err(|error| error.to("publish"));
        for (at, call) in together.into_iter().enumerate() {
            let known = result.as_ref().map(|known| known.get(at).copied().unwrap_or(0));
            // Who gave up does not hear of it.
            let _ = call.done.send(known.map_err(Clone::clone));
        }
    }
}

impl Inner {
    /// Returns how many events of each call were known, or nothing where none was.
    async fn insert(&self, slices: &[Slice]) -> Result<Vec<usize>, Failed> {
        let (mut calls, mut events) = (Vec::new(), Vec::new());
        for (slice, call) in slices.iter().zip(1_i32..) {
            calls.extend(std::iter::repeat_n(call, slice.len()));
            events.extend(slice.iter().map(|event| event.json()));
        }
        let count = i32::try_from(slices.len()).unwrap_or(i32::MAX);
        let known_for = self.config.known_for();
        let known: Vec<i64> = if known_for > 0.0 && slices.iter().any(Slice::has_chosen_ids) {
            let keys: Vec<_> = slices.iter().flat_map(keys).collect();
            self.publishing.one(ACCEPT, &[&count, &calls, &events, &keys, &known_for]).await?.get(0)
        } else {
            self.publishing.query(INSERT, &[&count, &calls, &events]).await?;
            Vec::new()
        };
        let known: Vec<usize> = known.into_iter().map(|known| usize::try_from(known).unwrap_or(0)).collect();
        self.accepted.fetch_add(events.len() as u64, Ordering::Relaxed);
        self.known.fetch_add(known.iter().sum::<usize>() as u64, Ordering::Relaxed);
        self.heard.outbox.notify_one();
        Ok(known)
    }
}

/// What names each event of a slice whose publisher chose ids, as `hooks.complete` has it: attributes have no line breaks.
fn keys(slice: &Slice) -> impl Iterator<Item = Option<String>> {
    let key = |event: &Envelope| match event.tenant() {
        Some(tenant) => format!("{tenant}\n{}\n{}", event.source(), event.id()),
        None => format!("{}\n{}", event.source(), event.id()),
    };
    let is_chosen = slice.has_chosen_ids();
    slice.iter().map(move |event| is_chosen.then(|| key(event)))
}
