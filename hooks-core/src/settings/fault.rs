//! What is wrong with a table of settings, and where.

use schemars::JsonSchema;
use serde::Serialize;

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

/// A name as a JSON pointer from the table that it stands in.
pub fn pointer(name: &str) -> String {
    let mut pointer = String::with_capacity(name.len() + 1);
    push_pointer(&mut pointer, name);
    pointer
}

/// Adds a name to the JSON pointer of the table that it stands in.
pub fn push_pointer(pointer: &mut String, name: &str) {
    pointer.push('/');
    for char in name.chars() {
        match char {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            char => pointer.push(char),
        }
    }
}

/// The names and indices in a JSON pointer.
pub fn tokens(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(decode)
}

/// A name as it stands in a JSON pointer.
pub(super) fn decode(token: &str) -> String {
    if token.contains('~') { token.replace("~1", "/").replace("~0", "~") } else { token.to_owned() }
}
