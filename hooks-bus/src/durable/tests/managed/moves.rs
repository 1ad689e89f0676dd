//! What has to come, and what must not, of a hook that was moved in the log.

/// Events that came to each place of a hook by some moment.
type Came = Vec<usize>;

/// The moves of one hook since it was made.
#[derive(Debug, Clone, Default)]
pub(super) struct Moves {
    /// Its first position, where it goes back to.
    pub(super) begin: Option<u64>,
    /// When it was answered that it went back, and the number of events that there were. All of these come again.
    back: Option<(Came, usize)>,
    /// When it was answered that it went ahead, and the number of events that there were. None of these comes any more.
    ahead: Option<(Came, usize)>,
    /// Events before this number may be missing, for it may have gone ahead.
    skipped: usize,
    /// When it was first asked to go ahead: from then on an older event may come for the first time.
    mixed: Option<Came>,
}

impl Moves {
    /// Checks where the bus says that it began.
    pub(super) fn check_begin(&self, began: Option<u64>) -> Result<(), String> {
        match (began, self.begin) {
            (Some(began), Some(begin)) if began != begin => Err(format!("it began at {began} instead of {begin}")),
            (None, _) => Err("it is not known where it began".to_owned()),
            _ => Ok(()),
        }
    }

    pub(super) fn asks_back(&mut self) {
        self.ahead = None;
    }

    /// It went back when so many events had come before it was asked.
    pub(super) fn went_back(&mut self, came: Came, next: usize) {
        self.back = Some((came, next));
    }

    pub(super) fn asks_ahead(&mut self, came: Came, next: usize) {
        (self.back, self.skipped) = (None, next);
        self.mixed.get_or_insert(came);
    }

    pub(super) fn went_ahead(&mut self, came: Came, next: usize) {
        self.ahead = Some((came, next));
    }

    pub(super) fn may_miss(&self, number: usize) -> bool {
        number < self.skipped
    }

    /// True if the event of this index at this place comes in order.
    pub(super) fn is_in_order(&self, place: usize, index: usize) -> bool {
        self.mixed.as_ref().is_none_or(|came| index < from(came, place) || place > came.len())
    }

    /// Checks what came to each place. These were accepted.
    pub(super) fn check(&self, came: &[Vec<usize>], accepted: impl Iterator<Item = usize>) -> Result<(), String> {
        let since = |since: &Came| -> Vec<usize> {
            let later = came.iter().enumerate().flat_map(|(place, came)| came.iter().skip(from(since, place)));
            later.copied().collect()
        };
        if let Some((ahead, next)) = &self.ahead
            && let Some(late) = since(ahead).iter().find(|number| **number < *next)
        {
            return Err(format!("{late} came though it was skipped"));
        }
        let Some((back, next)) = &self.back else { return Ok(()) };
        let again = since(back);
        match accepted.filter(|number| number < next).find(|number| !again.contains(number)) {
            Some(missing) => Err(format!("{missing} did not come again")),
            None => Ok(()),
        }
    }
}

fn from(came: &Came, place: usize) -> usize {
    came.get(place).copied().unwrap_or(0)
}
