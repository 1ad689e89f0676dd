//! The entries of the key-value bucket.
//!
//! | key | value | written by |
//! |---|---|---|
//! | `hook.HOOK` | [`HookRecord`]: owner and position, updated by revision only | its owner, or the instance that acquires it |
//! | `alive.INSTANCE` | its machine, where that is known: each write is a heartbeat | the instance, four times per lease |
//! | `hooks.INSTANCE` | hashes of the hooks that the instance has, four bytes each | the instance |
//! | `def.HOOK` | its definition and first position, updated by revision only | the instance that defines it |
//! | `failing.HOOK` | since when its receiver has accepted nothing, in seconds since 1970 | its owner |
//! | `note.HOOK` | its [override](hooks_core::Override) as JSON | the instance that sets it |

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::sharing::PositionRange;

/// A hook's owner and position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HookRecord {
    /// The owning instance, if there is one.
    pub(super) owner: Option<String>,
    /// The stream that the position belongs to.
    pub(super) log: String,
    pub(super) position: u64,
    /// The position before the first event that the hook was to get. An instance of an older version drops it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) began: Option<u64>,
    /// The mark of the defined hook that it is of: another hook of the same name does not go on there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) of: Option<String>,
    /// Settled beyond the position.
    #[serde(rename = "beyond", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) acked_ranges: Vec<PositionRange>,
}

impl HookRecord {
    pub(super) fn encode(&self) -> bytes::Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// The same at the beginning of another stream.
    pub(super) fn in_another(self, log: &str) -> Self {
        Self { log: log.to_owned(), position: 0, began: None, acked_ranges: Vec::new(), ..self }
    }
}

/// A key of the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Hook(&'a str),
    Alive(&'a str),
    Hooks(&'a str),
    Override(&'a str),
    Failing(&'a str),
    Definition(&'a str),
}

impl<'a> Key<'a> {
    pub(super) fn parse(key: &'a str) -> Option<Self> {
        let (kind, name) = key.split_once('.')?;
        match kind {
            "hook" => Some(Self::Hook(name)),
            "alive" => Some(Self::Alive(name)),
            "hooks" => Some(Self::Hooks(name)),
            "note" => Some(Self::Override(name)),
            "failing" => Some(Self::Failing(name)),
            "def" => Some(Self::Definition(name)),
            _ => None,
        }
    }
}

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hook(name) => write!(f, "hook.{name}"),
            Self::Alive(name) => write!(f, "alive.{name}"),
            Self::Hooks(name) => write!(f, "hooks.{name}"),
            Self::Override(name) => write!(f, "note.{name}"),
            Self::Failing(name) => write!(f, "failing.{name}"),
            Self::Definition(name) => write!(f, "def.{name}"),
        }
    }
}

/// Since when a receiver has accepted nothing, in seconds since 1970.
pub(super) fn failing_since(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// The hooks of an instance, sorted.
pub(super) fn encode_hooks(hashes: &[u32]) -> bytes::Bytes {
    let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes).into()
}

pub(super) fn decode_hooks(value: &[u8]) -> Option<Vec<u32>> {
    let bytes = BASE64_STANDARD.decode(value).ok()?;
    let number = |four: &[u8]| four.try_into().map(u32::from_le_bytes).ok();
    bytes.chunks(4).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let record = HookRecord {
            owner: Some("a".into()),
            log: "l".into(),
            position: 7,
            began: None,
            of: None,
            acked_ranges: vec![PositionRange(9, 11)],
        };
        assert_eq!(serde_json::from_slice::<HookRecord>(&record.encode()).unwrap(), record);
        assert_eq!(
            std::str::from_utf8(&record.encode()).unwrap(),
            r#"{"owner":"a","log":"l","position":7,"beyond":[[9,11]]}"#
        );
        let record = HookRecord { began: Some(3), ..record };
        assert_eq!(serde_json::from_slice::<HookRecord>(&record.encode()).unwrap(), record);
        assert_eq!(decode_hooks(&encode_hooks(&[1, u32::MAX])), Some(vec![1, u32::MAX]));
        for key in [
            Key::Hook("a=b"),
            Key::Alive("x"),
            Key::Hooks("x"),
            Key::Override("a"),
            Key::Failing("a"),
            Key::Definition("a"),
        ] {
            assert_eq!(Key::parse(&key.to_string()), Some(key));
        }
    }
}
