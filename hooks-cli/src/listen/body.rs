//! The framing and encoding of a request's body.

use std::io::Read;

use tokio::io::{AsyncBufRead, AsyncReadExt as _};

use super::head::{Broken, Head, read_line};

/// The end of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
}

/// Longest line between chunks: a size with its extensions, or a trailer.
const MAX_LINE: usize = 4 << 10;

/// Most trailers after the last chunk.
const MAX_TRAILERS: usize = 64;

impl Framing {
    /// The framing that the headers say (RFC 9112, 6.3). Two lengths that differ, or a length beside chunks, is how
    /// requests are smuggled, and no client does it by accident.
    pub(super) fn of(head: &Head) -> Result<Self, String> {
        let mut lengths = head.all("content-length").map(|text| number(text.trim(), 10));
        let length = lengths.next().map(|length| length.ok_or("content-length is no number of bytes")).transpose()?;
        if lengths.any(|other| other != length) {
            return Err("several content-length headers that differ".to_owned());
        }
        let codings: Vec<_> = head.list("transfer-encoding").collect();
        match (codings.as_slice(), length) {
            ([], length) => Ok(Self::Length(length.unwrap_or(0))),
            (_, Some(_)) => Err("both content-length and transfer-encoding".to_owned()),
            ([coding], None) if coding.eq_ignore_ascii_case("chunked") => Ok(Self::Chunked),
            (codings, None) => Err(format!("transfer-encoding `{}` is not supported", codings.join(", "))),
        }
    }

    pub(super) fn is_larger_than(self, limit: usize) -> bool {
        matches!(self, Self::Length(length) if length > limit as u64)
    }

    pub(super) async fn read(self, reader: &mut (impl AsyncBufRead + Unpin), limit: usize) -> Result<Vec<u8>, Broken> {
        let mut body = Vec::new();
        match self {
            Self::Length(length) => read_exactly(reader, length, &mut body).await?,
            Self::Chunked => read_chunks(reader, limit, &mut body).await?,
        }
        Ok(body)
    }
}

/// Of digits alone: no sign, as [`u64::from_str_radix`] would take it.
fn number(text: &str, radix: u32) -> Option<u64> {
    let is_digit = |char: char| char.is_digit(radix);
    text.chars().all(is_digit).then(|| u64::from_str_radix(text, radix).ok()).flatten()
}

async fn read_chunks(reader: &mut (impl AsyncBufRead + Unpin), limit: usize, body: &mut Vec<u8>) -> Result<(), Broken> {
    loop {
        let line = read_line(reader, MAX_LINE).await?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = number(size, 16).ok_or_else(|| Broken::Body(format!("`{size}` is no size of a chunk")))?;
        if size == 0 {
            break;
        }
        if size > (limit - body.len()) as u64 {
            return Err(Broken::TooLarge { limit });
        }
        read_exactly(reader, size, body).await?;
        if !read_line(reader, MAX_LINE).await?.is_empty() {
            return Err(Broken::Body("a chunk is longer than its size".to_owned()));
        }
    }
    for _ in 0..MAX_TRAILERS {
        if read_line(reader, MAX_LINE).await?.is_empty() {
            return Ok(());
        }
    }
    Err(Broken::Body(format!("more than {MAX_TRAILERS} trailers")))
}

/// Grows with what comes, so that a length alone costs nothing.
async fn read_exactly(reader: &mut (impl AsyncBufRead + Unpin), length: u64, into: &mut Vec<u8>) -> Result<(), Broken> {
    let read = reader.take(length).read_to_end(into).await.map_err(Broken::Io)?;
    if read as u64 == length { Ok(()) } else { Err(Broken::Io(std::io::ErrorKind::UnexpectedEof.into())) }
}

/// Unpacks at most `limit` bytes.
pub(super) fn decode(encoding: &str, packed: &[u8], limit: usize) -> Result<Vec<u8>, Broken> {
    let mut unpacked = Vec::new();
    let read = match encoding.trim().to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => {
            flate2::read::MultiGzDecoder::new(packed).take(limit as u64 + 1).read_to_end(&mut unpacked)
        }
        "zstd" => zstd::stream::read::Decoder::new(packed)
            .and_then(|decoder| decoder.take(limit as u64 + 1).read_to_end(&mut unpacked)),
        other => return Err(Broken::Encoding(other.to_owned())),
    };
    read.map_err(|error| Broken::Body(format!("the body is no {encoding}: {error}")))?;
    if unpacked.len() > limit { Err(Broken::TooLarge { limit }) } else { Ok(unpacked) }
}
