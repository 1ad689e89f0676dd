//! What lies between two places of a hook in the log.

use super::cursor::PositionRange;

/// The position and acked ranges of a hook.
pub(crate) type Place = (u64, Vec<PositionRange>);

/// A place with everything up to a position settled.
pub(crate) fn raised((position, mut acked): Place, to: u64) -> Place {
    let mut position = position.max(to);
    acked.retain(|range| range.1 > position);
    if let Some(PositionRange(first, last)) = acked.first().copied()
        && first <= position + 1
    {
        position = last;
        acked.remove(0);
    }
    (position, acked)
}

/// What comes again behind `to`, each from behind the first to the second: all up to the position, and what was settled
/// beyond it.
pub(crate) fn ranges_behind(to: u64, (position, acked): &Place) -> Vec<PositionRange> {
    let acked = acked.iter().map(|range| PositionRange(range.0.saturating_sub(1), range.1));
    std::iter::once(PositionRange(to, *position)).chain(acked).filter(|range| range.0 < range.1).collect()
}

/// What is skipped up to `to`: all that is not settled.
pub(crate) fn ranges_before(to: u64, acked: &[PositionRange], from: u64) -> Vec<PositionRange> {
    let (mut open, mut from) = (Vec::new(), from);
    for acked in acked {
        open.push(PositionRange(from, acked.0.saturating_sub(1).min(to)));
        from = from.max(acked.1);
    }
    open.push(PositionRange(from, to));
    open.retain(|range| range.0 < range.1);
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(position: u64, acked: &[(u64, u64)]) -> Place {
        (position, acked.iter().map(|(from, to)| PositionRange(*from, *to)).collect())
    }

    fn pairs(ranges: Vec<PositionRange>) -> Vec<(u64, u64)> {
        ranges.into_iter().map(|range| (range.0, range.1)).collect()
    }

    #[test]
    fn what_lies_between_is_what_is_not_settled_or_all_of_it() {
        let before = place(10, &[(13, 14), (17, 17)]);
        assert_eq!(pairs(ranges_before(15, &before.1, 10)), [(10, 12), (14, 15)]);
        assert_eq!(pairs(ranges_before(30, &before.1, 10)), [(10, 12), (14, 16), (17, 30)]);
        assert_eq!(pairs(ranges_before(11, &before.1, 10)), [(10, 11)]);
        assert_eq!(pairs(ranges_behind(3, &before)), [(3, 10), (12, 14), (16, 17)]);
        assert_eq!(pairs(ranges_behind(10, &before)), [(12, 14), (16, 17)]);
        assert_eq!(raised(before.clone(), 12), place(14, &[(17, 17)]));
        assert_eq!(raised(before.clone(), 11), place(11, &[(13, 14), (17, 17)]));
        assert_eq!(raised(before, 20), place(20, &[]));
    }
}
