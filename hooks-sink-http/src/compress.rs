//! Bodies, compressed and back.

use std::io::{self, Read};

/// A content coding (RFC 9110, section 8.4.1): gzip (RFC 1952) or zstd (RFC 8878).
///
/// Each is there with the feature of its name.
///
/// ```
/// use hooks_sink_http::Encoding;
///
/// let body = b"[]".repeat(1_000);
/// let packed = Encoding::Gzip.compress(&body)?;
/// assert!(packed.len() < 100);
/// assert_eq!(Encoding::of("gzip"), Some(Encoding::Gzip));
/// assert_eq!(Encoding::Gzip.decompress(&packed, 10_000)?, body);
/// assert!(Encoding::Gzip.decompress(&packed, 100).is_err(), "a receiver takes no more than it asked for");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// `gzip`
    #[cfg(feature = "gzip")]
    Gzip,
    /// `zstd`
    #[cfg(feature = "zstd")]
    Zstd,
}

/// What a body holds that was compressed, as its first bytes say, if that is known here.
pub(crate) fn unpacker(body: &[u8]) -> Option<Box<dyn Read + '_>> {
    match body {
        #[cfg(feature = "gzip")]
        [0x1f, 0x8b, ..] => Some(Box::new(flate2::read::MultiGzDecoder::new(body))),
        #[cfg(feature = "zstd")]
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Box::new(zstd::stream::read::Decoder::with_buffer(body).ok()?)),
        #[cfg(feature = "gzip")]
        [0x78, second, ..] if (0x7800 + u16::from(*second)) % 31 == 0 => {
            Some(Box::new(flate2::read::ZlibDecoder::new(body)))
        }
        _ => None,
    }
}

// Without either feature there is no value of this type, and nothing of this is ever run.
#[cfg_attr(not(any(feature = "gzip", feature = "zstd")), allow(unused, unreachable_code))]
impl Encoding {
    /// The one that a `content-encoding` names.
    pub fn of(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            #[cfg(feature = "gzip")]
            "gzip" | "x-gzip" => Some(Self::Gzip),
            #[cfg(feature = "zstd")]
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Compresses a body, with the level that each format has by default.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn compress(self, body: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip => {
                use io::Write as _;
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(body)?;
                encoder.finish()
            }
            #[cfg(feature = "zstd")]
            Self::Zstd => zstd::bulk::compress(body, zstd::DEFAULT_COMPRESSION_LEVEL),
        }
    }

    /// The body that was compressed, if it has at most `max` bytes.
    ///
    /// # Errors
    /// When it is longer, or these bytes are none of this format.
    pub fn decompress(self, packed: &[u8], max: usize) -> io::Result<Vec<u8>> {
        let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
        let mut body = Vec::new();
        let mut unpacked: Box<dyn Read> = match self {
            #[cfg(feature = "gzip")]
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(packed)),
            #[cfg(feature = "zstd")]
            Self::Zstd => Box::new(zstd::Decoder::new(packed)?),
        };
        unpacked.by_ref().take(limit).read_to_end(&mut body)?;
        if body.len() > max {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("the body is longer than {max} bytes")));
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_compressed_comes_back(body in prop::collection::vec(any::<u8>(), 0..5_000)) {
            for encoding in ["gzip", "zstd"].into_iter().filter_map(Encoding::of) {
                let packed = encoding.compress(&body).unwrap();
                prop_assert_eq!(&encoding.decompress(&packed, body.len()).unwrap(), &body);
                if !body.is_empty() {
                    prop_assert!(encoding.decompress(&packed, body.len() - 1).is_err());
                }
                prop_assert!(encoding.decompress(&packed[..packed.len() - 1], body.len()).is_err(), "cut");
            }
        }
    }
}
