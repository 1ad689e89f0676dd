//! Reads how an answer over HTTP/1 begins. The parser tells nothing of an answer that it can't read, but the status
//! line at its beginning says what became of the request.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

use crate::connection_state::ConnectionState;
use crate::stream::{Peeked, Stream, is_goodbye};

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

/// `HTTP/1.1 200 `: as much of a status line as says something.
const LENGTH: usize = 13;

/// Length of `HTTP/2`.
const WITHOUT_MINOR: usize = 6;

/// Listens to bytes until it has heard a final status, or something that is no answer.
#[derive(Debug, Default)]
struct StatusScanner {
    line: [u8; LENGTH],
    at: usize,
    state: ScanState,
    /// The number of interim answers that began.
    interims: u16,
}

#[derive(Debug, Clone, Copy, Default)]
enum ScanState {
    /// The beginning of a status line.
    #[default]
    Line,
    /// The rest of the line of a final status.
    Final(u16),
    /// The head of an interim answer, whose end are two line feeds without anything between them.
    Interim { feeds: u8 },
    /// Nothing more.
    Nothing,
}

impl StatusScanner {
    /// The final status, when its line ends in these bytes.
    fn scan(&mut self, bytes: &[u8]) -> Option<u16> {
        if let ScanState::Nothing = self.state {
            return None;
        }
        bytes.iter().find_map(|byte| self.scan_byte(*byte))
    }

    /// True if it has heard neither yet.
    fn is_scanning(&self) -> bool {
        !matches!(self.state, ScanState::Nothing)
    }

    fn scan_byte(&mut self, byte: u8) -> Option<u16> {
        match &mut self.state {
            ScanState::Nothing => {}
            // Empty lines before an answer are passed over.
            ScanState::Line if self.at == 0 && matches!(byte, b'\r' | b'\n') => {}
            ScanState::Line => {
                // Servers that write a status line for HTTP/2 leave out the minor version.
                if self.at == WITHOUT_MINOR && byte == b' ' {
                    self.line[self.at..][..2].copy_from_slice(b".0");
                    self.at += 2;
                }
                self.line[self.at] = byte;
                self.at += 1;
                if self.at == LENGTH {
                    self.state = judge(&self.line);
                    self.at = 0;
                    if let ScanState::Interim { .. } = self.state {
                        self.interims = self.interims.saturating_add(1);
                    }
                    if let (ScanState::Final(status), b'\n') = (self.state, byte) {
                        self.state = ScanState::Nothing;
                        return Some(status);
                    }
                }
            }
            ScanState::Final(status) if byte == b'\n' => {
                let status = *status;
                self.state = ScanState::Nothing;
                return Some(status);
            }
            ScanState::Final(_) => {}
            ScanState::Interim { feeds } => match byte {
                b'\n' if *feeds == 1 => self.state = ScanState::Line,
                b'\n' => *feeds = 1,
                b'\r' => {}
                _ => *feeds = 0,
            },
        }
        None
    }
}

/// The state that follows the beginning of a status line.
fn judge(line: &[u8; LENGTH]) -> ScanState {
    let [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9', b' ', a, b, c, end] = line else {
        return ScanState::Nothing;
    };
    let digits = [a, b, c].map(|digit| u16::from(*digit) - u16::from(b'0').min(u16::from(*digit)));
    if ![a, b, c].iter().all(|digit| digit.is_ascii_digit()) || !matches!(end, b' ' | b'\r' | b'\n') {
        return ScanState::Nothing;
    }
    match digits[0] * 100 + digits[1] * 10 + digits[2] {
        0..100 => ScanState::Nothing,
        100 | 102..200 => ScanState::Interim { feeds: u8::from(*end == b'\n') },
        status => ScanState::Final(status),
    }
}

/// The status of an answer's head, if that begins with one.
pub(crate) fn status(head: &[u8]) -> Option<u16> {
    StatusScanner::default().scan(head)
}

/// True if this head, which has ended, is of an interim answer: another one comes.
pub(crate) fn is_interim(head: &[u8]) -> bool {
    let mut scanner = StatusScanner::default();
    scanner.scan(head).is_none() && matches!(scanner.state, ScanState::Line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use tokio::io::AsyncReadExt as _;

    #[test]
    fn what_is_heard() {
        for (text, observed) in [
            ("HTTP/1.1 200 OK\r\n", Some(200)),
            ("HTTP/1.0 503 \n", Some(503)),
            ("HTTP/2 200 OK\r\n", Some(200)),
            ("HTTP/2 200\n\nok", Some(200)),
            ("HTTP/2 103 \r\n\r\nHTTP/3 410 \r\n", Some(410)),
            ("HTTP/2.0 503 \r\n", Some(503)),
            ("HTTP/20 200 OK\r\n", None),
            ("HTTP/1.1 410\r\n", Some(410)),
            ("HTTP/1.1 410\nx", Some(410)),
            ("\r\n\r\nHTTP/1.1 204 \u{e9}\u{1}\r\nnonsense", Some(204)),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n", Some(201)),
            ("HTTP/1.1 103\na: b\nc: d\n\nHTTP/1.1 202\n", Some(202)),
            ("HTTP/1.1 101 Switching Protocols\r\n", Some(101)),
            ("HTTP/1.1 100 Continue\r\na: HTTP/1.1 200 OK\r\n", None),
            ("HTTP/1.1 200 OK", None),
            ("HTTP/1.1 200", None),
            ("HTTP/1.1 99 Low\r\n\r\n", None),
            ("HTTP/1.1 020 Low\r\n\r\n", None),
            ("HTTP/1.1 2000 High\r\n", None),
            ("HTTP/1.1  200 OK\r\n", None),
            ("ICY 200 OK\r\n", None),
            ("SSH-2.0-OpenSSH_9.2\r\nHTTP/1.1 200 OK\r\n", None),
            ("", None),
        ] {
            assert_eq!(status(text.as_bytes()), observed, "{text:?}");
            let mut scanner = StatusScanner::default();
            let bytes: Vec<_> = text.as_bytes().chunks(1).filter_map(|byte| scanner.scan(byte)).collect();
            assert_eq!(bytes, Vec::from_iter(observed), "{text:?}, byte by byte");
        }
    }

    fn listening(stream: impl Stream + 'static) -> ObservedStream {
        let line = ConnectionState::new(([127, 0, 0, 1], 80).into());
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
