//! Subscribers that another attribute than the type leads to.

use std::collections::HashMap;
use std::sync::Arc;

use hooks_core::{Envelope, Filter, Pattern};

use super::Slot;
use super::patterns::PatternMap;

/// The attribute that leads to a subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lead {
    Subject,
    Source,
    /// The extension attribute of this name.
    Extension(Arc<str>),
}

/// Subscribers by the patterns of the attribute that leads to them.
#[derive(Debug, Default)]
pub(super) struct Leads {
    subject: PatternMap,
    source: PatternMap,
    extensions: HashMap<Arc<str>, PatternMap>,
}

impl Lead {
    /// The attribute whose patterns the fewest others share, if they are fewer than share those of the type. A subject leads
    /// also where they are as many. Returns how many share it, too.
    pub(super) fn best(filter: &Filter, leads: Option<&Leads>, of_type: usize) -> Option<(usize, Self)> {
        let load = |lead: &Self| {
            let known = leads.and_then(|leads| leads.of(lead));
            known.map_or(0, |known| known.load(lead.patterns(filter)))
        };
        let subject = (!filter.subjects.is_empty()).then_some(Self::Subject);
        let mut best = subject.map(|lead| (load(&lead), lead)).filter(|(load, _)| *load <= of_type);
        let source = (!filter.rare.sources.is_empty()).then_some(Self::Source);
        let extensions = filter.rare.attributes.keys().map(|name| Self::Extension(name.as_str().into()));
        for lead in source.into_iter().chain(extensions) {
            let load = load(&lead);
            if load < best.as_ref().map_or(of_type, |(least, _)| *least) {
                best = Some((load, lead));
            }
        }
        best
    }

    /// The filter's patterns of this attribute.
    pub(super) fn patterns<'a>(&self, filter: &'a Filter) -> &'a [Pattern] {
        match self {
            Self::Subject => &filter.subjects,
            Self::Source => &filter.rare.sources,
            Self::Extension(name) => filter.rare.attributes.get(&**name).map(Vec::as_slice).unwrap_or_default(),
        }
    }
}

impl Leads {
    pub(super) fn is_empty(&self) -> bool {
        self.subject.is_empty() && self.source.is_empty() && self.extensions.is_empty()
    }

    pub(super) fn insert(&mut self, lead: &Lead, patterns: &[Pattern], slot: Slot) {
        let map = match lead {
            Lead::Subject => &mut self.subject,
            Lead::Source => &mut self.source,
            Lead::Extension(name) => self.extensions.entry(name.clone()).or_default(),
        };
        map.insert(patterns, slot);
    }

    pub(super) fn remove(&mut self, lead: &Lead, patterns: &[Pattern], slot: Slot) {
        match lead {
            Lead::Subject => self.subject.remove(patterns, slot),
            Lead::Source => self.source.remove(patterns, slot),
            Lead::Extension(name) => {
                let Some(map) = self.extensions.get_mut(name) else { return };
                map.remove(patterns, slot);
                if map.is_empty() {
                    self.extensions.remove(name);
                }
            }
        }
    }

    /// Those with a matching pattern, each once. What else their filters ask for is not looked at.
    pub(super) fn find(&self, event: &Envelope) -> Vec<Slot> {
        let mut found = event.subject().map(|subject| self.subject.find(subject)).unwrap_or_default();
        if !self.source.is_empty() {
            found.extend(self.source.find(event.source()));
        }
        if self.extensions.is_empty() {
            return found;
        }
        let known = event.extensions().filter_map(|name| Some((name, self.extensions.get(name)?)));
        for (name, map) in known {
            found.extend(event.extension(name).map(|text| map.find(&text)).unwrap_or_default());
        }
        found
    }

    fn of(&self, lead: &Lead) -> Option<&PatternMap> {
        match lead {
            Lead::Subject => Some(&self.subject),
            Lead::Source => Some(&self.source),
            Lead::Extension(name) => self.extensions.get(name),
        }
    }

    /// The most subscribers that share a bucket.
    #[cfg(test)]
    pub(super) fn most(&self) -> usize {
        let extensions = self.extensions.values().map(PatternMap::most);
        [self.subject.most(), self.source.most()].into_iter().chain(extensions).max().unwrap_or(0)
    }
}
