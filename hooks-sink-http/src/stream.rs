//! Byte streams, and a look at the bytes that have come and that nobody has read.

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::status_scanner::is_goodbye;

/// Anything that bytes go through.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// Looks at unread bytes. It asks the system: the runtime learns of them when it next looks, which is late while it
    /// is busy.
    fn peek(&self) -> Peeked;
}

/// The result of looking at unread bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peeked {
    Nothing,
    /// An end, or what may mean nothing.
    Something,
    /// Bytes that would be taken for an answer.
    Answer,
}

/// Long enough for the status line of a server that says goodbye.
const BEGINNING: usize = 64;

impl Stream for TcpStream {
    fn peek(&self) -> Peeked {
        let mut bytes = [0; BEGINNING];
        match recv(self, &mut bytes, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Err(Errno::WOULDBLOCK | Errno::INTR) => Peeked::Nothing,
            Ok((1.., read)) if !is_goodbye(&bytes[..read]) => Peeked::Answer,
            _ => Peeked::Something,
        }
    }
}

#[cfg(feature = "tls")]
impl Stream for tokio_rustls::client::TlsStream<Box<dyn Stream>> {
    fn peek(&self) -> Peeked {
        match self.get_ref().0.peek() {
            Peeked::Nothing => Peeked::Nothing,
            // Encrypted, it may be an alert or a session ticket.
            Peeked::Something | Peeked::Answer => Peeked::Something,
        }
    }
}

#[cfg(test)]
impl<R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send> Stream for tokio::io::Join<R, W> {
    fn peek(&self) -> Peeked {
        Peeked::Nothing
    }
}
