//! What is wrong with a table of settings, and where.

use schemars::JsonSchema;
use serde::Serialize;

pub(super) use crate::pointer::decode;
pub use crate::pointer::{pointer, push_pointer, tokens};

/// Something that is wrong with a table of settings. As JSON: `{"pointer": …, "reason": …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct Fault {
    /// The place in the table: a JSON pointer (RFC 6901). Where something is missing, the place where it belongs.
    pub pointer: String,
    /// The error, and what to do. Begins with the name of the setting. Holds no secret.
    #[serde(rename = "reason")]
    pub message: String,
    /// The part of the setting that is wrong.
    #[serde(skip)]
    pub about: About,
}

/// The part of a setting that a [`Fault`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum About {
    /// Its name, which nothing knows. What it holds may be a secret that belongs elsewhere.
    Name,
    /// Its value.
    Value,
    /// Nothing that is there: it is missing.
    Missing,
}

impl Fault {
    /// Something is wrong with the value at this place. The message begins with the name of the setting.
    pub fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(pointer, About::Value, message)
    }

    pub(super) fn new(pointer: impl Into<String>, about: About, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into(), about }
    }

    /// The same one, of a table that stands under this name in another.
    pub(super) fn under(self, name: &str) -> Self {
        Self { pointer: pointer(name) + &self.pointer, ..self }
    }
}
