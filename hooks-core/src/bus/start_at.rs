//! Where a new hook begins.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::human::HumanDuration;
use crate::timestamp;

/// The place in the log where a new hook begins. A hook that the bus knows goes on at its position. As text: `end`,
/// `earliest`, a duration such as `2h`, or a time such as `2026-11-27T10:00:00Z`.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use hooks_core::StartAt;
///
/// let two_hours: StartAt = "2h".parse()?;
/// let now = UNIX_EPOCH + Duration::from_secs(10 * 60 * 60);
/// assert_eq!(two_hours.since(now), Some(UNIX_EPOCH + Duration::from_secs(8 * 60 * 60)));
/// assert_eq!("earliest".parse(), Ok(StartAt::Earliest));
/// assert!("yesterday".parse::<StartAt>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartAt {
    /// The end: events that are published from now on.
    #[default]
    End,
    /// The oldest event that the log still has. On a bus without a log there is none.
    Earliest,
    /// The first event that was accepted so long ago or later, or a second before.
    Ago(HumanDuration),
    /// The first event that was accepted at this time or later, or a second before.
    Time(SystemTime),
}

impl StartAt {
    /// The time from which on events are wanted, for a place that is said by one.
    pub fn since(self, now: SystemTime) -> Option<SystemTime> {
        match self {
            Self::End | Self::Earliest => None,
            Self::Ago(age) => Some(now.checked_sub(age.get()).unwrap_or(SystemTime::UNIX_EPOCH)),
            Self::Time(time) => Some(time),
        }
    }
}

impl FromStr for StartAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "end" => Ok(Self::End),
            "earliest" => Ok(Self::Earliest),
            _ => {
                let age = text.parse().map(Self::Ago).ok();
                age.or_else(|| timestamp::parse(text).map(Self::Time)).ok_or_else(|| {
                    "expected \"end\", \"earliest\", a duration such as \"2h\", or a time such as \"2026-11-27T10:00:00Z\""
                        .to_owned()
                })
            }
        }
    }
}

impl fmt::Display for StartAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("end"),
            Self::Earliest => f.write_str("earliest"),
            Self::Ago(age) => age.fmt(f),
            Self::Time(time) => f.write_str(&timestamp::timestamp(*time)),
        }
    }
}

impl Serialize for StartAt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StartAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(feature = "config")]
impl schemars::JsonSchema for StartAt {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StartAt".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["end", "earliest", "2h", "2026-11-27T10:00:00Z"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        for text in ["end", "earliest", "2h", "1m 30s", "2026-11-27T10:00:00Z"] {
            assert_eq!(text.parse::<StartAt>().unwrap().to_string(), text);
        }
        assert_eq!("1d".parse::<StartAt>().unwrap().to_string(), "24h");
        for text in ["", "End", "-2h", "2", "2026-11-27", "yesterday"] {
            assert!(text.parse::<StartAt>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_age_beyond_all_times_is_the_beginning() {
        let age = StartAt::Ago(HumanDuration::new(std::time::Duration::MAX));
        assert_eq!(age.since(SystemTime::now()), Some(SystemTime::UNIX_EPOCH));
    }
}
