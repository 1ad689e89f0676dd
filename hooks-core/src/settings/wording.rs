//! Error texts of serde, in the words of those who write settings, with the nearest right name.

use serde_json::Value as Json;

use crate::names::nearest;

/// The notation of a table of settings, whose words messages use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notation {
    /// JSON has objects and arrays.
    Json,
    /// TOML has tables and lists.
    Toml,
}

impl Notation {
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Json => "an object",
            Self::Toml => "a table",
        }
    }

    pub(super) fn list(self) -> &'static str {
        match self {
            Self::Json => "an array",
            Self::Toml => "a list",
        }
    }

    pub(super) fn empty_list(self) -> &'static str {
        match self {
            Self::Json => "an empty array",
            Self::Toml => "an empty list",
        }
    }

    /// The kind of a value.
    pub(super) fn describe(self, value: &Json) -> &'static str {
        match value {
            Json::Null => "nothing",
            Json::Bool(_) => "a boolean",
            Json::Number(_) => "a number",
            Json::String(_) => "a string",
            Json::Array(_) => self.list(),
            Json::Object(_) => self.table(),
        }
    }
}

/// The kind of an error text of serde.
pub(super) enum Wording {
    /// A name that nothing knows.
    UnknownField { field: String, message: String },
    /// A name that has to be there.
    MissingField { field: String },
    /// A value that does not fit.
    Value(String),
}

/// Words an error text. `more` are names that are known beside those in the text.
pub(super) fn word(text: &str, more: &[&str], notation: Notation) -> Wording {
    if let Some(field) = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        return Wording::MissingField { field: field.to_owned() };
    }
    if let Some((field, known)) = unknown(text, "unknown field `") {
        let mut known = known;
        known.extend(more);
        return Wording::UnknownField { field: field.to_owned(), message: unknown_field(field, &known) };
    }
    if let Some((variant, known)) = unknown(text, "unknown variant `") {
        return Wording::Value(suggest(format!("`{variant}` is not known here"), variant, &known));
    }
    if let Some(rest) = text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: "))
        && let Some((found, expected)) = rest.rsplit_once(", expected ")
    {
        if expected.starts_with("a nonzero") && found == "integer `0`" {
            return Wording::Value("0 is no limit: set at least 1".to_owned());
        }
        return Wording::Value(format!("expected {}, found {}", plain(expected, notation), plain(found, notation)));
    }
    Wording::Value(text.to_owned())
}

/// The message about a name that is not among the known ones, with the one that was probably meant.
pub fn unknown_field(field: &str, known: &[&str]) -> String {
    suggest(format!("unknown field `{field}`"), field, known)
}

fn suggest(what: String, name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("{what}, did you mean `{near}`?"),
        None if known.is_empty() => what,
        None => {
            let names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
            format!("{what}; known: {}", names.join(", "))
        }
    }
}

/// The unknown name, and those that the text says are known.
fn unknown<'a>(text: &'a str, prefix: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let (name, rest) = text.strip_prefix(prefix)?.split_once("`, ")?;
    Some((name, rest.split('`').skip(1).step_by(2).collect()))
}

/// serde's words for what people call otherwise.
fn plain(words: &str, notation: Notation) -> String {
    let known = [
        ("sequence", notation.list()),
        ("a sequence", notation.list()),
        ("map", notation.table()),
        ("a map", notation.table()),
        ("null", "nothing"),
        ("usize", "a whole number, not negative"),
        ("u64", "a whole number, not negative"),
        ("u32", "a whole number, not negative"),
        ("u16", "a whole number from 0 to 65535"),
        ("a nonzero usize", "a whole number from 1"),
        ("a nonzero u32", "a whole number from 1"),
    ];
    if words.starts_with("struct ") {
        return notation.table().to_owned();
    }
    let found = known.iter().find(|(theirs, _)| *theirs == words);
    found.map_or_else(|| with_article(words), |(_, ours)| (*ours).to_owned())
}

fn with_article(words: &str) -> String {
    for kind in ["string ", "boolean ", "floating point "] {
        if let Some(value) = words.strip_prefix(kind) {
            let name = if kind == "floating point " { "number " } else { kind };
            return format!("the {name}{value}");
        }
    }
    words.strip_prefix("integer ").map_or_else(|| words.to_owned(), |value| format!("the integer {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        match word(text, &["id"], Notation::Toml) {
            Wording::UnknownField { message, .. } | Wording::Value(message) => message,
            Wording::MissingField { field } => format!("missing {field}"),
        }
    }

    #[test]
    fn wordings() {
        for (theirs, ours) in [
            ("missing field `url`", "missing url"),
            ("unknown field `urll`, expected `url` or `secret`", "unknown field `urll`, did you mean `url`?"),
            ("unknown field `idd`, expected `url`", "unknown field `idd`, did you mean `id`?"),
            ("unknown field `x`, expected one of `a1`, `b2`, `c3`", "unknown field `x`; known: `a1`, `b2`, `c3`, `id`"),
            ("unknown field `x`, there are no fields", "unknown field `x`; known: `id`"),
            (
                "unknown variant `blok`, expected `drop_oldest` or `block`",
                "`blok` is not known here, did you mean `block`?",
            ),
            (
                "invalid type: string \"a, expected b\", expected usize",
                "expected a whole number, not negative, found the string \"a, expected b\"",
            ),
            ("invalid type: sequence, expected a string", "expected a string, found a list"),
            ("invalid type: map, expected a boolean", "expected a boolean, found a table"),
            ("invalid value: integer `0`, expected a nonzero usize", "0 is no limit: set at least 1"),
            (
                "invalid type: string \"3\", expected a nonzero u32",
                "expected a whole number from 1, found the string \"3\"",
            ),
            ("whatever else", "whatever else"),
        ] {
            assert_eq!(said(theirs), ours);
        }
    }
}
