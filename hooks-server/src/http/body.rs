//! Reading request bodies: so many bytes, in so much time, and never too many for all together.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf as _;
use hooks_core::chain;
use http::StatusCode;
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::answer::Refusal;
use super::state::State;

/// The longest time that a client's body is still read once its answer is known, so that it gets to see it.
const LINGER: Duration = Duration::from_secs(2);

/// Room that is made for what is still to come, in bytes, at most: a client may promise more than it sends.
const AHEAD: usize = 64 << 10;

/// A body, and its share of the memory for bodies. The share is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) bytes: Vec<u8>,
    pub(super) share: Option<OwnedSemaphorePermit>,
}

/// Reads a whole body.
pub(super) async fn read<B>(body: &mut B, max: usize, limit: Duration, room: &Arc<Semaphore>) -> Result<Taken, Refusal>
where
    B: Body + Unpin,
    B::Error: Error + 'static,
{
    if body.size_hint().lower() > max as u64 {
        return Err(too_large(max));
    }
    timeout(limit, collect(body, max, room)).await.unwrap_or(Err(Refusal::TooSlow))
}

async fn collect<B>(body: &mut B, max: usize, room: &Arc<Semaphore>) -> Result<Taken, Refusal>
where
    B: Body + Unpin,
    B::Error: Error + 'static,
{
    let mut taken = Taken { bytes: Vec::new(), share: None };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::Broken(format!("the body can't be read: {}", chain(&error))))?;
        // Trailers mean nothing here.
        let Ok(mut data) = frame.into_data() else { continue };
        let length = data.remaining();
        if taken.bytes.len() + length > max {
            return Err(too_large(max));
        }
        taken.grow(length, room)?;
        let rest = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        taken.bytes.reserve(length + rest.min(AHEAD));
        while data.has_remaining() {
            let chunk = data.chunk();
            taken.bytes.extend_from_slice(chunk);
            let read = chunk.len();
            data.advance(read);
        }
    }
    Ok(taken)
}

impl Taken {
    /// Takes what is there or nothing: if requests that are half read waited for one another, all would.
    fn grow(&mut self, by: usize, room: &Arc<Semaphore>) -> Result<(), Refusal> {
        let by = u32::try_from(by).unwrap_or(u32::MAX);
        let more = room.clone().try_acquire_many_owned(by);
        let more = more.map_err(|_| Refusal::Busy("too many bytes of other requests are in flight".to_owned()))?;
        match &mut self.share {
            Some(share) => share.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

fn too_large(max: usize) -> Refusal {
    Refusal::TooLarge(format!("the body has more than {max} bytes"))
}

/// Reads what a client still sends that has its answer, for a while and up to the longest body, and keeps nothing: a
/// connection that is closed before is reset, and the client might not see the answer. `waits` for one that waits to be
/// asked for its body. False when something is left, so that no other request can follow.
pub(super) async fn read_rest<B: Body + Unpin>(body: &mut B, waits: bool, status: StatusCode, state: &State) -> bool {
    if body.is_end_stream() || status == StatusCode::ACCEPTED {
        return true;
    }
    // There was time enough.
    if waits || status == StatusCode::REQUEST_TIMEOUT || !state.is_accepting() {
        return false;
    }
    let read = async {
        let mut rest = state.settings().ingest.max_body.get();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            let length = frame.into_data().map_or(0, |data| data.remaining());
            rest = rest.saturating_sub(length);
            if rest == 0 {
                return body.is_end_stream();
            }
        }
        true
    };
    // If it takes longer, the connection is closed.
    timeout(LINGER, read).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    fn room(bytes: usize) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(bytes))
    }

    #[tokio::test]
    async fn all_bodies_together_have_so_much_room() {
        let room = room(10);
        let read = |length: usize| {
            let room = room.clone();
            async move { read(&mut Full::new(bytes::Bytes::from(vec![b'x'; length])), 8, LINGER, &room).await }
        };
        let first = read(6).await.unwrap();
        assert!(matches!(read(6).await, Err(Refusal::Busy(_))));
        assert_eq!(read(4).await.unwrap().bytes.len(), 4);
        drop(first);
        assert_eq!(read(8).await.unwrap().bytes.len(), 8);
        assert!(matches!(read(9).await, Err(Refusal::TooLarge(_))));
        assert_eq!(room.available_permits(), 10);
    }
}
