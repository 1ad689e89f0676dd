//! A hook's place in the log, as the database stores it.

use std::collections::HashMap;

use hooks_core::HookId;

/// A hook's place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Checkpoint {
    /// Every event before the stored end of the log is settled. Most hooks are here most of the time, and cost no
    /// write as the log grows.
    AtEnd,
    /// Every event before a position is settled, and perhaps some behind it.
    Behind(Behind),
}

/// The place of a hook with unsettled events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Behind {
    /// Every event before this position is settled.
    pub(crate) committed: u64,
    /// Settled ranges behind it, the second position excluded: rising, apart.
    pub(crate) acked_ranges: Vec<(u64, u64)>,
}

impl Behind {
    pub(crate) fn at(committed: u64) -> Self {
        Self { committed, acked_ranges: Vec::new() }
    }

    /// Number of unsettled positions before `floor`.
    pub(crate) fn unacked_before(&self, floor: u64) -> u64 {
        unacked_between(&self.acked_ranges, self.committed, floor)
    }

    /// Settles every position before `floor`.
    pub(crate) fn raised(mut self, floor: u64) -> Self {
        self.committed = self.committed.max(floor);
        self.acked_ranges.retain(|(_, to)| *to > self.committed);
        if let Some((from, to)) = self.acked_ranges.first().copied()
            && from <= self.committed
        {
            self.committed = to;
            self.acked_ranges.remove(0);
        }
        self
    }
}

/// Number of positions from `from` to before `to` outside of the `acked` ranges, which must be apart.
pub(crate) fn unacked_between<'a>(acked: impl IntoIterator<Item = &'a (u64, u64)>, from: u64, to: u64) -> u64 {
    let within = |position: u64| position.clamp(from, to.max(from));
    let acked: u64 = acked.into_iter().map(|(begin, end)| within(*end) - within(*begin)).sum();
    to.saturating_sub(from) - acked
}

impl Checkpoint {
    /// Empty for `AtEnd`; else the numbers one after the other, eight bytes each.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self::Behind(behind) = self else { return Vec::new() };
        let acked = behind.acked_ranges.iter().flat_map(|(from, to)| [*from, *to]);
        std::iter::once(behind.committed).chain(acked).flat_map(u64::to_le_bytes).collect()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let Some(committed) = numbers.next() else { return rest.is_empty().then_some(Self::AtEnd) };
        let mut behind = Behind::at(committed);
        let mut last = committed;
        while let Some(from) = numbers.next() {
            let to = numbers.next()?;
            if from < last || to <= from {
                return None;
            }
            last = to;
            behind.acked_ranges.push((from, to));
        }
        rest.is_empty().then_some(Self::Behind(behind))
    }
}

/// The places that the database holds.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    pub(crate) end: u64,
    /// Committed positions of hooks that are not at the end.
    pub(crate) behind: HashMap<HookId, u64>,
}

impl Checkpoints {
    /// Every hook has settled every event before this position.
    pub(crate) fn floor(&self) -> u64 {
        self.behind.values().copied().min().unwrap_or(u64::MAX).min(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_checkpoint_survives_encoding(committed in any::<u32>(), steps in prop::collection::vec((0u64..5, 1u64..5), 0..20)) {
            let mut behind = Behind::at(committed.into());
            let mut at = behind.committed;
            for (gap, len) in steps {
                behind.acked_ranges.push((at + gap, at + gap + len));
                at += gap + len;
            }
            let checkpoint = Checkpoint::Behind(behind);
            prop_assert_eq!(Checkpoint::decode(&checkpoint.encode()), Some(checkpoint));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(checkpoint) = Checkpoint::decode(&bytes) {
                prop_assert_eq!(checkpoint.encode(), bytes);
            }
        }
    }

    #[test]
    fn the_end_is_nothing() {
        assert_eq!(Checkpoint::decode(&Checkpoint::AtEnd.encode()), Some(Checkpoint::AtEnd));
    }

    #[test]
    fn unacked_positions_are_counted() {
        let behind = Behind { committed: 3, acked_ranges: vec![(5, 8), (10, 12)] };
        assert_eq!([2, 3, 5, 7, 9, 11, 20].map(|floor| behind.unacked_before(floor)), [0, 0, 2, 2, 3, 4, 12]);
    }

    #[test]
    fn raising_skips_acked_ranges() {
        let behind = Behind { committed: 3, acked_ranges: vec![(5, 8), (10, 12)] };
        assert_eq!(behind.clone().raised(4), Behind { committed: 4, acked_ranges: vec![(5, 8), (10, 12)] });
        assert_eq!(behind.clone().raised(6), Behind { committed: 8, acked_ranges: vec![(10, 12)] });
        assert_eq!(behind.raised(20), Behind::at(20));
    }
}
