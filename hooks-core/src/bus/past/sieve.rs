//! Finds the events that may match a filter among texts that were not taken apart: most of a log is passed over for every
//! event that is found.

use memchr::memchr;
use memchr::memmem::Finder;

use super::PastFilter;
use crate::envelope::{Fault, Kind, Member, scan_object};
use crate::filter::Pattern;

/// Looks at the text of one event after the other. See [`PastFilter::sieve`].
#[derive(Debug)]
pub struct Sieve<'a> {
    filter: &'a PastFilter,
    /// Texts that stand in every event that matches, unless it spells them with escapes.
    needles: Vec<Finder<'a>>,
    /// A text that stands in every event that matches, spelled the same.
    text: Option<Finder<'a>>,
    /// Attributes that have to be looked at.
    wanted: usize,
}

/// The end of a look at an event before all of it was seen.
enum Seen {
    /// It does not match.
    Other,
    /// Every attribute that matters was seen, and fits.
    Fits,
    /// The text is no event.
    Broken,
}

impl From<Fault> for Seen {
    fn from(_: Fault) -> Self {
        Self::Broken
    }
}

impl<'a> Sieve<'a> {
    pub(super) fn new(filter: &'a PastFilter) -> Self {
        let only_pattern = |patterns: &'a [Pattern]| match patterns {
            [pattern] => Some(longest_literal(pattern)),
            _ => None,
        };
        let id = Some(&filter.ids).filter(|ids| ids.len() == 1).and_then(|ids| ids.first()).map(String::as_str);
        // The name of an extension attribute is never spelled with escapes.
        let tenant = filter.tenant.is_some().then_some("\"tenant\"");
        let needles = [id, only_pattern(&filter.sources), only_pattern(&filter.types), tenant];
        let needles = needles.into_iter().flatten().filter(|needle| !needle.is_empty()).map(Finder::new).collect();
        let is_set =
            [!filter.ids.is_empty(), !filter.sources.is_empty(), !filter.types.is_empty(), filter.tenant.is_some()];
        let text = filter.text.as_deref().map(Finder::new);
        Self { filter, needles, text, wanted: is_set.into_iter().filter(|is_set| *is_set).count() }
    }

    /// False if the event with this text does not match. Nothing behind the attributes that matter is looked at.
    pub fn may_match(&self, json: &[u8]) -> bool {
        let is_missing = |needle: &Finder<'_>| needle.find(json).is_none();
        if self.text.as_ref().is_some_and(is_missing) {
            return false;
        }
        if self.needles.iter().any(is_missing) && memchr(b'\\', json).is_none() {
            return false;
        }
        if self.wanted == 0 {
            return true;
        }
        let Ok(text) = std::str::from_utf8(json) else { return true };
        let mut left = self.wanted;
        let seen = scan_object(text, |member| {
            match self.fits(text, &member) {
                None => return Ok(()),
                Some(false) => return Err(Seen::Other),
                Some(true) => left -= 1,
            }
            if left == 0 { Err(Seen::Fits) } else { Ok(()) }
        });
        // At its end without a result, an attribute that matters is missing.
        matches!(seen, Err(Seen::Fits | Seen::Broken))
    }

    /// Whether the member's value may be looked for. `None`: it does not matter.
    fn fits(&self, text: &str, member: &Member) -> Option<bool> {
        let filter = self.filter;
        let is_looked_at = match &text[member.name.clone()] {
            "id" => !filter.ids.is_empty(),
            "source" => !filter.sources.is_empty(),
            "type" => !filter.types.is_empty(),
            "tenant" => filter.tenant.is_some(),
            _ => false,
        };
        if !is_looked_at {
            return None;
        }
        let value = match member.kind {
            Kind::String { plain: true } => &text[member.value.start + 1..member.value.end - 1],
            Kind::Null => return None,
            // Spelled in more than one way: the caller takes the event apart.
            _ => return Some(true),
        };
        Some(match &text[member.name.clone()] {
            "id" => filter.matches_id(value),
            "source" => filter.matches_source(value),
            "type" => filter.matches_type(value),
            _ => filter.tenant.as_ref().is_none_or(|tenant| tenant.as_str() == value),
        })
    }
}

/// The longest text that every match has.
fn longest_literal(pattern: &Pattern) -> &str {
    pattern.as_str().split(['*', '?']).max_by_key(|literal| literal.len()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::envelope::Envelope;
    use crate::id::TenantId;

    /// A JSON string, some of its characters escaped.
    fn spelled(text: &str, escaped: u8) -> String {
        let spell = |(at, char): (usize, char)| match escaped >> (at % 8) & 1 {
            1 => format!("\\u{:04x}", u32::from(char)),
            _ => char.to_string(),
        };
        format!("\"{}\"", text.chars().enumerate().map(spell).collect::<String>())
    }

    proptest! {
        /// The sieve lets every event through that matches, however it is spelled, and of plain ones no other.
        #[test]
        fn a_sieve_keeps_what_the_filter_wants(
            wanted in (prop::collection::btree_set("[abé]{1,3}", 0..3), prop::collection::vec("[ab*?]{1,3}", 0..3),
                prop::collection::vec("[ab*?é]{1,3}", 0..3), prop::option::of("[ab]")),
            id in "[abé]{1,3}",
            source in "[ab]{1,3}",
            event_type in "[abé]{1,3}",
            tenant in prop::option::of("[ab]"),
            escaped in prop::array::uniform4(any::<u8>()),
            data_first in any::<bool>(),
        ) {
            let (ids, sources, types, own) = wanted;
            let patterns = |texts: Vec<String>| texts.into_iter().map(Pattern::from).collect();
            let own = own.map(|own| TenantId::new(own).unwrap());
            let filter = PastFilter::default().ids(ids).sources(patterns(sources)).types(patterns(types)).tenant(own);
            let tenant = tenant.map_or(String::new(), |tenant| format!(r#","tenant":{}"#, spelled(&tenant, escaped[3])));
            let (id, source, event_type) =
                (spelled(&id, escaped[0]), spelled(&source, escaped[1]), spelled(&event_type, escaped[2]));
            let data = r#""data":{"id":"a","tenant":"b"}"#;
            let attributes = format!(r#""specversion":"1.0","id":{id},"source":{source},"type":{event_type}{tenant}"#);
            let json = if data_first { format!("{{{data},{attributes}}}") } else { format!("{{{attributes},{data}}}") };
            let matches = filter.matches(&Envelope::from_json(json.as_bytes()).unwrap());
            let may_match = filter.sieve().may_match(json.as_bytes());
            prop_assert!(may_match || !matches, "{json}");
            prop_assert!(matches || !may_match || !json.is_ascii() || json.contains('\\'), "{json}");
        }
    }

    #[test]
    fn a_text_is_looked_for_as_it_is_spelled() {
        let json = r#"{"type":"a","data":{"name":"caf\u00e9"}}"#;
        for (text, matches) in
            [("caf", true), (r"\u00e9", true), ("café", false), ("\"name\":\"c", true), ("Caf", false)]
        {
            let filter = PastFilter::default().text(Some(text.to_owned()));
            assert_eq!(filter.matches(&Envelope::from_json(json.as_bytes()).unwrap()), matches, "{text}");
            assert_eq!(filter.sieve().may_match(json.as_bytes()), matches, "{text}");
        }
    }

    #[test]
    fn a_tenant_may_be_a_number() {
        let filter = PastFilter::default().tenant(Some(TenantId::new("7").unwrap()));
        for (tenant, matches) in [("7", true), ("\"7\"", true), ("\"\\u0037\"", true), ("8", false), ("null", false)] {
            let json = format!(r#"{{"type":"a","tenant":{tenant}}}"#);
            assert_eq!(filter.matches(&Envelope::from_json(json.as_bytes()).unwrap()), matches, "{json}");
            assert!(filter.sieve().may_match(json.as_bytes()) || !matches, "{json}");
        }
    }
}
