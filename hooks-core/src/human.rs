//! Durations and sizes as people write them: `"1m 30s"`, `"64KiB"`.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::wrapper::wrapper;

/// A [`Duration`] that is written with units: `"250ms"`, `"15s"`, `"1h30m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HumanDuration(Duration);

wrapper! {
    HumanDuration(Duration),
    /// This duration.
    new,
    /// The duration.
    get
}

impl HumanDuration {
    /// What a duration of at most 30 days looks like when it is well written, for schemas. More ways are understood.
    pub const PATTERN: &str = "^([0-9]{1,6}(ms|s)|[0-9]{1,4}m|[0-9]{1,2}h([0-5]?[0-9]m)?|([12]?[0-9]|30)d)$";
}

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let advice = "a duration with its unit, for example \"250ms\", \"15s\", \"1h30m\" or \"30d\"";
        let signed = text.parse().ok().or_else(|| with_days(text)).ok_or_else(|| format!("expected {advice}"))?;
        Duration::try_from(signed).map(Self).map_err(|_| format!("expected {advice}, not negative"))
    }
}

/// Reads days of 24 hours and weeks of 7 days, too. Months and years have no fixed length.
fn with_days(text: &str) -> Option<jiff::SignedDuration> {
    let span: jiff::Span = text.parse().ok()?;
    span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::SignedDuration::try_from(self.0) {
            Ok(signed) => write!(f, "{signed:#}"),
            Err(_) => write!(f, "{:?}", self.0),
        }
    }
}

/// A number of bytes: `"64KiB"`, `"10MB"`, or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(u64);

wrapper! {
    ByteSize(u64),
    /// This many bytes.
    new,
    /// The number of bytes.
    bytes
}

impl ByteSize {
    /// The size as a length in memory.
    pub fn get(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size: bytesize::ByteSize =
            text.parse().map_err(|_| "expected a size, for example \"64KiB\" or \"10MB\"".to_owned())?;
        Ok(Self(size.as_u64()))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.into_iter().find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size)) {
            Some((unit, size)) => write!(f, "{}{unit}", self.0 / size),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A rate: `"10/s"`, `"600/m"`, `"5000/h"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    count: NonZeroU32,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Unit {
    Second,
    Minute,
    Hour,
}

impl Rate {
    /// A rate of `count` per second.
    pub const fn per_second(count: NonZeroU32) -> Self {
        Self { count, unit: Unit::Second }
    }

    /// A rate of `count` per minute.
    pub const fn per_minute(count: NonZeroU32) -> Self {
        Self { count, unit: Unit::Minute }
    }

    /// The time from one to the next.
    pub fn interval(self) -> Duration {
        self.unit.duration() / self.count.get()
    }

    /// The whole number that a second allows, at least one.
    pub fn in_a_second(self) -> NonZeroU32 {
        let count = u64::from(self.count.get()) / self.unit.duration().as_secs();
        u32::try_from(count).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
    }
}

impl Unit {
    const ALL: [(Self, &str); 3] = [(Self::Second, "s"), (Self::Minute, "m"), (Self::Hour, "h")];

    const fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        })
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let rate = parts.and_then(|(count, unit)| {
            let unit = Unit::ALL.into_iter().find(|(_, name)| *name == unit.trim())?.0;
            let count: NonZeroU32 = count.trim().parse().ok()?;
            // Intervals are counted in nanoseconds.
            (count.get() <= 1_000_000_000).then_some(Self { count, unit })
        });
        rate.ok_or_else(|| "expected a rate above 0, for example \"10/s\", \"600/m\" or \"5000/h\"".to_owned())
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = Unit::ALL.into_iter().find(|(unit, _)| *unit == self.unit).map_or("", |(_, name)| name);
        write!(f, "{}/{unit}", self.count)
    }
}

/// The word in a schema for the pattern of what is well written: more than that is read, and in a config file a variable
/// may stand in its place.
#[cfg(feature = "config")]
const WRITTEN: &str = "x-pattern";

macro_rules! written_as_text {
    ($type:ident, $examples:expr, $pattern:literal, $numbers:literal) => {
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

        #[cfg(feature = "config")]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let kind = if $numbers { serde_json::json!(["string", "integer"]) } else { "string".into() };
                let mut schema = schemars::json_schema!({ "type": kind, "examples": $examples });
                schema.insert(WRITTEN.to_owned(), $pattern.into());
                schema
            }
        }
    };
}

written_as_text!(
    HumanDuration,
    ["250ms", "15s", "1h30m", "30d"],
    "^[0-9]{1,6}(ms|s|m|h|d)$|^[0-9]{1,4}h[0-5]?[0-9]m$",
    false
);
written_as_text!(Rate, ["10/s", "600/m"], "^[1-9][0-9]{0,8}/[smh]$", false);
written_as_text!(ByteSize, ["64KiB", "10MB"], "^[0-9]{1,9}([kMG]i?B)?$", true);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let read = |text: &str| {
            serde_json::from_str::<HumanDuration>(text).map(|span| span.0).map_err(|error| error.to_string())
        };
        assert_eq!(read("\"1s\""), Ok(Duration::from_secs(1)));
        assert_eq!(read("\"1h30m\""), Ok(Duration::from_secs(5_400)));
        assert_eq!(read("\"250ms\""), Ok(Duration::from_millis(250)));
        for (days, hours) in [("30d", 720), ("1d 12h", 36), ("1d12h", 36), ("2 days", 48), ("1w", 168)] {
            assert_eq!(read(&format!("\"{days}\"")), Ok(Duration::from_secs(hours * 3_600)), "{days}");
        }
        for bad in ["\"\"", "\"5\"", "5", "\"-1s\"", "true", "\"1 parsec\"", "\"1 month\"", "\"-1d\""] {
            assert!(read(bad).unwrap_err().contains("expected a duration with its unit"), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        let read =
            |text: &str| serde_json::from_str::<ByteSize>(text).map(|bytes| bytes.0).map_err(|error| error.to_string());
        assert_eq!(read("\"1MiB\""), Ok(1 << 20));
        assert_eq!(read("\"1MB\""), Ok(1_000_000));
        assert_eq!(read("4096"), Ok(4096));
        for bad in ["\"\"", "\"lots\"", "-1", "true"] {
            assert!(read(bad).unwrap_err().contains("expected a size"), "{bad}");
        }
    }

    #[test]
    fn rates() {
        let read = |text: &str| text.parse::<Rate>();
        assert_eq!(read("10/s").unwrap().interval(), Duration::from_millis(100));
        assert_eq!(read("600/m").unwrap().interval(), Duration::from_millis(100));
        assert_eq!(read("5000/h").unwrap().in_a_second().get(), 1);
        assert_eq!(read("90 / m").unwrap().to_string(), "90/m");
        for bad in ["", "10", "0/s", "-1/s", "1.5/s", "10/d", "4000000000/s"] {
            assert!(read(bad).unwrap_err().contains("expected a rate"), "{bad}");
        }
    }

    #[test]
    fn what_is_printed_is_read_again() {
        for text in ["1s", "1m 30s", "250ms"] {
            let span: HumanDuration = text.parse().unwrap();
            assert_eq!(span.to_string().parse::<HumanDuration>().unwrap(), span);
        }
        for (text, bytes) in [("64KiB", 65_536), ("1MiB", 1 << 20), ("1000", 1_000), ("3GiB", 3 << 30), ("0", 0)] {
            assert_eq!((ByteSize::new(bytes).to_string().as_str(), text.parse()), (text, Ok(ByteSize::new(bytes))));
        }
    }
}
