//! Whether the log fills. Has no clock.

use crate::bus::BusStats;

/// Tenths of the log that are filled when that is said, and below which it may be said again.
const TENTHS: (u64, u64) = (8, 7);

/// Whether it was said that the log fills.
#[derive(Debug, Default)]
pub(super) struct Filling {
    is_said: bool,
}

impl Filling {
    /// Bytes of the log that hooks still need, and the most that it may take, if that is to be said now.
    pub(super) fn look(&mut self, stats: &BusStats) -> Option<(u64, u64)> {
        let (bytes, max) = (stats.log_bytes?, stats.log_max_bytes?);
        let needed = bytes.saturating_sub(stats.log_retained_bytes.unwrap_or(0));
        let is_above = |tenths: u64| u128::from(needed) * 10 >= u128::from(max) * u128::from(tenths);
        self.is_said &= is_above(TENTHS.1);
        (is_above(TENTHS.0) && !std::mem::replace(&mut self.is_said, true)).then_some((needed, max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_until_there_is_room_again() {
        let mut filling = Filling::default();
        let mut look = |bytes: u64, retained: u64| {
            let stats = BusStats::accepted(0).log_bytes(bytes).log_retained_bytes(retained).log_max_bytes(100);
            filling.look(&stats)
        };
        assert_eq!(look(79, 0), None);
        assert_eq!(look(100, 30), None, "what nobody needs goes first");
        assert_eq!(look(100, 10), Some((90, 100)));
        assert_eq!(look(95, 0), None);
        assert_eq!(look(75, 0), None);
        assert_eq!(look(85, 0), None);
        assert_eq!(look(69, 0), None);
        assert_eq!(look(80, 0), Some((80, 100)));
        assert_eq!(Filling::default().look(&BusStats::accepted(1)), None, "a bus without a log");
        assert_eq!(Filling::default().look(&BusStats::accepted(1).log_bytes(7)), None, "or without a limit");
    }
}
