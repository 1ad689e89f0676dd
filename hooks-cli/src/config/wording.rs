//! Error texts of serde, in the words of a config file, with the nearest right name, without secrets.

use super::expand::Variable;
use super::tree::Node;
use hooks_server::names::nearest;

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
pub(super) fn word(text: &str, more: &[&str]) -> Wording {
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
        return Wording::Value(format!("expected {}, found {}", plain(expected), plain(found)));
    }
    Wording::Value(text.to_owned())
}

/// The message for a name that is not among the known ones.
pub(super) fn unknown_field(field: &str, known: &[&str]) -> String {
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

/// serde's words for what a config file calls otherwise.
fn plain(words: &str) -> String {
    let known = [
        ("sequence", "a list"),
        ("a sequence", "a list"),
        ("map", "a table"),
        ("a map", "a table"),
        ("null", "nothing"),
        ("usize", "a whole number, not negative"),
        ("u64", "a whole number, not negative"),
        ("u32", "a whole number, not negative"),
        ("u16", "a whole number from 0 to 65535"),
        ("a nonzero usize", "a whole number from 1"),
    ];
    if words.starts_with("struct ") {
        return "a table".to_owned();
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

/// Texts that must not be shown, and what is shown in their place.
#[derive(Default)]
pub(super) struct Redactor {
    /// Longest first.
    hidden: Vec<(String, String)>,
}

/// A part of a hidden text that is this long gives it away.
const TELLING: usize = 8;

impl Redactor {
    /// Hides the values of all variables in the tree.
    pub(super) fn variables(mut self, node: &Node) -> Self {
        let mut variables = Vec::new();
        node.variables(&mut variables);
        for Variable { written, value } in variables {
            self.hide(&value, &written);
        }
        self
    }

    /// Hides a text.
    pub(super) fn hide(&mut self, text: &str, shown: &str) {
        if !text.is_empty() {
            self.hidden.push((text.to_owned(), shown.to_owned()));
            self.hidden.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        }
    }

    /// The message without what is hidden.
    pub(super) fn redact(&self, message: &str) -> String {
        let mut message = message.to_owned();
        for (text, shown) in &self.hidden {
            let debug = format!("{text:?}");
            message = replace(&message, &debug[1..debug.len() - 1], shown);
            message = replace(&message, text, shown);
        }
        match self.hidden.iter().find(|(text, _)| gives_away(&message, text)) {
            Some((_, shown)) => format!("the value, with {shown} filled in, is not one that fits here"),
            None => message,
        }
    }
}

/// A short text is replaced only where it stands alone: `1` must not change `max_bytes_1`.
fn replace(message: &str, text: &str, shown: &str) -> String {
    if text.len() >= TELLING {
        return message.replace(text, shown);
    }
    let part_of_word = |char: Option<char>| char.is_some_and(|char| char.is_alphanumeric() || char == '_');
    let (mut replaced, mut last) = (String::new(), 0);
    for (at, _) in message.match_indices(text) {
        let end = at + text.len();
        let alone = !part_of_word(message[..at].chars().next_back()) && !part_of_word(message[end..].chars().next());
        if alone && at >= last {
            replaced.push_str(&message[last..at]);
            replaced.push_str(shown);
            last = end;
        }
    }
    replaced + &message[last..]
}

fn gives_away(message: &str, text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    chars.windows(TELLING).any(|window| message.contains(&window.iter().collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        match word(text, &["id"]) {
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
            ("whatever else", "whatever else"),
        ] {
            assert_eq!(said(theirs), ours);
        }
    }

    fn redactor(text: &str) -> Redactor {
        let mut redactor = Redactor::default();
        redactor.hide(text, "${X}");
        redactor
    }

    #[test]
    fn hidden_texts_do_not_show() {
        assert_eq!(redactor("hunter22").redact("found \"hunter22\""), "found \"${X}\"");
        assert_eq!(redactor("quote\"d one").redact("found \"quote\\\"d one\""), "found \"${X}\"");
        assert_eq!(redactor("1").redact("max_1: found 1, not 12"), "max_1: found ${X}, not 12");
        // A part of it would give it away as well.
        let message = redactor("correct horse battery").redact("unexpected text after `correct horse`");
        assert_eq!(message, "the value, with ${X} filled in, is not one that fits here");
    }
}
