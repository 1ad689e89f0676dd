//! What few filters ask for, beside them: where hooks are many, each pays for what it has.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::pattern::{Pattern, any};
use super::{AttributePatterns, FilterSetting};
use crate::envelope::Envelope;
use crate::event_pattern::EventPattern;
use crate::id::HookId;

/// The parts of a [`Filter`](super::Filter) that few have. Where there are none, it takes the room of a pointer.
///
/// ```
/// use hooks_core::Filter;
///
/// let mut filter = Filter::types(["order.*"]);
/// assert!(filter.rare.sources.is_empty() && !filter.rare.has_rest());
/// filter.rare.sources.push("/shop/*".into());
/// assert_eq!(filter, Filter::types(["order.*"]).sources(["/shop/*"]));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Rare(Option<Box<RareParts>>);

/// The parts themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RareParts {
    /// The event's type matches none of these.
    pub types_except: Vec<Pattern>,
    /// The event has no subject, or it matches none of these.
    pub subjects_except: Vec<Pattern>,
    /// The event's source matches one of these; empty: any source.
    pub sources: Vec<Pattern>,
    /// The event's source matches none of these.
    pub sources_except: Vec<Pattern>,
    /// The event has each of these extension attributes, and its [text](Envelope::extension) matches one of the patterns.
    pub attributes: AttributePatterns,
    /// Of each of these extension attributes, the event has none, or its text matches none of the patterns.
    pub attributes_except: AttributePatterns,
    /// The event's `data` matches this.
    pub data: Option<Arc<EventPattern>>,
    /// The dispatcher's own events about this hook are left out. A dispatcher sets it for hooks that name such events: none
    /// hears of itself.
    pub not_about: Option<HookId>,
}

/// What is read where there are none.
static NONE: RareParts = RareParts {
    types_except: Vec::new(),
    subjects_except: Vec::new(),
    sources: Vec::new(),
    sources_except: Vec::new(),
    attributes: BTreeMap::new(),
    attributes_except: BTreeMap::new(),
    data: None,
    not_about: None,
};

impl Deref for Rare {
    type Target = RareParts;

    fn deref(&self) -> &RareParts {
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for Rare {
    fn deref_mut(&mut self) -> &mut RareParts {
        self.0.get_or_insert_default()
    }
}

impl From<RareParts> for Rare {
    fn from(parts: RareParts) -> Self {
        Self((parts != NONE).then(|| Box::new(parts)))
    }
}

/// No parts are as good as empty ones.
impl PartialEq for Rare {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Rare {}

impl Rare {
    /// Returns true if more is asked for than of the type.
    pub fn has_rest(&self) -> bool {
        let lists = [&self.subjects_except, &self.sources, &self.sources_except];
        lists.iter().any(|list| !list.is_empty())
            || !self.attributes.is_empty()
            || !self.attributes_except.is_empty()
            || self.data.is_some()
            || self.not_about.is_some()
    }

    /// Returns true if the attributes match beside type, subject and tenant.
    pub(super) fn matches_other_attributes(&self, envelope: &Envelope) -> bool {
        self.0.as_ref().is_none_or(|parts| parts.matches_other_attributes(envelope))
    }

    pub(super) fn matches_data(&self, envelope: &Envelope) -> bool {
        self.data.as_ref().is_none_or(|pattern| pattern.matches(envelope.data()))
    }
}

impl RareParts {
    fn matches_other_attributes(&self, envelope: &Envelope) -> bool {
        // Most ask for neither sources nor attributes: nothing is looked up for them.
        let any_source = self.sources.is_empty() && self.sources_except.is_empty();
        let any_attributes = self.attributes.is_empty() && self.attributes_except.is_empty();
        (any_source || self.matches_source(envelope.source()))
            && (any_attributes || self.odd_attribute(envelope).is_none())
            && !self.is_about_itself(envelope)
    }

    pub(super) fn matches_source(&self, source: &str) -> bool {
        (self.sources.is_empty() || any(&self.sources, source)) && !any(&self.sources_except, source)
    }

    pub(super) fn is_about_itself(&self, envelope: &Envelope) -> bool {
        let is_own = |own: &HookId| envelope.is_reserved() && envelope.subject() == Some(own.as_str());
        self.not_about.as_ref().is_some_and(is_own)
    }

    /// The first extension attribute that keeps the event away.
    pub(super) fn odd_attribute(&self, envelope: &Envelope) -> Option<(FilterSetting, &str)> {
        let matches =
            |name: &str, patterns: &[Pattern]| envelope.extension(name).is_some_and(|text| any(patterns, &text));
        let lacking = self.attributes.iter().find(|(name, patterns)| !matches(name, patterns));
        let excepted = || self.attributes_except.iter().find(|(name, patterns)| matches(name, patterns));
        match lacking {
            Some((name, _)) => Some((FilterSetting::Attributes, name)),
            None => excepted().map(|(name, _)| (FilterSetting::AttributesExcept, name.as_str())),
        }
    }
}
