//! Which ids of the outbox may still come. No clock, no I/O.
//!
//! Ids are given out when events are inserted, and show when their transactions commit, in any order: behind one that
//! shows, lower ones may be missing. These are looked for by name, so that a look passes over what was moved already, which
//! an old transaction of somebody else may keep in the table for hours. An id is given up once all transactions have ended
//! that were open when it was missed: it was rolled back.

/// With more than so many missing ids, the whole outbox is looked at until all have ended that may have them.
const MAX_GAPS: usize = 10_000;

/// What to look for in the outbox.
#[derive(Debug)]
pub(super) struct Gaps {
    /// The highest id that was moved.
    after: i64,
    missing: Vec<i64>,
    /// Missed since `missing` was begun.
    recent: Vec<i64>,
    /// `missing` can be given up when no older transaction is open, and `recent` when none is that is older than this.
    until: i64,
    recent_until: i64,
    /// As long as an older transaction is open, ids below all that are known may come.
    begun: Option<i64>,
}

/// What a look has found.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// The ids that were moved.
    pub(super) ids: &'a [i64],
    /// There were no more that were looked for.
    pub(super) is_all: bool,
    /// No older transaction was open before.
    pub(super) oldest: i64,
    /// If any were moved: all that had an id after that are older.
    pub(super) youngest: i64,
}

impl Gaps {
    /// Begins when this was the last id that was given out, and `youngest` bounds the transactions that were open.
    pub(super) fn new(last: i64, youngest: i64) -> Self {
        let (missing, recent) = (Vec::new(), Vec::new());
        Self { after: last, missing, recent, until: youngest, recent_until: youngest, begun: Some(youngest) }
    }

    /// The id behind which to look, and the ids to look for besides.
    pub(super) fn wanted(&self) -> (i64, Vec<i64>) {
        if self.begun.is_some() {
            return (0, Vec::new());
        }
        (self.after, self.missing.iter().chain(&self.recent).copied().collect())
    }

    /// Takes in what was found.
    pub(super) fn found(&mut self, found: &Found<'_>) {
        if found.is_all && self.begun.is_some_and(|begun| found.oldest >= begun) {
            self.begun = None;
        }
        let mut ids = found.ids.to_vec();
        ids.sort_unstable();
        // The lowest come first, so those that were looked for have come by then, or did not show.
        let has_looked = found.is_all || ids.last() > Some(&self.after);
        for gaps in [&mut self.missing, &mut self.recent] {
            gaps.retain(|gap| ids.binary_search(gap).is_err());
        }
        for id in ids.into_iter().filter(|id| *id > self.after).collect::<Vec<_>>() {
            let room = (MAX_GAPS + 1).saturating_sub(self.missing.len() + self.recent.len());
            self.recent.extend((self.after + 1..id).take(room));
            (self.after, self.recent_until) = (id, found.youngest);
        }
        if self.missing.len() + self.recent.len() > MAX_GAPS {
            *self = Self::new(self.after, found.youngest);
        }
        // All that were open when these were missed have ended before this look.
        if has_looked && found.oldest >= self.until {
            self.missing = std::mem::take(&mut self.recent);
            self.until = self.recent_until;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(gaps: &mut Gaps, ids: &[i64], oldest: i64, youngest: i64) {
        gaps.found(&Found { ids, is_all: true, oldest, youngest });
    }

    /// A part of what one transaction brought whose ids were given out before.
    #[test]
    fn a_look_that_does_not_see_all_is_not_the_last_one_at_the_beginning() {
        let mut gaps = Gaps::new(10_000, 100);
        gaps.found(&Found { ids: &[1, 2, 3], is_all: false, oldest: 100, youngest: 102 });
        assert_eq!(gaps.wanted(), (0, vec![]));
        found(&mut gaps, &[4, 5], 100, 102);
        assert_eq!(gaps.wanted(), (10_000, vec![]));
    }

    #[test]
    fn an_id_that_is_missed_is_looked_for_until_nobody_can_bring_it() {
        let mut gaps = Gaps::new(10, 100);
        assert_eq!(gaps.wanted(), (0, vec![]), "an older transaction may bring a lower one");
        found(&mut gaps, &[11, 14], 90, 102);
        assert_eq!(gaps.wanted(), (0, vec![]));
        found(&mut gaps, &[], 100, 102);
        assert_eq!(gaps.wanted(), (14, vec![12, 13]));
        found(&mut gaps, &[13, 16], 101, 103);
        assert_eq!(gaps.wanted(), (16, vec![12, 15]));
        // 102 is the bound of those that were open when 12 was missed.
        found(&mut gaps, &[], 102, 104);
        assert_eq!(gaps.wanted(), (16, vec![15]));
        found(&mut gaps, &[15], 103, 104);
        assert_eq!(gaps.wanted(), (16, vec![]));
    }

    /// A step has room for so much.
    #[test]
    fn an_id_that_a_look_did_not_get_to_is_not_given_up() {
        let mut gaps = Gaps::new(10, 100);
        found(&mut gaps, &[13], 100, 102);
        found(&mut gaps, &[], 101, 0);
        assert_eq!(gaps.wanted(), (13, vec![11, 12]));
        gaps.found(&Found { ids: &[11], is_all: false, oldest: 105, youngest: 106 });
        assert_eq!(gaps.wanted(), (13, vec![12]));
        gaps.found(&Found { ids: &[14], is_all: false, oldest: 105, youngest: 106 });
        assert_eq!(gaps.wanted(), (14, vec![]), "it would have come first");
    }

    #[test]
    fn with_too_many_all_is_looked_at() {
        let mut gaps = Gaps::new(0, 1);
        found(&mut gaps, &[], 1, 0);
        found(&mut gaps, &[100_000], 1, 5);
        assert_eq!(gaps.wanted(), (0, vec![]));
        found(&mut gaps, &[50_000, 100_002], 4, 6);
        assert_eq!(gaps.wanted(), (0, vec![]), "5 may bring the others");
        found(&mut gaps, &[], 5, 0);
        assert_eq!(gaps.wanted(), (100_002, vec![100_001]));
        found(&mut gaps, &[], 6, 0);
        assert_eq!(gaps.wanted(), (100_002, vec![]));
    }
}
