//! The requests of operators.

use std::collections::BTreeSet;

use hooks_core::bus::{Seek, SeekTo};
use hooks_core::{DeadLetterId, DeadLetterReason, HookId, Pattern};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::events::{EventQuery, MOST_GLOBS, ResendFilter, few_globs};
use super::response::Problem;
use crate::history::AttemptQuery;

/// A request of an operator. Over HTTP each is a route of its own; the instances of a shared bus send one another the
/// same as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Request {
    /// The status of all hooks: `GET /v1/status`.
    Status,
    /// How it stands with all hooks, and how it went: `GET /v1/overview`.
    Overview,
    /// The bus's report on itself and its log: `GET /v1/log`.
    Log,
    /// `POST /v1/hooks/{id}/enable`.
    Enable {
        /// The hook.
        hook: HookId,
    },
    /// `POST /v1/hooks/{id}/disable`.
    Disable {
        /// The hook.
        hook: HookId,
    },
    /// Removes all that is kept for a hook that does not run: `DELETE /v1/hooks/{id}?stopped=true`.
    Forget {
        /// The hook.
        hook: HookId,
    },
    /// Moves a hook to another place in the log: `POST /v1/hooks/{id}/seek` with a [`SeekRequest`].
    Seek {
        /// The hook.
        hook: HookId,
        /// Where.
        seek: SeekRequest,
    },
    /// A page of dead letters: `GET /v1/hooks/{id}/dead-letters?after=17`.
    DeadLetters {
        /// The hook.
        hook: HookId,
        /// The page begins with the next one.
        after: Option<DeadLetterId>,
    },
    /// Delivers dead letters once more: `POST /v1/hooks/{id}/dead-letters/replay` with a [`DeadLetterFilter`].
    Replay {
        /// The hook.
        hook: HookId,
        /// Which ones.
        which: DeadLetterFilter,
    },
    /// Sends past events again: `POST /v1/hooks/{id}/resend` with a [`ResendFilter`].
    Resend {
        /// The hook.
        hook: HookId,
        /// Which ones.
        which: ResendFilter,
    },
    /// Drops dead letters: `POST /v1/hooks/{id}/dead-letters/drop` with a [`DeadLetterFilter`].
    Drop {
        /// The hook.
        hook: HookId,
        /// Which ones.
        which: DeadLetterFilter,
    },
    /// A receiver called the address that it was given, which another instance may have done. Over HTTP the receiver itself
    /// asks: `POST /v1/grants/{secret}`.
    Grant {
        /// The last part of the address.
        secret: String,
        /// The headers that mean something: names in lower case, and values.
        headers: Vec<(String, String)>,
    },
    /// A page of past events: `GET /v1/events`.
    Events {
        /// Which page.
        query: EventQuery,
    },
    /// A page of attempts: `GET /v1/attempts`, `/v1/hooks/{id}/attempts`, `/v1/events/{position}/attempts`. Over HTTP those
    /// of all instances, between instances those of the one that is asked.
    Attempts {
        /// Which ones.
        which: AttemptQuery,
    },
    /// What became of an event, for a page of hooks: `GET /v1/events/{position}/outcomes`.
    Outcomes {
        /// The event's position.
        position: u64,
        /// The page begins behind this hook.
        after: Option<HookId>,
    },
    /// Seals the definitions of all hooks with the first key: `POST /v1/secrets/rekey`.
    Rekey {
        /// Only counts those that are sealed with another one: `?dry_run=true`.
        dry_run: bool,
    },
}

/// Where a hook goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeekRequest {
    /// `earliest`, `end`, an age (`2h`), a time (`2026-11-27T10:00:00Z`), or the position of an event.
    pub to: SeekTo,
    /// True if events may be skipped: those are given up, and count as dropped.
    #[serde(default)]
    pub skip: bool,
    /// True to say only what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

impl From<SeekRequest> for Seek {
    fn from(request: SeekRequest) -> Self {
        Self::to(request.to).skip(request.skip).dry_run(request.dry_run)
    }
}

/// Picks the dead letters that fit everything that is set. The default picks all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetterFilter {
    /// One of these; empty: any.
    #[schemars(with = "Vec<DeadLetterId>")]
    pub ids: BTreeSet<DeadLetterId>,
    /// The event's type matches one of these globs; empty: any.
    #[schemars(length(max = MOST_GLOBS))]
    pub types: Vec<String>,
    /// Given up for this reason.
    pub reason: Option<DeadLetterReason>,
}

impl DeadLetterFilter {
    /// # Errors
    /// When it has many globs, or long ones: each dead letter would be compared with all of them.
    pub(super) fn check(&self) -> Result<(), Problem> {
        few_globs(&self.types, "types")
    }

    /// True if a dead letter with this id, event type and reason fits.
    pub fn matches(&self, id: DeadLetterId, event_type: &str, reason: DeadLetterReason) -> bool {
        let fits = |types: &[String]| types.iter().any(|glob| Pattern::new(glob.as_str()).matches(event_type));
        (self.ids.is_empty() || self.ids.contains(&id))
            && (self.types.is_empty() || fits(&self.types))
            && self.reason.is_none_or(|wanted| wanted == reason)
    }

    /// The ids that are asked for and not among those that were found.
    pub fn missing(&self, found: &BTreeSet<DeadLetterId>) -> BTreeSet<DeadLetterId> {
        self.ids.difference(found).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instances of different versions ask each other.
    #[test]
    fn requests_between_instances_look_as_they_always_did() {
        let hook = HookId::new("a").unwrap();
        let which = DeadLetterFilter { ids: [DeadLetterId::new(17)].into(), ..DeadLetterFilter::default() };
        let seek = SeekRequest { to: "2h".parse().unwrap(), skip: true, dry_run: false };
        for (request, json) in [
            (Request::Status, r#""status""#),
            (Request::Enable { hook: hook.clone() }, r#"{"enable":{"hook":"a"}}"#),
            (Request::Disable { hook: hook.clone() }, r#"{"disable":{"hook":"a"}}"#),
            (
                Request::Replay { hook: hook.clone(), which: which.clone() },
                r#"{"replay":{"hook":"a","which":{"ids":[17],"types":[],"reason":null}}}"#,
            ),
            (
                Request::Grant { secret: "s".to_owned(), headers: vec![("a".to_owned(), "b".to_owned())] },
                r#"{"grant":{"secret":"s","headers":[["a","b"]]}}"#,
            ),
            (
                Request::Attempts { which: AttemptQuery { hook: Some(hook.clone()), ..AttemptQuery::default() } },
                r#"{"attempts":{"which":{"hook":"a","tenant":null,"position":null,"delivered":null,"since":null,"until":null,"after":null,"oldest_first":false,"limit":50}}}"#,
            ),
            (Request::Rekey { dry_run: true }, r#"{"rekey":{"dry_run":true}}"#),
            (
                Request::Seek { hook: hook.clone(), seek },
                r#"{"seek":{"hook":"a","seek":{"to":"2h","skip":true,"dry_run":false}}}"#,
            ),
            (Request::Drop { hook, which }, r#"{"drop":{"hook":"a","which":{"ids":[17],"types":[],"reason":null}}}"#),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), json);
            assert_eq!(serde_json::from_str::<Request>(json).unwrap(), request);
        }
    }
}
