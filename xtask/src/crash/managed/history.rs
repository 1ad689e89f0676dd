//! What clients asked and when, and whether each event reached the hooks that it had to reach, and no other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::crash::receiver::Arrival;
use crate::crash::record::{PUBLISHERS, Totals};

/// When something was asked, and when it was known to be so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) begin: Duration,
    pub(super) end: Duration,
}

impl Span {
    fn is_before(self, other: Self) -> bool {
        self.end < other.begin
    }
}

/// The events of a request.
#[derive(Debug)]
struct Published {
    numbers: Vec<u64>,
    span: Span,
    /// Otherwise it may have been, as a whole.
    is_accepted: bool,
}

/// A hook, until it is removed.
#[derive(Debug)]
struct Hook {
    /// Since when its events go to which path: the first is when it was made.
    paths: Vec<(Arc<str>, Span)>,
    removed: Option<Span>,
    /// When it was disabled, and enabled again.
    disabled: Vec<(Span, Option<Span>)>,
    /// When it went back, and when the place was known to which it went: what was accepted in between comes again.
    backs: Vec<(Span, Span)>,
    /// When it went ahead: what was accepted before may be missing.
    aheads: Vec<Span>,
}

/// What one client asked.
#[derive(Debug, Default)]
pub(super) struct History {
    hooks: Vec<Hook>,
    published: Vec<Published>,
    changes: u64,
}

impl History {
    pub(super) fn published(&mut self, numbers: Vec<u64>, span: Span, is_accepted: bool) {
        self.published.push(Published { numbers, span, is_accepted });
    }

    /// Returns the hook's number.
    pub(super) fn made(&mut self, path: Arc<str>, span: Span) -> usize {
        self.changes += 1;
        let (disabled, backs, aheads) = (Vec::new(), Vec::new(), Vec::new());
        self.hooks.push(Hook { paths: vec![(path, span)], removed: None, disabled, backs, aheads });
        self.hooks.len() - 1
    }

    pub(super) fn moved(&mut self, hook: usize, path: Arc<str>, span: Span) {
        self.changes += 1;
        self.hooks[hook].paths.push((path, span));
    }

    pub(super) fn removed(&mut self, hook: usize, span: Span) {
        self.changes += 1;
        self.hooks[hook].removed = Some(span);
    }

    pub(super) fn disabled(&mut self, hook: usize, span: Span) {
        self.changes += 1;
        self.hooks[hook].disabled.push((span, None));
    }

    pub(super) fn went_back(&mut self, hook: usize, known: Span, span: Span) {
        self.changes += 1;
        self.hooks[hook].backs.push((span, known));
    }

    pub(super) fn went_ahead(&mut self, hook: usize, span: Span) {
        self.changes += 1;
        self.hooks[hook].aheads.push(span);
        self.hooks[hook].backs.clear();
    }

    pub(super) fn enabled(&mut self, hook: usize, span: Span) {
        self.changes += 1;
        self.hooks[hook].disabled.iter_mut().for_each(|(_, enabled)| *enabled = enabled.or(Some(span)));
    }
}

/// Compares what arrived with what all clients asked.
pub(super) fn check(histories: &[History], arrived: &[Arrival]) -> Result<Totals, String> {
    let mut by_path: HashMap<&str, Vec<&Arrival>> = HashMap::new();
    for arrival in arrived {
        by_path.entry(&arrival.path).or_default().push(arrival);
    }
    let published: Vec<&Published> = histories.iter().flat_map(|history| &history.published).collect();
    let mut totals = Totals::default();
    totals.accepted = published.iter().filter(|slice| slice.is_accepted).map(|slice| slice.numbers.len() as u64).sum();
    totals.changes = histories.iter().map(|history| history.changes).sum();
    for hook in histories.iter().flat_map(|history| &history.hooks) {
        let mut came: Vec<&Arrival> =
            hook.paths.iter().flat_map(|(path, _)| by_path.remove(&**path).unwrap_or_default()).collect();
        came.sort_by_key(|arrival| arrival.at);
        let distinct =
            hook.check(&came, &published).map_err(|why| format!("the hook behind {}: {why}", hook.paths[0].0))?;
        totals.delivered += came.len() as u64;
        totals.repeated += came.len() as u64 - distinct;
    }
    match by_path.keys().next() {
        Some(path) => Err(format!("events went to {path}, which no hook was made or changed to have")),
        None => Ok(totals),
    }
}

impl Hook {
    /// Returns how many different events came.
    fn check(&self, came: &[&Arrival], published: &[&Published]) -> Result<u64, String> {
        let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
        let mut there = BTreeSet::new();
        // Once it went ahead, an older event may come for the first time, when it went back.
        let is_mixed = |at: Duration| self.aheads.first().is_some_and(|ahead| ahead.begin <= at);
        let first = came.iter().filter(|arrival| there.insert(arrival.number));
        for arrival in first.filter(|arrival| !is_mixed(arrival.at)) {
            let last = newest.insert(arrival.number % PUBLISHERS, arrival.number).unwrap_or_default();
            if last > arrival.number {
                return Err(format!("{} arrived behind {last}", arrival.number));
            }
        }
        let mut by_number: HashMap<u64, Vec<&Arrival>> = HashMap::new();
        came.iter().for_each(|arrival| by_number.entry(arrival.number).or_default().push(arrival));
        for slice in published {
            self.check_slice(slice, &there)?;
            self.check_again(slice, &by_number)?;
            for number in &slice.numbers {
                for arrival in by_number.remove(number).unwrap_or_default() {
                    self.check_arrival(slice, arrival).map_err(|why| format!("{number} {why}"))?;
                }
            }
        }
        match by_number.keys().next() {
            Some(unknown) => Err(format!("{unknown} was never published")),
            None => Ok(there.len() as u64),
        }
    }

    /// Events that were accepted after it was made have to come, those of a request together.
    fn check_slice(&self, slice: &Published, there: &BTreeSet<u64>) -> Result<(), String> {
        let is_skipped = self.aheads.iter().any(|ahead| !ahead.is_before(slice.span));
        if self.removed.is_some() || is_skipped || !self.paths[0].1.is_before(slice.span) {
            return Ok(());
        }
        let missing = slice.numbers.iter().filter(|number| !there.contains(number)).count();
        match missing {
            0 => Ok(()),
            _ if slice.is_accepted => {
                Err(format!("of {:?}, accepted once it was made, {missing} are lost", slice.numbers))
            }
            missing if missing == slice.numbers.len() => Ok(()),
            _ => Err(format!("a part of {:?} was accepted", slice.numbers)),
        }
    }

    /// Events between the place to which it went back and where it was come again.
    fn check_again(&self, slice: &Published, came: &HashMap<u64, Vec<&Arrival>>) -> Result<(), String> {
        let Some((back, _)) = self.backs.iter().rfind(|(back, known)| {
            slice.is_accepted && self.removed.is_none() && known.is_before(slice.span) && slice.span.is_before(*back)
        }) else {
            return Ok(());
        };
        let is_again = |number: &u64| came.get(number).is_some_and(|came| came.iter().any(|one| one.at >= back.begin));
        match slice.numbers.iter().find(|number| !is_again(number)) {
            Some(number) => Err(format!("{number} did not come again, though it went back")),
            None => Ok(()),
        }
    }

    fn check_arrival(&self, slice: &Published, arrival: &Arrival) -> Result<(), String> {
        if slice.span.is_before(self.paths[0].1) {
            return Err("was accepted before it was made".to_owned());
        }
        if self.removed.is_some_and(|removed| removed.is_before(slice.span)) {
            return Err("was accepted after it was removed".to_owned());
        }
        let mut later = self.paths.iter().skip_while(|(path, _)| *path != arrival.path).skip(1);
        if later.any(|(_, span)| span.is_before(slice.span)) {
            return Err(format!("went to {}, accepted after that was changed", arrival.path));
        }
        let is_early = |(disabled, enabled): &(Span, Option<Span>)| {
            disabled.is_before(slice.span) && enabled.is_none_or(|enabled| arrival.at < enabled.begin)
        };
        if self.disabled.iter().any(is_early) {
            return Err("came while it was disabled".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From this second to the next.
    fn at(second: u64) -> Span {
        Span { begin: Duration::from_secs(second), end: Duration::from_secs(second + 1) }
    }

    /// Made at 10, changed at 20, disabled at 30, enabled at 40, and removed at 50 or not.
    fn history(is_removed: bool, slices: &[(u64, &[u64], bool)]) -> History {
        let mut history = History::default();
        let hook = history.made("/1".into(), at(10));
        history.moved(hook, "/2".into(), at(20));
        history.disabled(hook, at(30));
        history.enabled(hook, at(40));
        if is_removed {
            history.removed(hook, at(50));
        }
        for (second, numbers, is_accepted) in slices {
            history.published(numbers.to_vec(), at(*second), *is_accepted);
        }
        history
    }

    fn checked(history: History, arrived: &[(u64, &str, u64)]) -> String {
        let arrival = |(second, path, number): &(u64, &str, u64)| Arrival {
            at: Duration::from_secs(*second),
            path: (*path).into(),
            number: *number,
        };
        let arrived: Vec<_> = arrived.iter().map(arrival).collect();
        check(&[history], &arrived)
            .map_or_else(|why| why, |totals| format!("{} of {}", totals.delivered, totals.accepted))
    }

    #[test]
    fn what_has_to_come_again_or_may_be_missing_is_known() {
        let slices: &[(u64, &[u64], bool)] = &[(15, &[8], true), (25, &[12], true)];
        let good = [(16, "/1", 8), (26, "/2", 12)];
        let back = |known| {
            let mut history = history(false, slices);
            history.went_back(0, at(known), at(60));
            history
        };
        assert!(checked(back(12), &good).contains("8 did not come again"));
        assert!(checked(back(20), &good).contains("12 did not come again"));
        let again = [(16, "/1", 8), (26, "/2", 12), (61, "/2", 8), (62, "/2", 12)];
        assert_eq!(checked(back(12), &again), "4 of 2");
        let mut ahead = back(12);
        ahead.went_ahead(0, at(70));
        assert_eq!(checked(ahead, &good[1..]), "1 of 2");
    }

    #[test]
    fn broken_promises_are_noticed() {
        let slices: &[(u64, &[u64], bool)] =
            &[(5, &[4], true), (15, &[8, 12], true), (25, &[16], true), (35, &[20], true), (45, &[24, 28], false)];
        let good = [(16, "/1", 8), (16, "/1", 12), (22, "/2", 12), (26, "/2", 16), (42, "/2", 20)];
        assert_eq!(checked(history(false, slices), &good), "5 of 5");
        for (change, said) in [
            ((17, "/1", 4), "4 arrived behind 12"),
            ((27, "/1", 16), "16 went to /1, accepted after that was changed"),
            ((36, "/2", 20), "20 came while it was disabled"),
            ((46, "/2", 24), "a part of [24, 28] was accepted"),
            ((46, "/2", 32), "32 was never published"),
            ((46, "/3", 8), "events went to /3"),
        ] {
            let arrived: Vec<_> = good.iter().copied().chain([change]).collect();
            let checked = checked(history(false, slices), &arrived);
            assert!(checked.contains(said), "{change:?}: {checked}");
        }
        assert!(checked(history(false, slices), &[]).contains("[8, 12], accepted once it was made, 2 are lost"));
        assert!(checked(history(true, slices), &[(12, "/1", 4)]).contains("4 was accepted before it was made"));
        assert_eq!(checked(history(true, slices), &[]), "0 of 5", "what a removed hook had to come went with it");
        let late: &[(u64, &[u64], bool)] = &[(55, &[4], true)];
        assert!(checked(history(true, late), &[(56, "/2", 4)]).contains("4 was accepted after it was removed"));
    }
}
