//! Each promise, and whether what was seen keeps it.

use std::time::Duration;

use super::stats::ReceiverStats;

/// The facts of a run.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Events that the bus accepted, and how many there were.
    pub(crate) published: u64,
    pub(crate) events: u64,
    /// One for each hook.
    pub(crate) hooks: Vec<HookFacts>,
    /// The time that the flaky receiver failed, and the events that the other webhooks received in it.
    pub(crate) failing: Duration,
    pub(crate) meanwhile: u64,
    /// The number of events that one receiver refused.
    pub(crate) poisoned: u64,
    /// True if the file holds the same bytes as the sample.
    pub(crate) file_is_same: bool,
    /// The number of times that the ledgers were read, and that one did not balance.
    pub(crate) looks: u64,
    pub(crate) unbalanced: u64,
    /// The most that was held at any look, and what is allowed.
    pub(crate) peak_events: u64,
    pub(crate) max_events: u64,
    pub(crate) peak_bytes: u64,
    pub(crate) max_bytes: u64,
}

/// The facts of a hook and its receiver.
#[derive(Debug, Clone)]
pub(crate) struct HookFacts {
    pub(crate) ledger: Ledger,
    /// Events that its receiver should have.
    pub(crate) due: u64,
    pub(crate) stats: ReceiverStats,
}

/// The dispatcher's ledger of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) hook: String,
    pub(crate) taken: u64,
    pub(crate) delivered: u64,
    pub(crate) refused: u64,
    /// For any other reason.
    pub(crate) dropped: u64,
    pub(crate) in_flight: u64,
}

impl Ledger {
    pub(crate) fn balances(&self) -> bool {
        self.taken == self.delivered + self.refused + self.dropped + self.in_flight
    }
}

/// A promise, and what was seen of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Promise {
    pub(crate) is_kept: bool,
    pub(crate) name: &'static str,
    pub(crate) seen: String,
}

impl Facts {
    /// Every promise that the demonstration is about.
    pub(crate) fn promises(&self) -> Vec<Promise> {
        vec![
            self.nothing_is_lost(),
            self.order(),
            self.hooks_are_isolated(),
            self.events_are_isolated(),
            self.is_bounded(),
            self.balances(),
            self.is_signed(),
        ]
    }

    fn sum(&self, count: impl Fn(&HookFacts) -> u64) -> u64 {
        self.hooks.iter().map(count).sum()
    }

    fn nothing_is_lost(&self) -> Promise {
        let due = self.sum(|hook| hook.due);
        let arrived = self.sum(|hook| hook.stats.distinct());
        let all = self.hooks.iter().all(|hook| {
            hook.stats.distinct() == hook.due && hook.stats.unknown == 0 && hook.ledger.delivered == hook.due
        });
        let same = if self.file_is_same { "the file byte for byte" } else { "but the file differs" };
        Promise {
            is_kept: all && due > 0 && self.published == self.events && self.file_is_same,
            name: "Nothing was lost",
            seen: format!("{} of {} deliveries arrived, {same}", group(arrived), group(due)),
        }
    }

    fn order(&self) -> Promise {
        let disorder = self.sum(|hook| hook.stats.disorder);
        let repeats = self.sum(|hook| hook.stats.repeats());
        let failed = self.sum(|hook| hook.stats.failed + hook.stats.rejected);
        Promise {
            is_kept: disorder == 0 && repeats == 0 && failed > 0,
            name: "Order held",
            seen: format!("through {failed} failed attempts, {disorder} events out of order, {repeats} twice"),
        }
    }

    fn hooks_are_isolated(&self) -> Promise {
        let failed = self.sum(|hook| hook.stats.failed);
        Promise {
            is_kept: failed > 0 && self.meanwhile > 0,
            name: "Hooks don't hurt each other",
            seen: format!("`flaky` failed {:.1} s, others got {} events", self.failing.as_secs_f64(), self.meanwhile),
        }
    }

    fn events_are_isolated(&self) -> Promise {
        let picky = self.hooks.iter().filter(|hook| hook.stats.rejected > 0);
        let (refused, alone, others) = picky.fold((0, 0, 0), |(refused, alone, others), hook| {
            (refused + hook.ledger.refused, alone + hook.stats.rejected_alone, others + hook.stats.distinct())
        });
        Promise {
            is_kept: refused == self.poisoned && alone >= refused && refused > 0 && others + refused == self.events,
            name: "Events don't either",
            seen: format!("{refused} of {} poisoned ones refused alone, {others} others arrived", self.poisoned),
        }
    }

    fn is_bounded(&self) -> Promise {
        let [peak, max] = [self.peak_bytes, self.max_bytes].map(|bytes| bytes.div_ceil(1 << 20));
        Promise {
            is_kept: self.peak_events <= self.max_events && self.peak_bytes <= self.max_bytes && self.peak_events > 0,
            name: "Memory is bounded",
            seen: format!(
                "at most {} of {} events waited, {} of {} MiB",
                self.peak_events,
                group(self.max_events),
                group(peak),
                group(max)
            ),
        }
    }

    fn balances(&self) -> Promise {
        let is_closed = self.hooks.iter().all(|hook| hook.ledger.balances() && hook.ledger.in_flight == 0);
        Promise {
            is_kept: is_closed && self.unbalanced == 0 && self.looks > 0,
            name: "The ledger balances",
            seen: match self.unbalanced {
                0 => format!("for every hook, at {} looks and at the end", self.looks),
                unbalanced => format!("it did not at {unbalanced} of {} looks", self.looks),
            },
        }
    }

    fn is_signed(&self) -> Promise {
        let requests = self.sum(|hook| hook.stats.requests);
        let trusted = requests - self.sum(|hook| hook.stats.untrusted);
        Promise {
            is_kept: trusted == requests && requests > 0,
            name: "Requests are signed",
            seen: format!("{trusted} of {requests} rightly, after Standard Webhooks"),
        }
    }
}

/// With commas between thousands.
pub(crate) fn group(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A run of ten events in which all went well.
    pub(in super::super) fn good() -> Facts {
        let hook = |name: &str, refused: &[usize]| {
            let mut stats = ReceiverStats::new(10);
            (0..10).filter(|place| !refused.contains(place)).for_each(|place| stats.accept(Some(place)));
            stats.requests = 5;
            let due = 10 - refused.len() as u64;
            let refused = refused.len() as u64;
            let ledger = Ledger { hook: name.to_owned(), taken: 10, delivered: due, refused, dropped: 0, in_flight: 0 };
            HookFacts { ledger, due, stats }
        };
        let mut hooks = vec![hook("steady", &[]), hook("flaky", &[]), hook("picky", &[4]), hook("file", &[])];
        hooks[1].stats.failed = 2;
        (hooks[2].stats.rejected, hooks[2].stats.rejected_alone) = (3, 1);
        Facts {
            published: 10,
            events: 10,
            hooks,
            failing: Duration::from_millis(2_340),
            meanwhile: 6,
            poisoned: 1,
            file_is_same: true,
            looks: 7,
            unbalanced: 0,
            peak_events: 4,
            max_events: 10_000,
            peak_bytes: 5_000,
            max_bytes: 256 << 20,
        }
    }

    /// The names of the promises that a run breaks.
    fn broken(change: impl FnOnce(&mut Facts)) -> Vec<&'static str> {
        let mut facts = good();
        change(&mut facts);
        facts.promises().iter().filter(|promise| !promise.is_kept).map(|promise| promise.name).collect()
    }

    #[test]
    fn a_good_run_keeps_every_promise() {
        assert_eq!(broken(|_| {}), [""; 0]);
        let seen: Vec<_> = good().promises().into_iter().map(|promise| promise.seen).collect();
        assert_eq!(seen[0], "39 of 39 deliveries arrived, the file byte for byte");
        assert_eq!(seen[1], "through 5 failed attempts, 0 events out of order, 0 twice");
        assert_eq!(seen[2], "`flaky` failed 2.3 s, others got 6 events");
        assert_eq!(seen[3], "1 of 1 poisoned ones refused alone, 9 others arrived");
    }

    #[test]
    fn whatever_goes_wrong_breaks_the_promise_it_is_about() {
        assert_eq!(broken(|facts| facts.published = 9), ["Nothing was lost"]);
        assert_eq!(broken(|facts| facts.file_is_same = false), ["Nothing was lost"]);
        assert_eq!(broken(|facts| facts.hooks[0].due = 11), ["Nothing was lost"]);
        assert_eq!(broken(|facts| facts.hooks[0].stats.accept(None)), ["Nothing was lost"]);
        assert_eq!(broken(|facts| facts.hooks[0].stats.accept(Some(3))), ["Order held"]);
        assert_eq!(broken(|facts| facts.hooks[0].stats.disorder = 1), ["Order held"]);
        assert_eq!(broken(|facts| facts.meanwhile = 0), ["Hooks don't hurt each other"]);
        assert_eq!(broken(|facts| facts.hooks[2].stats.rejected_alone = 0), ["Events don't either"]);
        assert_eq!(broken(|facts| facts.poisoned = 2), ["Events don't either"]);
        assert_eq!(broken(|facts| facts.peak_events = 10_001), ["Memory is bounded"]);
        assert_eq!(broken(|facts| facts.peak_bytes = 257 << 20), ["Memory is bounded"]);
        assert_eq!(broken(|facts| facts.unbalanced = 1), ["The ledger balances"]);
        assert_eq!(broken(|facts| facts.hooks[3].ledger.taken = 11), ["The ledger balances"]);
        assert_eq!(broken(|facts| facts.hooks[1].stats.untrusted = 1), ["Requests are signed"]);
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(group), ["0", "999", "1,000", "1,234,567"]);
    }
}
