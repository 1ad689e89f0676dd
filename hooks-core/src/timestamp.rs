//! Times as text: RFC 3339 in UTC.

use std::time::SystemTime;

use serde::{Deserialize as _, Deserializer, Serializer};

/// The text of a time to the second, for example `2026-11-27T10:00:00Z`; empty for one outside of the years that RFC 3339 has.
pub fn timestamp(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| String::new(), |at| format!("{at:.0}"))
}

/// The text of a time to the microsecond, for example `2026-11-27T10:00:00.012345Z`; empty for one outside of the years
/// that RFC 3339 has.
pub fn precise_timestamp(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| String::new(), |at| format!("{at:.6}"))
}

pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    text.parse().ok().and_then(|at: jiff::Timestamp| at.try_into().ok())
}

pub(crate) fn serialize<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp(*at))
}

/// Reads a text that is no time as the beginning of 1970.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
    Ok(parse(&String::deserialize(deserializer)?).unwrap_or(SystemTime::UNIX_EPOCH))
}

/// A time that may be unknown: null, as is a text that is no time.
pub(crate) mod option {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(at: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::serialize(at, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.and_then(|text| parse(&text)))
    }
}
