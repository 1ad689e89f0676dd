//! Subjects of event types, and filters for the server.
//!
//! The type `com.example.paid` is published on `NAME.events.com.example.paid`. A dot separates tokens; bytes that
//! a token can't hold are written as `%XX`, an empty token as `%`. What is the tenant `acme`'s is published on
//! `NAME.events.%of.acme.com.example.paid`, and `%of` is no token of a type. The server's filter lets through at least the
//! events that the hook's filter matches, which has the last word.

use std::fmt::Write as _;

use hooks_core::{Envelope, Filter, Pattern};

/// The longest type that is written in full, in bytes of the subject. A longer one is cut behind a whole token and
/// ends in [`MORE`].
const MAX_TYPE: usize = 255;

/// The last token of a type that was cut.
const MORE: &str = "%more";

/// The token before a tenant's name.
const TENANT: &str = "%of";

/// No tenant's name is longer.
const MAX_TENANT: usize = 64;

/// Most filters that one consumer is given: two for a pattern.
const MAX_FILTERS: usize = 64;

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

/// The subject that an event is published on.
pub(super) fn of_event(name: &str, event: &Envelope) -> String {
    let tenant = event.tenant().filter(|tenant| tenant.len() <= MAX_TENANT);
    of_type(tenant.map_or_else(|| events(name), |tenant| of_tenant(name, tenant)), event.event_type())
}

/// The beginning of the subjects of events.
fn events(name: &str) -> String {
    format!("{name}.events")
}

/// The beginning of the subjects of a tenant's events.
fn of_tenant(name: &str, tenant: &str) -> String {
    let mut subject = format!("{name}.events.{TENANT}.");
    if tenant.is_empty() {
        subject.push('%');
    }
    for byte in tenant.bytes() {
        match byte {
            b'.' => subject.push('='),
            _ => encode_byte(byte, b"-_", &mut subject),
        }
    }
    subject
}

/// The subject of a type, behind this beginning.
fn of_type(mut subject: String, event_type: &str) -> String {
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

/// Bytes of an event's subject behind `NAME.events.`, nearly.
pub(super) fn length(event: &Envelope) -> usize {
    let tenant = event.tenant().map_or(0, |tenant| TENANT.len() + 2 + tenant.len().min(MAX_TENANT));
    tenant + event.event_type().len()
}

/// The subjects of every event.
pub(super) fn of_all(name: &str) -> String {
    format!("{name}.events.>")
}

/// The part of a filter that the server can do. `several`: it takes more than one subject.
pub(super) fn filter(name: &str, filter: &Filter, several: bool) -> ServerFilter {
    let all = of_all(name);
    let tenant = filter.tenant.as_ref().map(|tenant| of_tenant(name, tenant.as_str()));
    let begins =
        tenant.clone().map_or_else(|| vec![events(name), format!("{name}.events.{TENANT}.*")], |own| vec![own]);
    let of_patterns =
        |begin: &String| filter.types.iter().map(|pattern| of_pattern(begin, pattern)).collect::<Vec<_>>();
    let mut subjects: Vec<String> = begins.iter().flat_map(of_patterns).collect();
    subjects.sort();
    subjects.dedup();
    let covered: Vec<bool> = subjects.iter().map(|one| subjects.iter().any(|other| covers(other, one))).collect();
    let mut covered = covered.into_iter();
    subjects.retain(|_| covered.next() == Some(false));
    let too_many = subjects.len() > if several { MAX_FILTERS } else { 1 };
    if subjects.is_empty() || too_many {
        subjects = vec![tenant.map_or_else(|| all.clone(), |own| format!("{own}.>"))];
    }
    let plain = Filter { types: filter.types.clone(), tenant: filter.tenant.clone(), ..Filter::default() } == *filter;
    let exact = plain && !too_many && filter.types.iter().all(is_exact);
    ServerFilter { exact, all: subjects == [all], subjects }
}

/// True if `other` lets through everything that the subject filter `one` does.
fn covers(other: &str, one: &str) -> bool {
    other != one && other.strip_suffix('>').is_some_and(|prefix| one.starts_with(prefix))
}

fn of_pattern(begin: &str, pattern: &Pattern) -> String {
    if pattern.is_literal() {
        return of_type(begin.to_owned(), pattern.as_str());
    }
    // Whole tokens before the first wildcard.
    let Some((tokens, _)) = pattern.literal_prefix().rsplit_once('.') else { return format!("{begin}.>") };
    let subject = of_type(begin.to_owned(), tokens);
    if subject.ends_with(MORE) { format!("{begin}.>") } else { format!("{subject}.>") }
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
        encode_byte(byte, b"-_:/=+@~,;!", subject);
    }
}

fn encode_byte(byte: u8, plain: &[u8], subject: &mut String) {
    if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
        subject.push(byte as char);
    } else {
        let _ = write!(subject, "%{byte:02X}");
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
    use hooks_core::TenantId;
    use proptest::prelude::*;

    #[test]
    fn types() {
        let subject = |event_type: &str| of_type(events("hooks"), event_type);
        assert_eq!(subject("com.example.paid"), "hooks.events.com.example.paid");
        assert_eq!(subject("a b"), "hooks.events.a%20b");
        assert_eq!(subject("a..b."), "hooks.events.a.%.b.%");
        assert_eq!(subject("*.>"), "hooks.events.%2A.%3E");
        assert_eq!(subject(&"x".repeat(300)), "hooks.events.%more");
        assert_eq!(subject(&format!("a.{}", "x".repeat(300))), "hooks.events.a.%more");
    }

    fn event(event_type: &str, tenant: Option<&str>) -> Envelope {
        let tenant = tenant.map_or(String::new(), |tenant| format!(r#","tenant":"{tenant}""#));
        Envelope::from_json(format!(r#"{{"type":"{event_type}"{tenant}}}"#).as_bytes()).unwrap()
    }

    #[test]
    fn tenants() {
        let subject = |tenant: &str| of_event("h", &event("a.b", Some(tenant)));
        assert_eq!(subject("acme"), "h.events.%of.acme.a.b");
        assert_eq!(subject("a.b-c_D"), "h.events.%of.a=b-c_D.a.b");
        assert_eq!(subject("a=b *"), "h.events.%of.a%3Db%20%2A.a.b");
        assert_eq!(subject(""), "h.events.%of.%.a.b");
        assert_eq!(subject(&"x".repeat(65)), "h.events.a.b");
        let acme = |types: &[&str], several| {
            filter("h", &Filter::types(types.to_vec()).tenant(TenantId::new("acme").unwrap()), several)
        };
        assert_eq!(acme(&[], false).subjects, ["h.events.%of.acme.>"]);
        assert_eq!(acme(&["a.*"], false).subjects, ["h.events.%of.acme.a.>"]);
        assert_eq!(acme(&["a", "b"], false).subjects, ["h.events.%of.acme.>"]);
        assert!(acme(&[], true).exact && !acme(&[], true).all && !acme(&["a", "b"], false).exact);
    }

    #[test]
    fn filters() {
        let made = |types: &[&str], several| filter("h", &Filter::types(types.to_vec()), several);
        let subjects = |types: &[&str], several| made(types, several).subjects;
        assert_eq!(subjects(&[], true), ["h.events.>"]);
        assert_eq!(subjects(&["a.b"], false), ["h.events.>"]);
        assert_eq!(subjects(&["a.b"], true), ["h.events.%of.*.a.b", "h.events.a.b"]);
        assert_eq!(subjects(&["a.*", "a.b", "a.b.c*"], true), ["h.events.%of.*.a.>", "h.events.a.>"]);
        assert_eq!(subjects(&["a.b", "*"], true), ["h.events.>"]);
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
        for rest in [Filter::all().subjects(["x"]), Filter::all().sources(["x"]), Filter::all().attribute("a", ["x"])] {
            assert!(!filter("h", &rest, true).exact);
        }
    }

    /// The meaning of a subject filter, by its documentation.
    fn lets_through(filter: &str, subject: &str) -> bool {
        let mut tokens = subject.split('.');
        for part in filter.split('.') {
            match (part, tokens.next()) {
                (">", rest) => return rest.is_some(),
                (_, None) => return false,
                ("*", _) => {}
                (part, Some(token)) if part == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }

    proptest! {
        #[test]
        fn the_server_lets_through_what_matches(
            types in prop::collection::vec("[ab.*?]{1,6}", 0..4),
            own in prop::option::of("[a.]"),
            event_type in "[ab.]{1,8}",
            tenant in prop::option::of("[ab.]{0,2}"),
            several: bool,
        ) {
            let wanted = Filter::types(types).tenant(own.map(|own| TenantId::new(own).unwrap()));
            let made = filter("h", &wanted, several);
            let event = event(&event_type, tenant.as_deref());
            let subject = of_event("h", &event);
            let through = made.subjects.iter().any(|filter| lets_through(filter, &subject));
            prop_assert!(through || !wanted.matches(&event));
            prop_assert!(!made.exact || through == wanted.matches(&event));
            for (index, one) in made.subjects.iter().enumerate() {
                prop_assert!(made.subjects.iter().enumerate().all(|(other, subject)| other == index || !covers(subject, one)));
            }
        }

        #[test]
        fn types_have_subjects_of_their_own(a in "[ab%. é*]{1,6}", b in "[ab%. é*]{1,6}") {
            prop_assert_eq!(of_type(events("h"), &a) == of_type(events("h"), &b), a == b);
            prop_assert_eq!(of_tenant("h", &a) == of_tenant("h", &b), a == b);
        }
    }
}
