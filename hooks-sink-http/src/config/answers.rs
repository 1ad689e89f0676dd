//! What a receiver's answers mean where they mean something else than usual.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// What a status is written like: `"409"`, or `"5xx"` for all that begin with 5.
#[cfg(feature = "config")]
const STATUS: &str = "^[2-5]([0-9]{2}|xx)$";

/// The meaning of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AnswerMeaning {
    /// The batch was delivered. The body may name refused events, as that of any success.
    Delivered,
    /// Events of the batch are refused: it is split until they stand alone.
    Rejected,
    /// The batch is too large: it is split, and later ones are smaller for a while.
    TooLarge,
    /// Tried again with backoff.
    Retry,
    /// As `retry`; the receiver has too much to do.
    Throttle,
    /// The endpoint is wrong: the hook is held and tries again, and no event is given up.
    Endpoint,
    /// The receiver wants nothing any more: the hook is disabled.
    Gone,
}

/// The meaning of answers by their status, where it is not the usual one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers(Vec<(Statuses, AnswerMeaning)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Statuses {
    One(u16),
    /// All of a hundred.
    All(u16),
}

impl Answers {
    /// The meaning that is set for a status, if one is: for itself before that of its hundred.
    pub(crate) fn meaning(&self, status: u16) -> Option<AnswerMeaning> {
        let of = |statuses| self.0.iter().find(|(set, _)| *set == statuses).map(|(_, meaning)| *meaning);
        of(Statuses::One(status)).or_else(|| of(Statuses::All(status / 100)))
    }

    /// True if some answer means that a batch was delivered.
    pub(crate) fn can_deliver(&self) -> bool {
        (200..600).any(|status| match self.meaning(status) {
            Some(meaning) => meaning == AnswerMeaning::Delivered,
            None => status < 300,
        })
    }

    fn of_table(table: BTreeMap<String, AnswerMeaning>) -> Result<Self, String> {
        let wrong: Vec<_> = table.keys().filter(|status| statuses(status).is_none()).collect();
        let how = "write \"409\", or \"5xx\" for 500 to 599";
        match &wrong[..] {
            [] => {}
            [one] => return Err(format!("`{one}` is not a final status: {how}")),
            more => {
                let more: Vec<_> = more.iter().map(|status| format!("`{status}`")).collect();
                return Err(format!("{} are not final statuses: {how}", more.join(", ")));
            }
        }
        let entries = table.into_iter().filter_map(|(status, meaning)| Some((statuses(&status)?, meaning)));
        Ok(Self(entries.collect()))
    }
}

fn statuses(text: &str) -> Option<Statuses> {
    let hundred = text.strip_suffix("xx").filter(|digit| digit.len() == 1);
    let is_plain = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    match hundred {
        Some(digit) => digit.parse().ok().filter(|hundred| (2..6).contains(hundred)).map(Statuses::All),
        None if is_plain => text.parse().ok().filter(|status| (200..600).contains(status)).map(Statuses::One),
        None => None,
    }
}

impl FromIterator<(u16, AnswerMeaning)> for Answers {
    fn from_iter<I: IntoIterator<Item = (u16, AnswerMeaning)>>(answers: I) -> Self {
        Self(answers.into_iter().map(|(status, meaning)| (Statuses::One(status), meaning)).collect())
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(status) => write!(f, "{status}"),
            Self::All(hundred) => write!(f, "{hundred}xx"),
        }
    }
}

impl<'de> Deserialize<'de> for Answers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of_table(BTreeMap::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Answers {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(statuses, meaning)| (statuses.to_string(), meaning)))
    }
}

#[cfg(feature = "config")]
impl schemars::JsonSchema for Answers {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Answers".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let meaning = generator.subschema_for::<AnswerMeaning>();
        schemars::json_schema!({
            "type": "object",
            "propertyNames": { "pattern": STATUS },
            "additionalProperties": meaning,
            "examples": [{ "409": "delivered", "5xx": "throttle" }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_counts_before_its_hundred() {
        let answers: Answers = serde_json::from_value(json!({ "4xx": "rejected", "409": "delivered" })).unwrap();
        for (status, meaning) in [
            (409, Some(AnswerMeaning::Delivered)),
            (404, Some(AnswerMeaning::Rejected)),
            (499, Some(AnswerMeaning::Rejected)),
            (500, None),
            (200, None),
        ] {
            assert_eq!(answers.meaning(status), meaning, "{status}");
        }
        assert_eq!(serde_json::to_value(&answers).unwrap(), json!({ "4xx": "rejected", "409": "delivered" }));
    }

    #[test]
    fn what_is_no_status_is_named() {
        for status in ["100", "1xx", "600", "6xx", "40", "4040", "4x", "4xxx", "xx", "+40", "é0"] {
            let error = serde_json::from_value::<Answers>(json!({ status: "retry" })).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{status}` is not a final status")), "{error}");
        }
        let error =
            serde_json::from_str::<Answers>(r#"{"199":"retry","409":"retry","abc":"retry"}"#).unwrap_err().to_string();
        assert!(error.starts_with("`199`, `abc` are not final statuses: write"), "{error}");
        assert!(serde_json::from_value::<Answers>(json!({ "404": "ignored" })).is_err());
    }

    #[test]
    fn something_has_to_mean_delivered() {
        let can_deliver = |table| serde_json::from_value::<Answers>(table).unwrap().can_deliver();
        assert!(!can_deliver(json!({ "2xx": "retry" })));
        assert!(can_deliver(json!({ "2xx": "retry", "204": "delivered" })));
        assert!(can_deliver(json!({ "200": "retry" })));
    }
}
