//! Filters: the events that a hook receives.

mod mismatch;
mod pattern;
mod problems;
mod rare;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::envelope::{Envelope, is_reserved};
use crate::event_pattern::EventPattern;
use crate::id::TenantId;

pub use mismatch::{FilterSetting, Mismatch};
pub use pattern::Pattern;
use pattern::any;
#[cfg(feature = "config")]
pub(crate) use problems::no_attribute;
pub use rare::{Rare, RareParts};

/// Patterns by the name of the extension attribute that they are about.
pub type AttributePatterns = BTreeMap<String, Vec<Pattern>>;

/// Selects the events that a hook receives: those whose type, subject, source and extension attributes each match one of the
/// patterns and none of the exceptions, whose `data` matches, and of a hook with a tenant that tenant's alone. No pattern at all matches everything,
/// but for the dispatcher's own events (`hooks.…`), which `types` has to name literally.
///
/// # The dispatcher's own events
/// Their `source` is `hooks`. Only a dispatcher can publish such a type ([`BusError::Reserved`](crate::BusError::Reserved)).
/// Those about a hook have its name as `subject`, are its tenant's, where it has one, and never reach the hook itself.
///
/// - `hooks.endpoint.healthy`, `backing_off`, `throttled`, `held` and `disabled`: a hook's endpoint changed its
///   [state](crate::EndpointState). `data` has `hook`, `state`, `previous` (the state before), and `error` (the last error,
///   or null). But for `disabled`, a hook that receives any event of the dispatcher's own causes none of these.
/// - `hooks.endpoint.failing`: it has accepted nothing for as long as the hook's [`warn_after`](crate::Hook#structfield.warn_after), said
///   with the next failed attempt. `hooks.endpoint.recovered`: after that it accepts events again. `data` has `hook`, `state`,
///   `since` (when it began to fail) and `error`.
/// - `hooks.dead_letter.created`: the hook gave up an event, which is none of the dispatcher's own. `data` has `hook`,
///   `reason`, `detail`, `position`, `attempts`, `kept` (it can be replayed), `event` (the event as it was accepted; null
///   where the bus takes none so large), and `more`: a list of those that were given up since, each with the same members
///   but `hook`.
/// - `hooks.log.filling`: what hooks still need fills four fifths of the log. `data` has `bytes`, `max_bytes`, and `hook`:
///   the one that holds the oldest events, or null.
///
/// Of each type there is at most one about a hook in a minute. What comes within it comes at its end, as one: the last of
/// them, or of dead letters all that fit. `left_out` in `data` counts those that it does not tell of. So one that waited may
/// come behind a later one of another type: `time` is when it happened.
///
/// They are no complete record: while too much happens at once, or the bus takes nothing, some are lost. That is
/// [counted](crate::Dispatcher::own_events_lost), and the log says so. [`Dispatcher::status`](crate::Dispatcher::status)
/// always knows.
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
    /// The event has a subject, and it matches one of these; empty: any subject or none.
    pub subjects: Vec<Pattern>,
    /// The tenant whose hook it is: the event's extension attribute `tenant` is this. `None`: the hook is the
    /// operator's, and receives the events of every tenant and of none.
    pub tenant: Option<TenantId>,
    /// What few filters ask for.
    pub rare: Rare,
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
        self.rare.types_except.extend(patterns.into_iter().map(Into::into));
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
        self.rare.subjects_except.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Only events with one of these sources.
    #[must_use]
    pub fn sources<P: Into<Pattern>>(mut self, patterns: impl IntoIterator<Item = P>) -> Self {
        self.rare.sources.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// But not these sources.
    #[must_use]
    pub fn except_sources<P: Into<Pattern>>(mut self, patterns: impl IntoIterator<Item = P>) -> Self {
        self.rare.sources_except.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Only events whose extension attribute of this name matches one of these.
    #[must_use]
    pub fn attribute<P: Into<Pattern>>(
        mut self,
        name: impl Into<String>,
        patterns: impl IntoIterator<Item = P>,
    ) -> Self {
        self.rare.attributes.entry(name.into()).or_default().extend(patterns.into_iter().map(Into::into));
        self
    }

    /// But not those whose extension attribute of this name matches one of these.
    #[must_use]
    pub fn except_attribute<P: Into<Pattern>>(
        mut self,
        name: impl Into<String>,
        patterns: impl IntoIterator<Item = P>,
    ) -> Self {
        self.rare.attributes_except.entry(name.into()).or_default().extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Only this tenant's events, or everybody's.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<Option<TenantId>>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// Only events whose `data` matches.
    #[must_use]
    pub fn data(mut self, pattern: impl Into<Arc<EventPattern>>) -> Self {
        self.rare.data = Some(pattern.into());
        self
    }

    /// Returns true if the hook receives this event.
    pub fn matches(&self, envelope: &Envelope) -> bool {
        self.matches_but_data(envelope) && self.rare.matches_data(envelope)
    }

    /// Returns true if the hook receives this event if its `data` matches.
    pub fn matches_but_data(&self, envelope: &Envelope) -> bool {
        self.matches_type(envelope.event_type())
            && self.matches_tenant(envelope.tenant())
            && self.matches_other_attributes(envelope)
    }

    /// The first part that keeps an event away. `None`: the hook receives it.
    pub fn mismatch(&self, envelope: &Envelope) -> Option<Mismatch> {
        let (event_type, subject, source) = (envelope.event_type(), envelope.subject(), envelope.source());
        let first =
            |is_excepted, exceptions, patterns| Some(Mismatch::from(if is_excepted { exceptions } else { patterns }));
        if !self.matches_tenant(envelope.tenant()) {
            return Some(FilterSetting::Tenant.into());
        }
        if !self.matches_type(event_type) {
            let is_excepted = !is_reserved(event_type) && any(&self.rare.types_except, event_type);
            return first(is_excepted, FilterSetting::TypesExcept, FilterSetting::Types);
        }
        if !self.matches_subject(subject) {
            let is_excepted = subject.is_some_and(|subject| any(&self.rare.subjects_except, subject));
            return first(is_excepted, FilterSetting::SubjectsExcept, FilterSetting::Subjects);
        }
        if !self.rare.matches_source(source) {
            let is_excepted = any(&self.rare.sources_except, source);
            return first(is_excepted, FilterSetting::SourcesExcept, FilterSetting::Sources);
        }
        if let Some((setting, name)) = self.rare.odd_attribute(envelope) {
            return Some(Mismatch::of_attribute(setting, name));
        }
        if self.rare.is_about_itself(envelope) {
            return Some(FilterSetting::Types.into());
        }
        self.rare.data.as_ref()?.mismatch(envelope.data()).map(Mismatch::of_data)
    }

    /// Returns true if events of this type can match.
    pub fn matches_type(&self, event_type: &str) -> bool {
        if is_reserved(event_type) {
            return self.types.iter().any(|pattern| pattern.is_literal() && pattern.as_str() == event_type);
        }
        (self.types.is_empty() || any(&self.types, event_type)) && !any(&self.rare.types_except, event_type)
    }

    /// Returns true if events of this tenant, or of none, can match.
    pub fn matches_tenant(&self, tenant: Option<&str>) -> bool {
        self.tenant.as_ref().is_none_or(|own| tenant == Some(own.as_str()))
    }

    /// Returns true if type and tenant don't decide alone: [`matches_rest`](Self::matches_rest) has to be asked.
    pub fn has_rest(&self) -> bool {
        !self.subjects.is_empty() || self.rare.has_rest()
    }

    /// Returns true if an event matches whose type and tenant do.
    pub fn matches_rest(&self, envelope: &Envelope) -> bool {
        self.matches_other_attributes(envelope) && self.rare.matches_data(envelope)
    }

    /// Returns true if the attributes match beside type and tenant.
    fn matches_other_attributes(&self, envelope: &Envelope) -> bool {
        self.matches_subject(envelope.subject()) && self.rare.matches_other_attributes(envelope)
    }

    /// Returns true if events with this subject can match.
    pub fn matches_subject(&self, subject: Option<&str>) -> bool {
        match subject {
            Some(subject) => {
                (self.subjects.is_empty() || any(&self.subjects, subject)) && !any(&self.rare.subjects_except, subject)
            }
            None => self.subjects.is_empty(),
        }
    }
}
