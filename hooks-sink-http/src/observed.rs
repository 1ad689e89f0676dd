//! Reads how an answer over HTTP/1 begins. The parser tells nothing of an answer that it can't read, but the status
//! line at its beginning says what became of the request.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

use crate::connection_state::ConnectionState;
use crate::status_scanner::{StatusScanner, is_goodbye};
use crate::stream::{Peeked, Stream};

/// Most interim answers (`100 Continue`, `103 Early Hints`) before the final one. Nobody sends as many, and who sends
/// them without end sends no answer.
const MAX_INTERIMS: u16 = 1_000;

/// The receiver sends interim answers and no final one.
#[derive(Debug, thiserror::Error)]
#[error("more than {MAX_INTERIMS} interim answers (1xx) and no final one")]
struct TooManyInterims;

/// The number of bytes that count as one of tokio's operations, of which a task does a limited number in one turn.
/// Without this a task that is sent small frames or heads without end reads megabytes of them in one turn.
const WORK: usize = 1024;

/// Takes what was read from what the task may do in this turn.
fn spend_budget(cx: &mut Context<'_>, bytes: usize) {
    for _ in 0..bytes / WORK {
        match coop::poll_proceed(cx) {
            Poll::Ready(paid) => paid.made_progress(),
            // The next read waits.
            Poll::Pending => return,
        }
    }
}

/// Nothing of the request was written: the connection was kept, and what comes next on it may be no answer to it.
#[derive(Debug, thiserror::Error)]
#[error("the connection that was kept can't be used again")]
pub(crate) struct Unsent;

/// A connection that is listened to.
pub(crate) struct ObservedStream {
    stream: Box<dyn Stream>,
    state: ConnectionState,
    is_proxied: bool,
    is_h2: bool,
    /// None before the first request: what comes then, and what comes over HTTP/2, is no answer that it could hear.
    scanner: Option<StatusScanner>,
    /// True if the last read gave something. When hyper lets go of the connection without reading on, it had bytes that
    /// it did not want: with an answer that was whole, unasked ones.
    has_more: bool,
}

impl ObservedStream {
    pub(crate) fn new(stream: Box<dyn Stream>, state: ConnectionState, is_proxied: bool, is_h2: bool) -> Self {
        Self { stream, state, is_proxied, is_h2, scanner: None, has_more: false }
    }

    pub(crate) fn state(&self) -> &ConnectionState {
        &self.state
    }

    /// A request over HTTP/1 begins with its method, at the beginning of a write, when the answer before has begun.
    fn on_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.is_h2 |= bytes.starts_with(b"PRI ");
        let begins = !self.is_h2
            && bytes.starts_with(b"POST ")
            && !self.scanner.as_ref().is_some_and(StatusScanner::is_scanning);
        if begins {
            if self.state.was_used() && !self.is_fit() {
                return Err(io::Error::other(Unsent));
            }
            self.scanner = Some(StatusScanner::default());
            self.state.begin_request();
        }
        Ok(())
    }

    /// True if what comes next on a connection that was kept can only be an answer to what is asked next.
    fn is_fit(&self) -> bool {
        let waiting = self.stream.peek();
        if waiting == Peeked::Answer {
            self.state.record_excess();
        }
        waiting == Peeked::Nothing && self.state.is_trusted()
    }
}

impl Drop for ObservedStream {
    fn drop(&mut self) {
        if self.has_more && !self.is_h2 {
            self.state.record_excess();
        }
    }
}

impl Connection for ObservedStream {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.is_proxied).extra(self.state.clone());
        if self.is_h2 { connected.negotiated_h2() } else { connected }
    }
}

impl AsyncRead for ObservedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        self.has_more = false;
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        spend_budget(cx, read.len());
        let ends = read.is_empty() || self.state.is_idle() && is_goodbye(read);
        self.has_more = !ends;
        let Some(scanner) = &mut self.scanner else { return Poll::Ready(Ok(())) };
        match scanner.scan(read) {
            Some(status) => self.state.set_status(status),
            None if scanner.interims > MAX_INTERIMS => {
                buf.set_filled(before);
                return Poll::Ready(Err(io::Error::other(TooManyInterims)));
            }
            None => {}
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ObservedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.on_write(buf)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.on_write(bufs.first().map_or(&[], |first| first))?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use tokio::io::AsyncReadExt as _;

    fn listening(stream: impl Stream + 'static) -> ObservedStream {
        let line = ConnectionState::new(([127, 0, 0, 1], 80).into(), Arc::default());
        let mut observed = ObservedStream::new(Box::new(stream), line, false, false);
        observed.scanner = Some(StatusScanner::default());
        observed
    }

    #[tokio::test]
    async fn interim_answers_without_end_are_a_fault() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        let observed = async |interims: usize, last: &str| {
            let text = interim.repeat(interims) + last;
            let mut observed = listening(tokio::io::join(std::io::Cursor::new(text), tokio::io::sink()));
            let read = observed.read_to_end(&mut Vec::new()).await;
            (read.map_err(|error| error.to_string()).err(), observed.state.take_status())
        };
        assert_eq!(observed(1_000, "HTTP/1.1 200 OK\r\n").await, (None, Some(StatusCode::OK)));
        let fault = "more than 1000 interim answers (1xx) and no final one";
        assert_eq!(observed(100_000, "HTTP/1.1 200 OK\r\n").await, (Some(fault.to_owned()), None));
    }

    /// Whoever sends without a pause gets no more done in a turn than is fair to others.
    #[tokio::test]
    async fn others_have_their_turn_while_much_is_read() {
        let read = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let so_far = read.clone();
        let reading = tokio::spawn(async move {
            let mut observed = listening(tokio::io::join(tokio::io::repeat(b'x'), tokio::io::sink()));
            let mut buffer = vec![0; 64 << 10];
            loop {
                so_far.fetch_add(observed.read(&mut buffer).await.unwrap(), Ordering::Relaxed);
            }
        });
        tokio::task::yield_now().await;
        reading.abort();
        let read = read.load(Ordering::Relaxed);
        assert!((1..=256 << 10).contains(&read), "{read} bytes in a turn");
    }
}
