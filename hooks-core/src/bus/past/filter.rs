//! The events of the past that somebody looks for.

use std::collections::BTreeSet;

use super::Sieve;
use crate::envelope::{Envelope, is_reserved};
use crate::filter::Pattern;
use crate::id::TenantId;
use crate::setters::setters;

/// Selects events of the past: those that fit everything that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PastFilter {
    /// The event's id is one of these; empty: any.
    pub ids: BTreeSet<String>,
    /// The event's source matches one of these globs; empty: any.
    pub sources: Vec<Pattern>,
    /// The event's type matches one of these globs, as those of a [`Filter`](crate::Filter) do: the dispatcher's own types
    /// (`hooks.…`) have to be named in full. Empty: any type, the dispatcher's own as well.
    pub types: Vec<Pattern>,
    /// The event is this tenant's.
    pub tenant: Option<TenantId>,
    /// The event's JSON has this text in it, spelled the same.
    pub text: Option<String>,
}

setters!(PastFilter {
    ids: BTreeSet<String>,
    sources: Vec<Pattern>,
    types: Vec<Pattern>,
    tenant: Option<TenantId>,
    text: Option<String>,
});

impl PastFilter {
    /// True if the event is looked for.
    pub fn matches(&self, event: &Envelope) -> bool {
        self.matches_id(event.id())
            && self.matches_source(event.source())
            && self.matches_type(event.event_type())
            && self.tenant.as_ref().is_none_or(|tenant| event.tenant() == Some(tenant.as_str()))
            && self.text.as_ref().is_none_or(|text| event.json().contains(text.as_str()))
    }

    /// For buses: finds the events that may match among texts that were not taken apart.
    pub fn sieve(&self) -> Sieve<'_> {
        Sieve::new(self)
    }

    pub(super) fn matches_id(&self, id: &str) -> bool {
        self.ids.is_empty() || self.ids.contains(id)
    }

    pub(super) fn matches_source(&self, source: &str) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|pattern| pattern.matches(source))
    }

    pub(super) fn matches_type(&self, event_type: &str) -> bool {
        let matches =
            |pattern: &Pattern| pattern.matches(event_type) && (pattern.is_literal() || !is_reserved(event_type));
        self.types.is_empty() || self.types.iter().any(matches)
    }
}
