//! The notes about hooks that were seen. What is older changes nothing. No I/O.

use std::collections::HashMap;

/// Notes by hook.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Text, if there is one, and revision.
    notes: HashMap<String, (Option<String>, u64)>,
    up_to: u64,
}

impl Noted {
    /// Something was noted (`None`: removed); returns whether that is news.
    pub(super) fn see(&mut self, token: &str, text: Option<String>, revision: u64) -> bool {
        if self.revision(token).is_some_and(|known| known >= revision) {
            return false;
        }
        let news = self.get(token) != text;
        self.notes.insert(token.to_owned(), (text, revision));
        news
    }

    pub(super) fn get(&self, token: &str) -> Option<String> {
        self.notes.get(token)?.0.clone()
    }

    pub(super) fn revision(&self, token: &str) -> Option<u64> {
        self.notes.get(token).map(|(_, revision)| *revision)
    }

    /// A note was removed, when this was its revision.
    pub(super) fn remove(&mut self, token: &str, revision: Option<u64>) {
        if let Some(note) = self.notes.get_mut(token)
            && Some(note.1) == revision
        {
            note.0 = None;
        }
    }

    /// Nothing is known of the hook any more; returns whether anything was noted.
    pub(super) fn forget(&mut self, token: &str) -> bool {
        self.notes.remove(token).is_some_and(|(text, _)| text.is_some())
    }

    /// The hooks about which something is noted, what, and its revision.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.notes.iter().filter_map(|(token, (text, revision))| Some((token.as_str(), text.as_deref()?, *revision)))
    }

    /// Revisions begin anew; what was noted holds on.
    pub(super) fn begin_anew(&mut self) {
        self.notes.values_mut().for_each(|(_, revision)| *revision = 0);
        self.up_to = 0;
    }

    /// Every note up to this revision of the bucket was seen.
    pub(super) fn is_up_to(&mut self, revision: u64) {
        self.up_to = self.up_to.max(revision);
    }

    pub(super) fn up_to(&self) -> u64 {
        self.up_to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_changes_nothing() {
        let mut notes = Noted::default();
        let text = |text: &str| Some(text.to_owned());
        assert!(notes.see("a", text("x"), 5) && !notes.see("a", text("x"), 6) && !notes.see("a", text("old"), 4));
        assert_eq!(notes.get("a"), text("x"));
        // Somebody noted something else before the removal was answered.
        let before = notes.revision("a");
        assert!(notes.see("a", text("y"), 7));
        notes.remove("a", before);
        assert_eq!(notes.get("a"), text("y"));
        notes.remove("a", Some(7));
        assert!(notes.get("a").is_none() && !notes.see("a", None, 8) && !notes.forget("a"));
        notes.is_up_to(9);
        notes.is_up_to(3);
        assert_eq!(notes.up_to(), 9);
    }
}
