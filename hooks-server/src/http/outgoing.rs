//! The body of an answer: complete, or a page that many share.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::metrics::Page;

/// The part that is left to be written.
#[derive(Debug)]
pub(super) enum Outgoing {
    Whole(Bytes),
    /// Piece by piece, as they are read, from this one on.
    Page(Arc<Page>, usize, u64),
}

impl From<Bytes> for Outgoing {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(bytes)
    }
}

impl From<Arc<Page>> for Outgoing {
    fn from(page: Arc<Page>) -> Self {
        let length = page.length();
        Self::Page(page, 0, length)
    }
}

impl Outgoing {
    fn left(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Page(_, _, left) => *left,
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left() == 0 {
            return Poll::Ready(None);
        }
        let piece = match &mut *self {
            Self::Whole(bytes) => std::mem::take(bytes),
            Self::Page(page, next, left) => {
                let Some(piece) = page.piece(*next) else {
                    return Poll::Ready(Some(Err(io::Error::other("read too slowly: others needed the room"))));
                };
                *next += 1;
                *left -= piece.len() as u64;
                piece
            }
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}
