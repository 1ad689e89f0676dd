//! The body of an answer, unpacked where the receiver compressed it although nobody asked for that.

use std::borrow::Cow;
use std::io::Read;

use http::header::CONTENT_ENCODING;

use crate::compress;
use crate::received::Received;

/// The body of an answer.
pub(crate) enum Body<'a> {
    /// As it came: nothing says that it is anything but text.
    Plain(&'a [u8]),
    /// The header says that it is encoded, and this is what it says; whether that is all of it.
    Encoded { text: Cow<'a, [u8]>, whole: bool },
    /// Encoded in a way that is not known here.
    Opaque(&'a [u8]),
}

impl<'a> Body<'a> {
    /// Unpacks at most so many bytes.
    pub(crate) fn of(received: &'a Received, max_bytes: usize) -> Self {
        let (body, mut encodings) = (&received.body[..], received.headers.get_all(CONTENT_ENCODING).iter());
        if body.is_empty() || encodings.all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Self::Plain(body);
        }
        // What the header says is often wrong: the first bytes are not.
        match compress::unpacker(body) {
            Some(decoder) => Self::unpacked(decoder, max_bytes),
            // A name that means nothing, or a compression that did not happen.
            None if std::str::from_utf8(body).is_ok() => Self::Encoded { text: body.into(), whole: true },
            None => Self::Opaque(body),
        }
    }

    fn unpacked(decoder: impl Read, max_bytes: usize) -> Self {
        let mut text = Vec::new();
        let read = decoder.take(max_bytes as u64 + 1).read_to_end(&mut text);
        let whole = read.is_ok() && text.len() <= max_bytes;
        text.truncate(max_bytes);
        Self::Encoded { text: text.into(), whole }
    }

    pub(crate) fn text(&self) -> &[u8] {
        match self {
            Self::Plain(text) | Self::Opaque(text) => text,
            Self::Encoded { text, .. } => text,
        }
    }

    /// True if unpacking came to the end.
    pub(crate) fn is_whole(&self) -> bool {
        !matches!(self, Self::Encoded { whole: false, .. })
    }

    pub(crate) fn is_encoded(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    pub(crate) fn is_readable(&self) -> bool {
        !matches!(self, Self::Opaque(_))
    }
}
