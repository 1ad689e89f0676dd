//! The body of a page that many read at once, piece by piece.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::metrics::Page;

/// The part of a page that is left to be written.
#[derive(Debug)]
pub(super) struct Outgoing {
    page: Arc<Page>,
    /// The number of the next piece.
    next: usize,
    /// Bytes.
    left: u64,
}

impl Outgoing {
    pub(super) fn new(page: Arc<Page>) -> Self {
        Self { next: 0, left: page.length(), page }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let Some(piece) = self.page.piece(self.next) else {
            return Poll::Ready(Some(Err(io::Error::other("read too slowly: others needed the room"))));
        };
        self.next += 1;
        self.left -= piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
