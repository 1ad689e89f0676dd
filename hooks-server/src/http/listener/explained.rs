//! hyper answers what it can't read as a request by itself, and without a body. Here it gets one that says why.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::admin::PROBLEM;

/// Most headers of a request.
pub(super) const MAX_HEADERS: usize = 100;

/// A connection whose empty answers are explained.
#[derive(Debug)]
pub(super) struct Explained<S> {
    stream: S,
    max_head: usize,
    /// An answer in the place of hyper's, and how much of it is written. It is the last of a connection.
    answer: Option<(Vec<u8>, usize)>,
}

impl<S> Explained<S> {
    pub(super) fn new(stream: S, max_head: usize) -> Self {
        Self { stream, max_head, answer: None }
    }

    /// Nothing of ours has an empty body.
    fn explain(&self, head: &[u8]) -> Option<Vec<u8>> {
        let status: &[u8; 3] = head.strip_prefix(b"HTTP/1.1 ")?.first_chunk()?;
        let error = match status {
            b"400" => {
                "this is no HTTP/1.1 request: its first line, a header or a length is not as it should be".to_owned()
            }
            b"414" => "the URL is too long".to_owned(),
            b"431" => format!(
                "the head of the request has more than {} bytes (ingest.max_head) or {MAX_HEADERS} headers",
                self.max_head
            ),
            _ => return None,
        };
        let (before, after) = std::str::from_utf8(head).ok()?.split_once("content-length: 0\r\n")?;
        let status = StatusCode::from_bytes(status).ok()?;
        let (title, status) = (status.canonical_reason(), status.as_u16());
        let body = serde_json::json!({ "title": title, "status": status, "detail": error, "error": error }).to_string();
        let length = body.len();
        Some(format!("{before}content-type: {PROBLEM}\r\ncontent-length: {length}\r\n{after}{body}").into_bytes())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Explained<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Explained<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.answer.is_none() {
            self.answer = self.explain(bytes).map(|answer| (answer, 0));
        }
        let Self { stream, answer, .. } = &mut *self;
        let Some((answer, written)) = answer else { return Pin::new(stream).poll_write(context, bytes) };
        while *written < answer.len() {
            match ready!(Pin::new(&mut *stream).poll_write(context, &answer[*written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => *written += more,
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match parts {
            // A head that stands alone.
            [one] => self.poll_write(context, one),
            many => Pin::new(&mut self.stream).poll_write_vectored(context, many),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
