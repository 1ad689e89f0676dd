//! Bodies, compressed and back.

use std::io::{self, Read as _, Write as _};

/// A content coding (RFC 9110, section 8.4.1): gzip (RFC 1952) or zstd (RFC 8878).
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
    Gzip,
    /// `zstd`
    Zstd,
}

impl Encoding {
    /// The one that a `content-encoding` names.
    pub fn of(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip),
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
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(body)?;
                encoder.finish()
            }
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
        match self {
            Self::Gzip => flate2::read::MultiGzDecoder::new(packed).take(limit).read_to_end(&mut body)?,
            Self::Zstd => zstd::Decoder::new(packed)?.take(limit).read_to_end(&mut body)?,
        };
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
            for encoding in [Encoding::Gzip, Encoding::Zstd] {
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
