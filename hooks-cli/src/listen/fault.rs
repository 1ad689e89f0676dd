//! Receivers that misbehave, below HTTP and within it.

use std::time::Duration;

use clap::ValueEnum;
use tokio::io::{AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;

/// One way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// Never accept a connection
    NeverAccept,
    /// Close the connection without an answer
    HangUp,
    /// Read the request and never answer
    Stall,
    /// Read the request a byte a second
    SlowRead,
    /// Answer a byte a second
    Drip,
    /// Reset the connection in the middle of the answer
    Reset,
    /// Answer with headers that never end
    EndlessHeaders,
    /// Answer with a body that never ends
    EndlessBody,
    /// Send interim (1xx) answers and never the final one
    Interim,
    /// Announce a longer body than the answer has
    WrongLength,
    /// Break off in the middle of a chunk
    TruncatedChunks,
    /// Answer with 10 MiB of gzip that unpack to 10 GiB
    Bomb,
    /// Answer 200 with a body of random bytes
    Garbage,
    /// Close kept-alive connections when the next request comes
    CloseIdle,
}

/// The next step of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The next request can come.
    Next,
    /// It ends in good order.
    Close,
    /// It is dropped at once, and reset if something was left unread.
    Drop,
}

/// Between two bytes of what is slow.
pub(super) const SLOW: Duration = Duration::from_secs(1);

impl Fault {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// True if it is about connections and not about answers.
    pub(crate) fn affects_connections(self) -> bool {
        matches!(self, Self::NeverAccept | Self::CloseIdle)
    }

    /// True if the answer has a whole status line. Then its status counts, whatever comes behind it.
    pub(crate) fn answers(self) -> bool {
        matches!(
            self,
            Self::CloseIdle
                | Self::Garbage
                | Self::EndlessBody
                | Self::EndlessHeaders
                | Self::Reset
                | Self::WrongLength
                | Self::TruncatedChunks
                | Self::Bomb
        )
    }

    /// The next step of the connection after such an answer.
    pub(super) fn then(self) -> Then {
        match self {
            Self::NeverAccept | Self::CloseIdle | Self::SlowRead | Self::Garbage => Then::Next,
            Self::HangUp | Self::Reset => Then::Drop,
            _ => Then::Close,
        }
    }
}

/// Most bytes that are read slowly: a client that has gone is noticed only behind what it sent.
pub(super) const SLOWLY: usize = 600;

/// Reads a byte a second, for ten minutes at most.
pub(super) async fn read_slowly(stream: &mut BufReader<TcpStream>) {
    for _ in 0..SLOWLY {
        if stream.read_u8().await.is_err() {
            return;
        }
        tokio::time::sleep(SLOW).await;
    }
}
