//! Counts of a hook's events, by outcome.

use std::fmt;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// The reason why an event was given up undelivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The hook's queue, or the memory of the process, was full and the hook's policy is to drop.
    Overflow,
    /// The hook was removed.
    Removed,
    /// The hook's filter changed and no longer matches the event.
    Filtered,
    /// The receiver refused the event.
    Refused,
    /// The batch ran out of retries (`max_elapsed`, `max_attempts`).
    Expired,
    /// The log no longer has the event: its limits or an operator removed it before the hook read it.
    Gone,
    /// The log is damaged there, or holds no event. Each position that the hook passes counts: no one can tell
    /// whether its event matched.
    Unreadable,
    /// An operator moved the hook ahead, past the event. Where that was too much to be read, every event in between
    /// counts, matching or not.
    Skipped,
}

impl DropReason {
    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Self::Overflow,
        Self::Removed,
        Self::Filtered,
        Self::Refused,
        Self::Expired,
        Self::Gone,
        Self::Unreadable,
        Self::Skipped,
    ];

    /// The name in metrics, logs and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::Removed => "removed",
            Self::Filtered => "filtered",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Gone => "gone",
            Self::Unreadable => "unreadable",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The reason why an event became a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeadLetterReason {
    /// The receiver refused the event.
    Refused,
    /// Its batch ran out of retries (`max_elapsed`, `max_attempts`).
    Expired,
}

impl DeadLetterReason {
    /// Every reason.
    pub const ALL: &'static [Self] = &[Self::Refused, Self::Expired];

    /// The name in metrics, logs and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for DeadLetterReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The final outcome of an event for a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The destination has the event.
    Delivered,
    /// The hook gave the event up.
    Dropped(DropReason),
    /// The event is kept as a dead letter, for this reason.
    DeadLettered(DeadLetterReason),
}

/// The counts of one hook since the process started.
///
/// The bus counts the events that the hook takes, the settler those that it is done with. The sides are independent,
/// so [`Counts::balances`] fails when an event is lost or counted twice.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Counts>);

/// One consistent reading of a [`Ledger`]. All figures count events. Its JSON has the totals, not the counts by reason:
/// those are zero when it is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
pub struct Counts {
    /// Matched and read; on the memory bus: matched when published. Never falls: an event that is read again after it
    /// was handed over counts again.
    pub taken: u64,
    /// Delivered to the destination.
    pub delivered: u64,
    /// Given up.
    dropped: u64,
    /// Kept as dead letters.
    pub dead_lettered: u64,
    /// Taken and not settled.
    #[serde(rename = "in_hand")]
    pub in_flight: u64,
    /// Given back to the bus unsettled, for the next reader: because the hook was disabled or removed, or another
    /// instance took it over.
    #[serde(default)]
    pub handed_over: u64,
    #[serde(skip)]
    dropped_for: [u64; DropReason::ALL.len()],
    #[serde(skip)]
    dead_lettered_for: [u64; DeadLetterReason::ALL.len()],
}

impl Counts {
    /// Given up for this reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped_for[reason as usize]
    }

    /// Kept as dead letters for this reason.
    pub fn dead_lettered_for(&self, reason: DeadLetterReason) -> u64 {
        self.dead_lettered_for[reason as usize]
    }

    /// Given up for any reason.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Taken = delivered + dropped + dead-lettered + in hand + handed over.
    pub fn balances(&self) -> bool {
        self.taken == self.delivered + self.dropped() + self.dead_lettered + self.in_flight + self.handed_over
    }
}

impl Ledger {
    /// For a bus: counts events that the hook took.
    pub fn take(&self, events: usize) {
        let mut counts = self.0.lock();
        counts.taken += events as u64;
        counts.in_flight += events as u64;
    }

    /// For a bus: counts events that it dropped before the hook read them.
    pub fn give_up(&self, events: usize, reason: DropReason) {
        self.settle(events, events, Outcome::Dropped(reason));
    }

    /// For a bus: counts events that were given back unsettled. The next reader takes them again.
    pub fn hand_over(&self, events: usize) {
        let mut counts = self.0.lock();
        counts.in_flight -= events as u64;
        counts.handed_over += events as u64;
    }

    /// Counts `claimed` events with this outcome, of which `released` were in flight until now.
    pub(crate) fn settle(&self, claimed: usize, released: usize, outcome: Outcome) {
        let mut counts = self.0.lock();
        counts.in_flight -= released as u64;
        match outcome {
            Outcome::Delivered => counts.delivered += claimed as u64,
            Outcome::Dropped(reason) => {
                counts.dropped += claimed as u64;
                counts.dropped_for[reason as usize] += claimed as u64;
            }
            Outcome::DeadLettered(reason) => {
                counts.dead_lettered += claimed as u64;
                counts.dead_lettered_for[reason as usize] += claimed as u64;
            }
        }
    }

    /// All counts at one moment.
    pub fn counts(&self) -> Counts {
        *self.0.lock()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "taken {} = delivered {} + dropped {}", self.taken, self.delivered, self.dropped())?;
        let reasons = DropReason::ALL.iter().filter(|reason| self.dropped_for(**reason) > 0);
        for (index, reason) in reasons.enumerate() {
            let open = if index == 0 { " (" } else { ", " };
            write!(f, "{open}{reason} {}", self.dropped_for(*reason))?;
        }
        let close = if self.dropped() > 0 { ")" } else { "" };
        write!(f, "{close} + dead-lettered {} + in hand {}", self.dead_lettered, self.in_flight)?;
        if self.handed_over > 0 { write!(f, " + handed over {}", self.handed_over) } else { Ok(()) }
    }
}
