//! Reads the head of a request: its request line and headers, within limits.

use std::io;

use hooks_server::field::split;
use thiserror::Error;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// Most headers of a request.
const MAX_HEADERS: usize = 128;

/// The size limits of requests, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The request line and the headers.
    pub(crate) head: usize,
    /// The body, as it was sent and after it was unpacked.
    pub(crate) body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 64 << 10, body: 16 << 20 }
    }
}

/// A request line and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) method: String,
    /// The path with its query, as it was sent.
    pub(crate) target: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    is_http_1_0: bool,
}

/// The reason why there is no request.
#[derive(Debug, Error)]
pub(crate) enum Broken {
    /// The client closed the connection between requests, as it may.
    #[error("the connection was closed")]
    Closed,
    #[error("the connection broke off in the middle of a request")]
    Io(#[source] io::Error),
    #[error("no HTTP/1.1: {0}")]
    Head(String),
    #[error("{0}")]
    Body(String),
    #[error("larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("content-encoding `{0}` is not supported: use gzip or zstd")]
    Encoding(String),
    #[error("did not arrive within {0:?}")]
    TooSlow(std::time::Duration),
}

impl Broken {
    /// The status for a client that is still there.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Closed | Self::Io(_) => None,
            Self::Head(_) | Self::Body(_) => Some(400),
            Self::TooLarge { .. } => Some(413),
            Self::Encoding(_) => Some(415),
            Self::TooSlow(_) => Some(408),
        }
    }
}

impl Head {
    /// Reads to the empty line.
    ///
    /// # Errors
    /// [`Broken::Closed`] when nothing came at all.
    pub(crate) async fn read(reader: &mut (impl AsyncBufRead + Unpin), limits: Limits) -> Result<Self, Broken> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            if bytes.len() == limits.head {
                return Err(Broken::TooLarge { limit: limits.head });
            }
            match reader.read_u8().await {
                Ok(byte) => bytes.push(byte),
                Err(_) if bytes.is_empty() => return Err(Broken::Closed),
                Err(error) => return Err(Broken::Io(error)),
            }
        }
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Result<Self, Broken> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(Broken::Head("the head ends too early".to_owned())),
            Err(error) => return Err(Broken::Head(error.to_string())),
        }
        let text = |header: &httparse::Header<'_>| {
            (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
        };
        Ok(Self {
            method: request.method.unwrap_or_default().to_owned(),
            target: request.path.unwrap_or_default().to_owned(),
            headers: request.headers.iter().map(text).collect(),
            is_http_1_0: request.version == Some(0),
        })
    }

    /// The first header of this name, which is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let known = self.headers.iter().find(|(known, _)| known == name);
        known.map(|(_, value)| value.as_str())
    }

    /// Name and value of each header.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Every header of this name, which is in lower case.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The elements of a header that is a list, of all lines that it stands on. The name is in lower case.
    pub(super) fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name).flat_map(|value| split(value, ',')).filter(|element| !element.is_empty())
    }

    /// True if the client wants to send more on this connection.
    pub(crate) fn keeps_alive(&self) -> bool {
        let asks = |option: &str| self.list("connection").any(|asked| asked.eq_ignore_ascii_case(option));
        if self.is_http_1_0 { asks("keep-alive") } else { !asks("close") }
    }
}

/// Reads a line that ends in `\n`, without its end.
pub(super) async fn read_line(reader: &mut (impl AsyncBufRead + Unpin), limit: usize) -> Result<String, Broken> {
    let mut line = Vec::new();
    let mut limited = reader.take(limit as u64);
    limited.read_until(b'\n', &mut line).await.map_err(Broken::Io)?;
    let Some(line) = line.strip_suffix(b"\n") else {
        return Err(Broken::Io(io::ErrorKind::UnexpectedEof.into()));
    };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8(line.to_vec()).map_err(|_| Broken::Body("a chunk's size is no text".to_owned()))
}
