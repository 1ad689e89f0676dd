//! The known definitions of hooks. An older revision changes nothing. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hooks_core::HookId;
use hooks_core::bus::{Definition, Revision};
use serde::{Deserialize, Serialize};

/// The value of a hook's definition in the bucket. The hook's first position is in it, so that both are written at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DefinitionRecord {
    #[serde(flatten)]
    pub(super) origin: Origin,
    /// In nanoseconds since 1970.
    pub(super) created: u64,
    pub(super) changed: u64,
    pub(super) text: String,
}

/// Where a defined hook began. An entry of another hook that had its name says nothing about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// The hook's own mark, which another hook of the same name never has.
    pub(super) of: String,
    /// The stream that the position belongs to.
    pub(super) log: String,
    pub(super) position: u64,
}

impl DefinitionRecord {
    pub(super) fn encode(&self) -> bytes::Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    pub(super) fn decode(hook: &str, value: &[u8]) -> Option<Self> {
        let read = serde_json::from_slice(value);
        read.inspect_err(
            |error| tracing::error!(hook, %error, "the hook's definition in NATS can't be read: it is left alone"),
        )
        .ok()
    }

    /// As the dispatcher sees it.
    pub(super) fn definition(&self, hook: &HookId, revision: u64) -> Definition {
        let (created, changed) = (time(self.created), time(self.changed));
        Definition::new(hook.clone(), Revision::new(revision), self.text.as_str(), created).changed(changed)
    }
}

/// The time in nanoseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn time(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

/// Definitions by hook.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    /// The definition, if there is one, and its revision.
    by_hook: BTreeMap<HookId, (Option<DefinitionRecord>, u64)>,
    /// Hooks that other instances have defined, changed or undefined, and that nobody has asked for since.
    news: BTreeSet<HookId>,
}

impl Definitions {
    /// Takes in a definition (`None`: removed); returns true if it is another one, of another instance.
    pub(super) fn see(&mut self, hook: &HookId, to: Option<DefinitionRecord>, revision: u64) -> bool {
        let known = self.by_hook.get(hook);
        if known.is_some_and(|(_, known)| *known >= revision) {
            return false;
        }
        let is_news = known.and_then(|(known, _)| known.as_ref()) != to.as_ref();
        self.by_hook.insert(hook.clone(), (to, revision));
        if is_news {
            self.news.insert(hook.clone());
        }
        is_news
    }

    /// This instance has written a definition.
    pub(super) fn set(&mut self, hook: &HookId, to: DefinitionRecord, revision: u64) {
        if self.by_hook.get(hook).is_none_or(|(_, known)| *known < revision) {
            self.by_hook.insert(hook.clone(), (Some(to), revision));
        }
    }

    /// This instance has removed a definition that had this revision.
    pub(super) fn remove(&mut self, hook: &HookId, revision: u64) {
        if let Some(known) = self.by_hook.get_mut(hook).filter(|(_, known)| *known == revision) {
            known.0 = None;
        }
    }

    pub(super) fn get(&self, hook: &HookId) -> Option<(&DefinitionRecord, u64)> {
        let (known, revision) = self.by_hook.get(hook)?;
        Some((known.as_ref()?, *revision))
    }

    /// A page of them, by name.
    pub(super) fn page(&self, after: Option<&HookId>, limit: usize) -> Vec<Definition> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.by_hook.range::<HookId, _>((after, Bound::Unbounded));
        let defined = later.filter_map(|(hook, (known, revision))| Some(known.as_ref()?.definition(hook, *revision)));
        defined.take(limit).collect()
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&HookId, &DefinitionRecord, u64)> {
        self.by_hook.iter().filter_map(|(hook, (known, revision))| Some((hook, known.as_ref()?, *revision)))
    }

    /// True if the hook that began there was undefined, or another one has its name by now.
    pub(super) fn has_ended(&self, hook: &HookId, origin: Option<&Origin>) -> bool {
        origin.is_some() && self.get(hook).map(|(record, _)| &record.origin) != origin
    }

    /// The next hook that others have changed.
    pub(super) fn next_news(&mut self) -> Option<HookId> {
        self.news.pop_first()
    }

    /// What is known now was there when the bus was opened.
    pub(super) fn begin(&mut self) {
        self.news.clear();
    }

    /// Forgets revisions, because the bucket is another one; definitions stay.
    pub(super) fn reset_revisions(&mut self) {
        self.by_hook.values_mut().for_each(|(_, revision)| *revision = 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_changes_nothing_and_what_is_ones_own_is_no_news() {
        let mut definitions = Definitions::default();
        let hook = HookId::new("a.b").unwrap();
        let record = |text: &str| {
            let origin = Origin { of: "x".to_owned(), log: "l".to_owned(), position: 7 };
            DefinitionRecord { origin, created: 1, changed: 2, text: text.to_owned() }
        };
        let written = record("{\"é\":\"\\n\"}");
        let bytes = written.encode();
        let pinned = r#"{"of":"x","log":"l","position":7,"created":1,"changed":2,"text":"{\"é\":\"\\n\"}"}"#;
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), pinned);
        assert_eq!(DefinitionRecord::decode("a.b", &bytes), Some(written.clone()));

        definitions.set(&hook, written.clone(), 5);
        assert!(!definitions.see(&hook, Some(written), 5) && !definitions.see(&hook, None, 4));
        assert_eq!((definitions.next_news(), definitions.page(None, 9).len()), (None, 1));
        assert!(definitions.see(&hook, Some(record("{}")), 6));
        assert_eq!(definitions.next_news(), Some(hook.clone()));
        definitions.remove(&hook, 5);
        assert!(definitions.get(&hook).is_some(), "another was kept before the removal was answered");
        definitions.remove(&hook, 6);
        assert!(definitions.get(&hook).is_none() && !definitions.see(&hook, None, 7));
        assert_eq!((definitions.next_news(), definitions.page(None, 9).len()), (None, 0));
    }
}
