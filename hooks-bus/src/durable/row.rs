//! How far a hook is, as it is kept.

/// How far a hook is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Row {
    /// It is done with everything before the end of the log that is kept with it. Most hooks are, most of the
    /// time; nothing is written for them as the log grows.
    AtEnd,
    /// It is done with everything before a position, and with some beyond it.
    Behind(Behind),
}

/// Where a hook is that has events to deliver.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Behind {
    /// It is done with everything before this position.
    pub(crate) prefix: u64,
    /// And with these, from the first to before the second: rising, apart.
    pub(crate) done: Vec<(u64, u64)>,
}

impl Behind {
    pub(crate) fn at(prefix: u64) -> Self {
        Self { prefix, done: Vec::new() }
    }

    /// How many positions before `floor` it is not done with.
    pub(crate) fn left_before(&self, floor: u64) -> u64 {
        left_between(&self.done, self.prefix, floor)
    }

    /// The same, but done with everything before `floor`.
    pub(crate) fn raised(mut self, floor: u64) -> Self {
        self.prefix = self.prefix.max(floor);
        self.done.retain(|(_, to)| *to > self.prefix);
        if let Some((from, to)) = self.done.first().copied()
            && from <= self.prefix
        {
            self.prefix = to;
            self.done.remove(0);
        }
        self
    }
}

/// How many positions between two others are in none of these ranges, which are apart.
pub(crate) fn left_between<'a>(done: impl IntoIterator<Item = &'a (u64, u64)>, from: u64, to: u64) -> u64 {
    let within = |position: u64| position.clamp(from, to.max(from));
    let done: u64 = done.into_iter().map(|(begin, end)| within(*end) - within(*begin)).sum();
    to.saturating_sub(from) - done
}

impl Row {
    /// Nothing for `AtEnd`; else the numbers one after the other, eight bytes each.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self::Behind(behind) = self else { return Vec::new() };
        let done = behind.done.iter().flat_map(|(from, to)| [*from, *to]);
        std::iter::once(behind.prefix).chain(done).flat_map(u64::to_le_bytes).collect()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let Some(prefix) = numbers.next() else { return rest.is_empty().then_some(Self::AtEnd) };
        let mut behind = Behind::at(prefix);
        let mut last = prefix;
        while let Some(from) = numbers.next() {
            let to = numbers.next()?;
            if from < last || to <= from {
                return None;
            }
            last = to;
            behind.done.push((from, to));
        }
        rest.is_empty().then_some(Self::Behind(behind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_kept_comes_back(prefix in any::<u32>(), steps in prop::collection::vec((0u64..5, 1u64..5), 0..20)) {
            let mut behind = Behind::at(prefix.into());
            let mut at = behind.prefix;
            for (gap, len) in steps {
                behind.done.push((at + gap, at + gap + len));
                at += gap + len;
            }
            let row = Row::Behind(behind);
            prop_assert_eq!(Row::decode(&row.encode()), Some(row));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(row) = Row::decode(&bytes) {
                prop_assert_eq!(row.encode(), bytes);
            }
        }
    }

    #[test]
    fn the_end_is_nothing() {
        assert_eq!(Row::decode(&Row::AtEnd.encode()), Some(Row::AtEnd));
    }

    #[test]
    fn what_is_left_is_not_done() {
        let behind = Behind { prefix: 3, done: vec![(5, 8), (10, 12)] };
        assert_eq!([2, 3, 5, 7, 9, 11, 20].map(|floor| behind.left_before(floor)), [0, 0, 2, 2, 3, 4, 12]);
    }

    #[test]
    fn raising_passes_what_is_done() {
        let behind = Behind { prefix: 3, done: vec![(5, 8), (10, 12)] };
        assert_eq!(behind.clone().raised(4), Behind { prefix: 4, done: vec![(5, 8), (10, 12)] });
        assert_eq!(behind.clone().raised(6), Behind { prefix: 8, done: vec![(10, 12)] });
        assert_eq!(behind.raised(20), Behind::at(20));
    }
}
