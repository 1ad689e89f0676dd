//! Dead letters, as operators see them.

use hooks_core::{DeadLetter, DeadLetterId, DeadLetterReason, HookId, RawValue, timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A dead letter as it is shown.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetterReport {
    /// The hook.
    pub hook: HookId,
    /// Its number, unique for the hook.
    pub id: DeadLetterId,
    /// Why it was given up.
    pub reason: DeadLetterReason,
    /// The failure, with the receiver's answer.
    pub detail: String,
    /// How often it was tried.
    pub attempts: u32,
    /// RFC 3339, as all times here.
    pub first_attempt: String,
    /// When it was given up.
    pub last_attempt: String,
    /// The type of the event.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The id of the event, unique together with its source.
    #[serde(default)]
    pub event_id: String,
    /// The source of the event.
    #[serde(default)]
    pub source: String,
    /// Byte for byte as it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Value")]
    pub event: Option<Box<RawValue>>,
}

impl DeadLetterReport {
    /// The report of this dead letter, with its event.
    ///
    /// # Errors
    /// When the event is no JSON.
    pub fn new(hook: &HookId, id: DeadLetterId, letter: &DeadLetter) -> Result<Self, serde_json::Error> {
        Ok(Self {
            hook: hook.clone(),
            id,
            reason: letter.reason,
            detail: letter.detail.clone(),
            attempts: letter.attempts,
            first_attempt: timestamp(letter.first_attempt),
            last_attempt: timestamp(letter.last_attempt),
            event_type: letter.envelope.event_type().to_owned(),
            event_id: letter.envelope.id().to_owned(),
            source: letter.envelope.source().to_owned(),
            event: Some(RawValue::from_string(letter.envelope.json().to_owned())?),
        })
    }
}
