//! Tracks that events are refused for want of room, as one episode and not request by request: while a log is
//! full, small requests may still find a place where larger ones don't.

use std::time::Duration;

use tokio::time::Instant;

/// The time after the last refusal at which an episode is over.
const QUIET: Duration = Duration::from_secs(10);

/// An episode begins with a refusal, and ends with what is accepted when nothing was refused for a while.
#[derive(Debug, Default)]
pub(super) struct Fullness {
    /// The last refusal of the episode.
    refused: Option<Instant>,
}

impl Fullness {
    /// There was no room. Returns whether that is news.
    pub(super) fn refused(&mut self, now: Instant) -> bool {
        self.refused.replace(now).is_none()
    }

    /// There was room. Returns whether that is news.
    pub(super) fn accepted(&mut self, now: Instant) -> bool {
        self.refused.take_if(|refused| now.duration_since(*refused) >= QUIET).is_some()
    }

    /// True if events were refused just now. It does not take an accepted one to end: a client that stops
    /// sending because of the answer has to learn when to go on.
    pub(super) fn is_recent(&self, now: Instant) -> bool {
        self.refused.is_some_and(|refused| now.duration_since(refused) < QUIET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_begins_once_and_ends_when_nothing_was_refused_for_a_while() {
        let mut fullness = Fullness::default();
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert!(!fullness.accepted(at(0)) && !fullness.is_recent(at(0)));
        assert!(fullness.refused(at(1)));
        for second in 2..30 {
            assert!(!fullness.accepted(at(second)) && !fullness.refused(at(second)) && fullness.is_recent(at(second)));
        }
        assert!(!fullness.accepted(at(38)) && fullness.is_recent(at(38)));
        assert!(!fullness.is_recent(at(39)), "also when nobody sends anything");
        assert!(fullness.accepted(at(39)) && !fullness.accepted(at(40)));
        assert!(fullness.refused(at(41)));
        assert!(!fullness.refused(at(1000)), "nothing was accepted meanwhile");
    }
}
