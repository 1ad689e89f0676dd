//! Each hook's number of dead letters, as last heard of the server.

use std::collections::HashMap;

use async_nats::jetstream::stream::Stream;
use futures_util::TryStreamExt as _;
use hooks_core::BusError;
use parking_lot::Mutex;

use super::connect::unavailable;

/// The counts, by the hook's token. What the server counted while this instance changed a hook's dead letters says
/// nothing about that hook: the answer may be older than the change, or hold it already.
#[derive(Debug, Default)]
pub(super) struct DeadLetterCounts(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    of: HashMap<String, Count>,
    /// The number of changes that have ended.
    changes: u64,
}

#[derive(Debug, Default)]
struct Count {
    dead_letters: u64,
    /// Changes that have begun and not ended.
    open: u32,
    /// The last change that has ended.
    changed: u64,
}

impl Count {
    fn is_untouched(&self, since: u64) -> bool {
        self.open == 0 && self.changed <= since
    }
}

impl DeadLetterCounts {
    pub(super) fn of(&self, token: &str) -> u64 {
        self.0.lock().of.get(token).map_or(0, |count| count.dead_letters)
    }

    /// Begins a change of a hook's dead letters on the server.
    pub(super) fn begin<'a>(&'a self, token: &'a str) -> Change<'a> {
        self.0.lock().of.entry(token.to_owned()).or_default().open += 1;
        Change { counts: self, token }
    }

    /// Asks the server for the counts of all hooks.
    pub(super) async fn refresh(&self, stream: &Stream, name: &str) -> Result<(), BusError> {
        let since = self.now();
        let counted = counted(stream, name, ">").await?;
        self.set_all(since, counted);
        Ok(())
    }

    /// Asks the server for the count of a hook.
    pub(super) async fn fetch(&self, stream: &Stream, name: &str, token: &str) -> Result<u64, BusError> {
        let since = self.now();
        let counted = counted(stream, name, &format!("{token}.>")).await?.remove(token).unwrap_or(0);
        self.set(since, token, counted);
        Ok(counted)
    }

    fn now(&self) -> u64 {
        self.0.lock().changes
    }

    fn set(&self, since: u64, token: &str, counted: u64) {
        let mut counts = self.0.lock();
        let count = counts.of.entry(token.to_owned()).or_default();
        if count.is_untouched(since) {
            count.dead_letters = counted;
        }
    }

    fn set_all(&self, since: u64, counted: HashMap<String, u64>) {
        self.0.lock().of.retain(|token, count| counted.contains_key(token) || !count.is_untouched(since));
        for (token, counted) in counted {
            self.set(since, &token, counted);
        }
    }
}

/// A change of a hook's dead letters that is under way. Dropped, it may have been made or not: the next count shows.
#[derive(Debug)]
#[must_use]
pub(super) struct Change<'a> {
    counts: &'a DeadLetterCounts,
    token: &'a str,
}

impl Change<'_> {
    /// The server has made it.
    pub(super) fn done(self, change: impl FnOnce(u64) -> u64) {
        if let Some(count) = self.counts.0.lock().of.get_mut(self.token) {
            count.dead_letters = change(count.dead_letters);
        }
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock();
        counts.changes += 1;
        let changes = counts.changes;
        if let Some(count) = counts.of.get_mut(self.token) {
            count.open -= 1;
            count.changed = changes;
        }
    }
}

/// Dead letters by token, of the subjects `NAME.dead.FILTER`.
async fn counted(stream: &Stream, name: &str, filter: &str) -> Result<HashMap<String, u64>, BusError> {
    let failed = |error: &dyn std::error::Error| unavailable("count dead letters", error);
    let prefix = format!("{name}.dead.");
    let mut subjects = stream.info_with_subjects(format!("{prefix}{filter}")).await.map_err(|error| failed(&error))?;
    let mut counted = HashMap::new();
    while let Some((subject, messages)) = subjects.try_next().await.map_err(|error| failed(&error))? {
        let token = subject.strip_prefix(&prefix).and_then(|rest| rest.split('.').next());
        *counted.entry(token.unwrap_or_default().to_owned()).or_default() += messages as u64;
    }
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(of: &[(&str, u64)]) -> HashMap<String, u64> {
        of.iter().map(|(token, count)| ((*token).to_owned(), *count)).collect()
    }

    #[test]
    fn a_count_that_is_older_than_a_change_does_not_undo_it() {
        let counts = DeadLetterCounts::default();
        counts.begin("a").done(|count| count + 1);
        let since = counts.now();
        counts.begin("a").done(|_| 0);
        counts.set_all(since, counted(&[("a", 1), ("b", 2)]));
        counts.set(since, "a", 1);
        assert_eq!((counts.of("a"), counts.of("b")), (0, 2));
        counts.set_all(counts.now(), counted(&[("a", 3)]));
        assert_eq!((counts.of("a"), counts.of("b")), (3, 0));
    }

    #[test]
    fn a_count_that_may_hold_a_change_already_does_not_double_it() {
        let counts = DeadLetterCounts::default();
        let kept = counts.begin("a");
        let since = counts.now();
        counts.set(since, "a", 1);
        counts.set_all(since, counted(&[("a", 1)]));
        kept.done(|count| count + 1);
        counts.set_all(since, counted(&[("a", 1)]));
        assert_eq!(counts.of("a"), 1);
    }

    #[test]
    fn after_a_change_that_failed_the_server_is_believed_again() {
        let counts = DeadLetterCounts::default();
        drop(counts.begin("a"));
        counts.set_all(counts.now(), counted(&[("a", 7)]));
        assert_eq!(counts.of("a"), 7);
        counts.set_all(counts.now(), HashMap::new());
        assert!(counts.0.lock().of.is_empty());
    }
}
