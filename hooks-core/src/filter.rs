//! Filters: the events that a hook receives.

use std::sync::Arc;

use crate::config_problem::ConfigProblem;
use crate::endpoint_state::EndpointState;
use crate::envelope::{Envelope, is_reserved};
use crate::id::TenantId;

/// A glob over event types or subjects: `*` is any run of characters, dots and slashes too, `?` is one
/// character, everything else is itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Every text is a pattern.
    pub fn new(pattern: impl Into<Arc<str>>) -> Self {
        Self(pattern.into())
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text before the first wildcard: every match begins with it.
    pub fn literal_prefix(&self) -> &str {
        &self.0[..self.0.find(['*', '?']).unwrap_or(self.0.len())]
    }

    /// Returns true if the pattern has no wildcard, so matches one text only.
    pub fn is_literal(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    /// Returns true if the whole of `text` matches. Takes at most pattern length × text length steps.
    pub fn matches(&self, text: &str) -> bool {
        glob(self.0.as_bytes(), text)
    }
}

/// Greedy matching with one point to come back to: when a run taken for `*` proves too short, it is
/// made longer by one character.
fn glob(pattern: &[u8], text: &str) -> bool {
    let bytes = text.as_bytes();
    let width = |at: usize| text[at..].chars().next().map_or(1, char::len_utf8);
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < bytes.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                retry = Some((p, t));
                continue;
            }
            Some(b'?') => {
                p += 1;
                t += width(t);
                continue;
            }
            Some(byte) if *byte == bytes[t] => {
                p += 1;
                t += 1;
                continue;
            }
            _ => {}
        }
        let Some((after_star, taken)) = retry else { return false };
        t = taken + width(taken);
        p = after_star;
        retry = Some((after_star, t));
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

impl<T: Into<Arc<str>>> From<T> for Pattern {
    fn from(pattern: T) -> Self {
        Self::new(pattern)
    }
}

/// Selects the events that a hook receives: those whose type and subject match one of the patterns and none of
/// the exceptions, and of a hook with a tenant that tenant's alone. No pattern at all matches everything, but for the dispatcher's own events
/// (`hooks.…`), which `types` has to name literally.
///
/// # The dispatcher's own events
/// They say that a hook's endpoint changed its [state](crate::EndpointState): `hooks.endpoint.healthy`,
/// `hooks.endpoint.backing_off`, `hooks.endpoint.throttled`, `hooks.endpoint.held` and `hooks.endpoint.disabled`.
/// The `source` is `hooks`, the `subject` the hook's name, and `data` has four members: `hook`, `state`, `previous`
/// (the state before), and `error` (the last error, or null). Of a tenant's hook, they are that tenant's. Only a dispatcher can publish such a type
/// ([`BusError::Reserved`](crate::BusError::Reserved)), and a hook that receives some causes none.
///
/// They are no complete record: while too many endpoints change at once, or the bus takes nothing, some are lost, and
/// the log says so. [`Dispatcher::status`](crate::Dispatcher::status) always knows.
///
/// ```
/// use hooks_core::{Envelope, Filter};
///
/// let filter = Filter::types(["com.github.*"]).except_types(["com.github.push"]);
/// let event = |kind: &str| Envelope::from_json(format!(r#"{{"type":"{kind}"}}"#).as_bytes());
/// assert!(filter.matches(&event("com.github.issues.opened")?));
/// assert!(!filter.matches(&event("com.github.push")?));
/// # Ok::<(), hooks_core::EnvelopeError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The event's type matches one of these; empty: any type.
    pub types: Vec<Pattern>,
    /// The event's type matches none of these.
    pub types_except: Vec<Pattern>,
    /// The event has a subject, and it matches one of these; empty: any subject or none.
    pub subjects: Vec<Pattern>,
    /// The event has no subject, or it matches none of these.
    pub subjects_except: Vec<Pattern>,
    /// The tenant whose hook it is: the event's extension attribute `tenant` is this. `None`: the hook is the
    /// operator's, and receives the events of every tenant and of none.
    pub tenant: Option<TenantId>,
}

impl Filter {
    /// Every event.
    pub fn all() -> Self {
        Self::default()
    }

    /// Events whose type matches one of the patterns.
    pub fn types<P: Into<Pattern>>(patterns: impl IntoIterator<Item = P>) -> Self {
        Self { types: patterns.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// But not these types.
    #[must_use]
    pub fn except_types<P: Into<Pattern>>(mut self, patterns: impl IntoIterator<Item = P>) -> Self {
        self.types_except.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Only events with one of these subjects.
    #[must_use]
    pub fn subjects<P: Into<Pattern>>(mut self, patterns: impl IntoIterator<Item = P>) -> Self {
        self.subjects.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// But not these subjects.
    #[must_use]
    pub fn except_subjects<P: Into<Pattern>>(mut self, patterns: impl IntoIterator<Item = P>) -> Self {
        self.subjects_except.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Only this tenant's events, or everybody's.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<Option<TenantId>>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// Patterns that match nothing although they seem to, each with the path of the setting.
    pub(crate) fn problems(&self) -> impl Iterator<Item = ConfigProblem> {
        let own = |pattern: &&Pattern| is_reserved(pattern.literal_prefix());
        let unknown = |pattern: &&Pattern| own_types().all(|known| known != pattern.as_str());
        self.types.iter().filter(own).filter(unknown).map(|pattern| {
            let known: Vec<String> = own_types().collect();
            let message = format!(
                "`{}` matches nothing: types that begin with `hooks.` are the dispatcher's own, to be named in full: {}",
                pattern.as_str(),
                known.join(", ")
            );
            ConfigProblem::new("types", message)
        })
    }

    /// Returns true if the hook receives this event.
    pub fn matches(&self, envelope: &Envelope) -> bool {
        self.matches_type(envelope.event_type())
            && self.matches_subject(envelope.subject())
            && self.matches_tenant(envelope.tenant())
    }

    /// The name of the setting that keeps an event away: the first of those that do. `None`: the hook receives it.
    pub fn mismatch(&self, envelope: &Envelope) -> Option<&'static str> {
        let (event_type, subject) = (envelope.event_type(), envelope.subject());
        let first = |is_excepted, exceptions, patterns| Some(if is_excepted { exceptions } else { patterns });
        if !self.matches_tenant(envelope.tenant()) {
            return Some("tenant");
        }
        if !self.matches_type(event_type) {
            let is_excepted = !is_reserved(event_type) && any(&self.types_except, event_type);
            return first(is_excepted, "types_except", "types");
        }
        if !self.matches_subject(subject) {
            let is_excepted = subject.is_some_and(|subject| any(&self.subjects_except, subject));
            return first(is_excepted, "subjects_except", "subjects");
        }
        None
    }

    /// Returns true if events of this type can match.
    pub fn matches_type(&self, event_type: &str) -> bool {
        if is_reserved(event_type) {
            return self.types.iter().any(|pattern| pattern.is_literal() && pattern.as_str() == event_type);
        }
        (self.types.is_empty() || any(&self.types, event_type)) && !any(&self.types_except, event_type)
    }

    /// Returns true if events with this subject can match.
    pub fn matches_subject(&self, subject: Option<&str>) -> bool {
        match subject {
            Some(subject) => {
                (self.subjects.is_empty() || any(&self.subjects, subject)) && !any(&self.subjects_except, subject)
            }
            None => self.subjects.is_empty(),
        }
    }

    /// Returns true if events of this tenant, or of none, can match.
    pub fn matches_tenant(&self, tenant: Option<&str>) -> bool {
        self.tenant.as_ref().is_none_or(|own| tenant == Some(own.as_str()))
    }
}

fn any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

/// All types of the dispatcher's own events.
fn own_types() -> impl Iterator<Item = String> {
    EndpointState::ALL.iter().map(|state| state.event_type())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The meaning of a glob, written down as plainly as possible.
    fn model(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|taken| model(rest, &text[taken..])),
            Some(('?', rest)) => !text.is_empty() && model(rest, &text[1..]),
            Some((char, rest)) => text.first() == Some(char) && model(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn glob_is_its_model(pattern in "[ab.é*?]{0,8}", text in "[ab.é]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Pattern::new(pattern.as_str()).matches(&text), model(&chars(&pattern), &chars(&text)));
        }

        /// What a filter selects, asked plainly of each part.
        #[test]
        fn a_filter_is_its_model(
            lists in prop::array::uniform4(prop::collection::vec("[ab*?]{1,3}", 0..3)),
            own in prop::option::of("[ab]"),
            event_type in "[ab]{1,3}",
            subject in prop::option::of("[ab]{1,3}"),
            tenant in prop::option::of("[ab]"),
        ) {
            let [types, types_except, subjects, subjects_except] = &lists;
            let filter = Filter::types(types.clone()).except_types(types_except.clone());
            let filter = filter.subjects(subjects.clone()).except_subjects(subjects_except.clone());
            let filter = filter.tenant(own.as_deref().map(|own| TenantId::new(own).unwrap()));
            let attribute = |name, value: &Option<String>| value.as_ref().map_or(String::new(), |value| format!(r#","{name}":"{value}""#));
            let json = format!(r#"{{"type":"{event_type}"{}{}}}"#, attribute("subject", &subject), attribute("tenant", &tenant));
            let event = Envelope::from_json(json.as_bytes()).unwrap();
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let one_of = |patterns: &[String], text: &str| patterns.iter().any(|pattern| model(&chars(pattern), &chars(text)));
            let by_type = (types.is_empty() || one_of(types, &event_type)) && !one_of(types_except, &event_type);
            let by_subject = match &subject {
                Some(subject) => (subjects.is_empty() || one_of(subjects, subject)) && !one_of(subjects_except, subject),
                None => subjects.is_empty(),
            };
            prop_assert_eq!(filter.matches(&event), by_type && by_subject && (own.is_none() || own == tenant));
        }

        #[test]
        fn what_matches_begins_with_the_prefix(pattern in "[ab*?]{0,6}", text in "[ab]{0,6}") {
            let pattern = Pattern::new(pattern);
            prop_assert!(!pattern.matches(&text) || text.starts_with(pattern.literal_prefix()));
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_exponential_time() {
        let pattern = Pattern::new("a*".repeat(200) + "b");
        assert!(!pattern.matches(&"a".repeat(4_000)));
    }

    #[test]
    fn reserved_types_must_be_named() {
        let own = "hooks.endpoint.disabled";
        assert!(!Filter::all().matches_type(own));
        assert!(!Filter::types(["hooks.*"]).matches_type(own));
        assert!(Filter::types([own]).matches_type(own));
    }

    #[test]
    fn subjects() {
        let filter = Filter::all().subjects(["octo-org/*"]).except_subjects(["octo-org/secret"]);
        assert!(filter.matches_subject(Some("octo-org/repo")));
        assert!(!filter.matches_subject(Some("octo-org/secret")));
        assert!(!filter.matches_subject(Some("other/repo")));
        assert!(!filter.matches_subject(None));
        assert!(Filter::all().except_subjects(["a"]).matches_subject(None));
    }

    #[test]
    fn what_keeps_an_event_away_is_named_by_its_setting() {
        let event = |json: &str| Envelope::from_json(json.as_bytes()).unwrap();
        let filter = Filter::types(["a.*"]).except_types(["a.b"]).subjects(["eu/*"]).except_subjects(["eu/x"]);
        let filter = filter.tenant(TenantId::new("acme").unwrap());
        for (json, part) in [
            (r#"{"type":"a.c","subject":"eu/1","tenant":"acme"}"#, None),
            (r#"{"type":"a.c","subject":"eu/1"}"#, Some("tenant")),
            (r#"{"type":"b","subject":"eu/1","tenant":"acme"}"#, Some("types")),
            (r#"{"type":"a.b","subject":"eu/1","tenant":"acme"}"#, Some("types_except")),
            (r#"{"type":"a.c","tenant":"acme"}"#, Some("subjects")),
            (r#"{"type":"a.c","subject":"us/1","tenant":"acme"}"#, Some("subjects")),
            (r#"{"type":"a.c","subject":"eu/x","tenant":"acme"}"#, Some("subjects_except")),
        ] {
            let event = event(json);
            assert_eq!((filter.mismatch(&event), filter.matches(&event)), (part, part.is_none()), "{json}");
        }
    }
}
