//! What is known to hold of hooks: overrides, or since when their receivers fail. An older revision changes nothing. No I/O.

use std::collections::HashMap;

use hooks_core::Override;

/// Overrides, or other facts, by hook.
#[derive(Debug)]
pub(crate) struct Overrides<T = Override> {
    /// The override, if there is one, and its revision.
    by_token: HashMap<String, (Option<T>, u64)>,
    up_to: u64,
}

impl<T> Default for Overrides<T> {
    fn default() -> Self {
        Self { by_token: HashMap::new(), up_to: 0 }
    }
}

impl<T: Clone + PartialEq> Overrides<T> {
    /// Takes in an override (`None`: removed); returns true if it is another one.
    pub(crate) fn see(&mut self, token: &str, to: Option<T>, revision: u64) -> bool {
        if self.revision(token).is_some_and(|known| known >= revision) {
            return false;
        }
        let news = self.get(token) != to;
        self.by_token.insert(token.to_owned(), (to, revision));
        news
    }

    pub(crate) fn get(&self, token: &str) -> Option<T> {
        self.by_token.get(token)?.0.clone()
    }

    pub(crate) fn revision(&self, token: &str) -> Option<u64> {
        self.by_token.get(token).map(|(_, revision)| *revision)
    }

    /// Removes an override that had this revision.
    pub(crate) fn remove(&mut self, token: &str, revision: Option<u64>) {
        if let Some(known) = self.by_token.get_mut(token)
            && Some(known.1) == revision
        {
            known.0 = None;
        }
    }

    /// Forgets the hook; returns true if it had an override.
    pub(crate) fn forget(&mut self, token: &str) -> bool {
        self.by_token.remove(token).is_some_and(|(known, _)| known.is_some())
    }

    /// The hooks with an override, the override and its revision.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &T, u64)> {
        self.by_token.iter().filter_map(|(token, (known, revision))| Some((token.as_str(), known.as_ref()?, *revision)))
    }

    /// Forgets revisions, because the bucket is another one; overrides stay.
    pub(crate) fn reset_revisions(&mut self) {
        self.by_token.values_mut().for_each(|(_, revision)| *revision = 0);
        self.up_to = 0;
    }

    /// Every override up to this revision of the bucket was seen.
    pub(crate) fn seen_up_to(&mut self, revision: u64) {
        self.up_to = self.up_to.max(revision);
    }

    pub(crate) fn up_to(&self) -> u64 {
        self.up_to
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use hooks_core::DisabledBy;

    use super::*;

    #[test]
    fn what_is_older_changes_nothing() {
        let mut overrides = Overrides::default();
        let text =
            |text: &str| Some(Override::disabled(DisabledBy::Receiver, Some(text.to_owned()), SystemTime::UNIX_EPOCH));
        assert!(
            overrides.see("a", text("x"), 5)
                && !overrides.see("a", text("x"), 6)
                && !overrides.see("a", text("old"), 4)
        );
        assert_eq!(overrides.get("a"), text("x"));
        // Another was set before the removal was answered.
        let before = overrides.revision("a");
        assert!(overrides.see("a", text("y"), 7));
        overrides.remove("a", before);
        assert_eq!(overrides.get("a"), text("y"));
        overrides.remove("a", Some(7));
        assert!(overrides.get("a").is_none() && !overrides.see("a", None, 8) && !overrides.forget("a"));
        overrides.seen_up_to(9);
        overrides.seen_up_to(3);
        assert_eq!(overrides.up_to(), 9);
    }
}
