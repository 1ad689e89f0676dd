//! Durations and sizes as people write them: `"1m 30s"`, `"64KiB"`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A [`Duration`] that is written with units: `"250ms"`, `"15s"`, `"1h30m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let advice = "a duration with its unit, for example \"250ms\", \"15s\" or \"1h30m\"";
        let signed: jiff::SignedDuration = text.parse().map_err(|_| format!("expected {advice}"))?;
        Duration::try_from(signed).map(Self).map_err(|_| format!("expected {advice}, not negative"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::SignedDuration::try_from(self.0) {
            Ok(signed) => write!(f, "{signed:#}"),
            Err(_) => write!(f, "{:?}", self.0),
        }
    }
}

/// A number of bytes: `"64KiB"`, `"10MB"`, or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

impl Bytes {
    /// As a length in memory.
    pub fn get(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size: bytesize::ByteSize =
            text.parse().map_err(|_| "expected a size, for example \"64KiB\" or \"10MB\"".to_owned())?;
        Ok(Self(size.as_u64()))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.into_iter().find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size)) {
            Some((unit, size)) => write!(f, "{}{unit}", self.0 / size),
            None => write!(f, "{}", self.0),
        }
    }
}

macro_rules! written_as_text {
    ($type:ident, $examples:expr, $numbers:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(untagged)]
                enum Written {
                    Text(String),
                    Number(u64),
                    Other(serde::de::IgnoredAny),
                }
                let text = match Written::deserialize(deserializer)? {
                    Written::Text(text) => text,
                    Written::Number(number) => number.to_string(),
                    Written::Other(_) => String::new(),
                };
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                if $numbers {
                    json_schema!({ "type": ["string", "integer"], "examples": $examples })
                } else {
                    json_schema!({ "type": "string", "examples": $examples })
                }
            }
        }
    };
}

written_as_text!(Span, ["250ms", "15s", "1h30m"], false);
written_as_text!(Bytes, ["64KiB", "10MB"], true);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let read =
            |text: &str| serde_json::from_str::<Span>(text).map(|span| span.0).map_err(|error| error.to_string());
        assert_eq!(read("\"1s\""), Ok(Duration::from_secs(1)));
        assert_eq!(read("\"1h30m\""), Ok(Duration::from_secs(5_400)));
        assert_eq!(read("\"250ms\""), Ok(Duration::from_millis(250)));
        for bad in ["\"\"", "\"5\"", "5", "\"-1s\"", "true", "\"1 parsec\""] {
            assert!(read(bad).unwrap_err().contains("expected a duration with its unit"), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        let read =
            |text: &str| serde_json::from_str::<Bytes>(text).map(|bytes| bytes.0).map_err(|error| error.to_string());
        assert_eq!(read("\"1MiB\""), Ok(1 << 20));
        assert_eq!(read("\"1MB\""), Ok(1_000_000));
        assert_eq!(read("4096"), Ok(4096));
        for bad in ["\"\"", "\"lots\"", "-1", "true"] {
            assert!(read(bad).unwrap_err().contains("expected a size"), "{bad}");
        }
    }

    #[test]
    fn what_is_printed_is_read_again() {
        for text in ["1s", "1m 30s", "250ms"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
        for (text, bytes) in [("64KiB", 65_536), ("1MiB", 1 << 20), ("1000", 1_000), ("3GiB", 3 << 30), ("0", 0)] {
            assert_eq!((Bytes(bytes).to_string().as_str(), text.parse()), (text, Ok(Bytes(bytes))));
        }
    }
}
