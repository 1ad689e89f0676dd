//! Moving a hook to another place in the log.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{BusError, Position, StartAt};
use crate::filter::Filter;
#[cfg(feature = "config")]
use crate::human::HumanDuration;
use crate::id::HookId;

/// The place in the log where a hook goes on. As text: what a [`StartAt`] is, or the position of an event, such as `4711`.
///
/// ```
/// use hooks_core::{Position, StartAt, bus::SeekTo};
///
/// assert_eq!("4711".parse(), Ok(SeekTo::Position(Position::new(4711))));
/// assert_eq!("earliest".parse(), Ok(SeekTo::Start(StartAt::Earliest)));
/// assert!("yesterday".parse::<SeekTo>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekTo {
    /// Where a new hook would begin that is set so.
    Start(StartAt),
    /// The event of this position, or the first one behind it.
    Position(Position),
}

impl FromStr for SeekTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(position) => Ok(Self::Position(Position::new(position))),
            Err(_) => text.parse().map(Self::Start).map_err(|error| format!("{error}, or a position such as \"4711\"")),
        }
    }
}

impl fmt::Display for SeekTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(start) => start.fmt(f),
            Self::Position(position) => position.get().fmt(f),
        }
    }
}

impl Serialize for SeekTo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SeekTo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a text, or a position as a number")]
        enum Written {
            Position(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Position(position) => Ok(Self::Position(Position::new(position))),
            Written::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

#[cfg(feature = "config")]
impl schemars::JsonSchema for SeekTo {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SeekTo".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                { "enum": ["earliest", "end"] },
                { "type": "string", "pattern": HumanDuration::PATTERN },
                { "type": "string", "pattern": "^[0-9]{1,19}$" },
                { "type": "string", "format": "date-time" },
                { "type": "integer", "minimum": 0, "maximum": u64::MAX },
            ],
            "examples": ["earliest", "end", "2h", "2026-11-27T10:00:00Z", 4711],
        })
    }
}

/// A request to move a hook.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Seek {
    /// Where it goes on.
    pub to: SeekTo,
    /// True if events may be skipped, which are given up.
    pub skip: bool,
    /// True to say only what would be done.
    pub dry_run: bool,
    /// The filter of the hook, for counting its events. Without one, all events count, and the counts are upper bounds.
    pub filter: Option<Arc<Filter>>,
}

impl Seek {
    /// To this place, where nothing is skipped for that.
    pub fn to(to: SeekTo) -> Self {
        Self { to, skip: false, dry_run: false, filter: None }
    }

    /// With leave to skip events.
    #[must_use]
    pub fn skip(self, skip: bool) -> Self {
        Self { skip, ..self }
    }

    /// Only to say what would be done.
    #[must_use]
    pub fn dry_run(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// For a hook with this filter.
    #[must_use]
    pub fn filter(self, filter: Arc<Filter>) -> Self {
        Self { filter: Some(filter), ..self }
    }

    /// For buses: refuses to skip events where that is not asked for.
    ///
    /// # Errors
    /// [`SeekError::Ahead`].
    pub fn check(&self, before: u64, after: u64) -> Result<(), SeekError> {
        let is_refused = after > before && !self.skip && !self.dry_run;
        if is_refused { Err(SeekError::Ahead { before, after }) } else { Ok(()) }
    }
}

/// Where a hook was and where it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
pub struct Sought {
    /// The position of the oldest event that the hook was not done with, or the end of the log.
    pub before: u64,
    /// The position where it goes on.
    pub after: u64,
    /// Events that it is delivered again, for it goes back.
    pub again: u64,
    /// Events that it is not delivered, for it goes ahead.
    pub skipped: u64,
    /// True if every counted event matches the hook's filter. Otherwise the counts are upper bounds.
    pub exact: bool,
    /// False if the log no longer has the place that was asked for: the hook goes on with the oldest event that there is.
    pub reached: bool,
}

impl Sought {
    /// For buses: from here to there, with so many events that come again or, where it goes ahead, are skipped.
    pub fn new(before: u64, after: u64, events: u64, exact: bool) -> Self {
        let (again, skipped) = if after <= before { (events, 0) } else { (0, events) };
        Self { before, after, again, skipped, exact, reached: true }
    }

    /// For buses: sets whether the log still has the place that was asked for.
    #[must_use]
    pub fn reached(self, reached: bool) -> Self {
        Self { reached, ..self }
    }
}

/// The reason why a hook was not moved. It is where it was.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SeekError {
    /// The place lies ahead, and nobody said that events may be skipped.
    #[error("it is at position {before} and would go ahead to {after}, which skips events")]
    Ahead {
        /// Where the hook is.
        before: u64,
        /// Where it would go on.
        after: u64,
    },
    /// No event has this position yet.
    #[error("there is no position {to} yet: the log ends at {end}")]
    BeyondEnd {
        /// The position that was asked for.
        to: u64,
        /// The position that the next event gets.
        end: u64,
    },
    /// The bus keeps no position of this hook.
    #[error("there is no position of the hook `{0}`")]
    Unknown(HookId),
    /// Another instance has the hook.
    #[error("the instance {0} has the hook")]
    Elsewhere(String),
    /// The bus keeps no past that hooks could go back to, and can't skip either.
    #[error("this bus can't move a hook")]
    Unsupported,
    /// The bus could not do it. It may be done all the same.
    #[error(transparent)]
    Bus(#[from] BusError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        for text in ["end", "earliest", "2h", "2026-11-27T10:00:00Z", "0", "18446744073709551615"] {
            assert_eq!(text.parse::<SeekTo>().unwrap().to_string(), text);
        }
        for text in ["", "End", "-2h", "-2", "2.5", "18446744073709551616", "yesterday"] {
            let error = text.parse::<SeekTo>().unwrap_err();
            assert!(error.ends_with("or a position such as \"4711\""), "{error}");
        }
        let read = |json: &str| serde_json::from_str::<SeekTo>(json).ok();
        assert_eq!(read("4711"), read("\"4711\""));
        assert_eq!(read("\"2h\""), "2h".parse().ok());
        for json in ["-1", "1.5", "null", "\"now\""] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn only_who_says_so_skips() {
        let seek = || Seek::to(SeekTo::Start(StartAt::End));
        assert!(seek().check(7, 7).is_ok() && seek().check(7, 3).is_ok());
        assert!(matches!(seek().check(7, 8), Err(SeekError::Ahead { .. })));
        assert!(seek().skip(true).check(7, 8).is_ok() && seek().dry_run(true).check(7, 8).is_ok());
    }

    /// What programs read.
    #[test]
    fn the_json_of_an_answer_stays_as_it_is() {
        let sought = Sought::new(7, 3, 4, true);
        let json = r#"{"before":7,"after":3,"again":4,"skipped":0,"exact":true,"reached":true}"#;
        assert_eq!(serde_json::to_string(&sought).unwrap(), json);
        assert_eq!(serde_json::from_str::<Sought>(json).unwrap(), sought);
    }
}
