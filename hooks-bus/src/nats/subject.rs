//! Subjects of event types, and filters for the server.
//!
//! The type `com.example.paid` is published on `NAME.events.com.example.paid`. A dot separates tokens; bytes that
//! a token can't hold are written as `%XX`, an empty token as `%`. The server's filter lets through at least the
//! events that the hook's filter matches, which has the last word.

use std::fmt::Write as _;

use hooks_core::{Filter, Pattern};

/// The longest type that is written in full, in bytes of the subject. A longer one is cut behind a whole token and
/// ends in [`MORE`].
const MAX_TYPE: usize = 255;

/// The last token of a type that was cut.
const MORE: &str = "%more";

/// Most filters that one consumer is given.
const MAX_FILTERS: usize = 32;

/// The server's filter for a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerFilter {
    /// Subjects, none of which covers another.
    pub(super) subjects: Vec<String>,
    /// True if they let through exactly what the hook's filter matches, the dispatcher's own events aside.
    pub(super) exact: bool,
    /// True if they let through everything.
    pub(super) all: bool,
}

/// The subject that events of a type are published on.
pub(super) fn of_type(name: &str, event_type: &str) -> String {
    let mut subject = format!("{name}.events");
    let begin = subject.len();
    for token in event_type.split('.') {
        let before = subject.len();
        subject.push('.');
        encode(token, &mut subject);
        if subject.len() - begin > MAX_TYPE {
            subject.truncate(before);
            let _ = write!(subject, ".{MORE}");
            break;
        }
    }
    subject
}

/// The subjects of every event.
pub(super) fn of_all(name: &str) -> String {
    format!("{name}.events.>")
}

/// The part of a filter that the server can do. `several`: it takes more than one subject.
pub(super) fn filter(name: &str, filter: &Filter, several: bool) -> ServerFilter {
    let all = of_all(name);
    let mut subjects: Vec<String> = filter.types.iter().map(|pattern| of_pattern(name, pattern)).collect();
    subjects.sort();
    subjects.dedup();
    let covered: Vec<bool> = subjects.iter().map(|one| subjects.iter().any(|other| covers(other, one))).collect();
    let mut covered = covered.into_iter();
    subjects.retain(|_| covered.next() == Some(false));
    let too_many = subjects.len() > if several { MAX_FILTERS } else { 1 };
    if subjects.is_empty() || too_many {
        subjects = vec![all.clone()];
    }
    let plain = filter.types_except.is_empty() && filter.subjects.is_empty() && filter.subjects_except.is_empty();
    let exact = plain && !too_many && filter.types.iter().all(is_exact);
    ServerFilter { exact, all: subjects == [all], subjects }
}

/// True if `other` lets through everything that the subject filter `one` does.
fn covers(other: &str, one: &str) -> bool {
    other != one && other.strip_suffix('>').is_some_and(|prefix| one.starts_with(prefix))
}

fn of_pattern(name: &str, pattern: &Pattern) -> String {
    if pattern.is_literal() {
        return of_type(name, pattern.as_str());
    }
    // Whole tokens before the first wildcard.
    let Some((tokens, _)) = pattern.literal_prefix().rsplit_once('.') else { return of_all(name) };
    let subject = of_type(name, tokens);
    if subject.ends_with(MORE) { of_all(name) } else { format!("{subject}.>") }
}

/// True if the server does all of a pattern: no wildcard, or one as the whole last token.
fn is_exact(pattern: &Pattern) -> bool {
    let text = pattern.as_str();
    let short = text.len() * 3 < MAX_TYPE;
    let plain = |tokens: &str| !tokens.contains(['*', '?']);
    short && (pattern.is_literal() || text == "*" || text.strip_suffix(".*").is_some_and(plain))
}

fn encode(token: &str, subject: &mut String) {
    if token.is_empty() {
        subject.push('%');
    }
    for byte in token.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_:/=+@~,;!".contains(&byte) {
            subject.push(byte as char);
        } else {
            let _ = write!(subject, "%{byte:02X}");
        }
    }
}

/// A hook's name as one token of a subject or key. `=` is in no hook's name.
pub(super) fn of_hook(hook: &str) -> String {
    hook.replace('.', "=")
}

/// The hook of a token.
pub(super) fn hook_of(token: &str) -> String {
    token.replace('=', ".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hooks_core::Envelope;
    use proptest::prelude::*;

    #[test]
    fn types() {
        let subject = |event_type: &str| of_type("hooks", event_type);
        assert_eq!(subject("com.example.paid"), "hooks.events.com.example.paid");
        assert_eq!(subject("a b"), "hooks.events.a%20b");
        assert_eq!(subject("a..b."), "hooks.events.a.%.b.%");
        assert_eq!(subject("*.>"), "hooks.events.%2A.%3E");
        assert_eq!(subject(&"x".repeat(300)), "hooks.events.%more");
        assert_eq!(subject(&format!("a.{}", "x".repeat(300))), "hooks.events.a.%more");
    }

    #[test]
    fn filters() {
        let made = |types: &[&str], several| filter("h", &Filter::types(types.to_vec()), several);
        let subjects = |types: &[&str], several| made(types, several).subjects;
        assert_eq!(subjects(&[], true), ["h.events.>"]);
        assert_eq!(subjects(&["a.b"], false), ["h.events.a.b"]);
        assert_eq!(subjects(&["a.*", "a.b", "a.b.c*"], false), ["h.events.a.>"]);
        assert_eq!(subjects(&["a.x", "b.x"], false), ["h.events.>"]);
        assert_eq!(subjects(&["a.x", "b.x"], true), ["h.events.a.x", "h.events.b.x"]);
        assert_eq!(subjects(&["ab*"], true), ["h.events.>"]);
        for (types, exact) in [
            (&["a.*"][..], true),
            (&["*"], true),
            (&[], true),
            (&["a.b"], true),
            (&["a.b*"], false),
            (&["*.b"], false),
            (&["a.x", "b.x"], true),
        ] {
            assert_eq!(made(types, true).exact, exact, "{types:?}");
        }
        assert!(!made(&["a.x", "b.x"], false).exact);
        assert!(!filter("h", &Filter::all().subjects(["x"]), true).exact);
    }

    /// The meaning of a subject filter, by its documentation.
    fn lets_through(filter: &str, subject: &str) -> bool {
        match filter.strip_suffix(".>") {
            Some(prefix) => subject.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.') && rest.len() > 1),
            None => filter == subject,
        }
    }

    proptest! {
        #[test]
        fn the_server_lets_through_what_matches(types in prop::collection::vec("[ab.*?]{1,6}", 0..4), event_type in "[ab.]{1,8}", several: bool) {
            let wanted = Filter::types(types);
            let made = filter("h", &wanted, several);
            let event = Envelope::from_json(format!(r#"{{"type":"{event_type}"}}"#).as_bytes()).unwrap();
            let subject = of_type("h", &event_type);
            let through = made.subjects.iter().any(|filter| lets_through(filter, &subject));
            prop_assert!(through || !wanted.matches(&event));
            prop_assert!(!made.exact || through == wanted.matches(&event));
            for (index, one) in made.subjects.iter().enumerate() {
                prop_assert!(made.subjects.iter().enumerate().all(|(other, subject)| other == index || !covers(subject, one)));
            }
        }

        #[test]
        fn types_have_subjects_of_their_own(a in "[ab%. é*]{1,6}", b in "[ab%. é*]{1,6}") {
            prop_assert_eq!(of_type("h", &a) == of_type("h", &b), a == b);
        }
    }
}
