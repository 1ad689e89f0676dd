//! Whether a receiver has granted deliveries. No clock and no I/O: answers go in, the next step comes out.

use std::num::NonZeroU32;
use std::time::Duration;

use hooks_core::sink::{DeliveryError, FailureClass};

/// A receiver's permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Granted {
    /// Most requests a minute; `None`: any number.
    pub(crate) per_minute: Option<NonZeroU32>,
}

/// A question that brought no permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Withheld {
    pub(crate) class: FailureClass,
    pub(crate) what: String,
    pub(crate) retry_after: Option<Duration>,
}

impl Withheld {
    /// Holds the hook: nothing was refused but the permission, so no event is given up.
    pub(crate) fn endpoint(what: String) -> Self {
        Self { class: FailureClass::Endpoint, what, retry_after: None }
    }

    pub(crate) fn of(error: &DeliveryError) -> Self {
        Self { class: error.class, what: error.chain(), retry_after: error.retry_after }
    }

    pub(crate) fn error(self) -> DeliveryError {
        DeliveryError::new(self.class, self.what).retry_after(self.retry_after)
    }
}

/// What is known of one receiver. One asks at a time; whoever came before the answer has it, too.
#[derive(Debug, Default)]
pub(crate) struct State {
    granted: Option<Granted>,
    /// The last answer that was none, if there is no permission.
    withheld: Option<Withheld>,
    /// The number of answers so far.
    answers: u64,
}

/// The next step of one who wants to deliver, and whose turn it is to ask.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Deliver.
    Deliver,
    /// Fail: the answer to the one who asked before says so.
    Fail(Withheld),
    /// Ask.
    Ask,
}

impl State {
    pub(crate) fn granted(&self) -> Option<Granted> {
        self.granted
    }

    pub(crate) fn answers(&self) -> u64 {
        self.answers
    }

    /// The next step of one who came when there were this many answers.
    pub(crate) fn turn(&self, answers_before: u64) -> Turn {
        match (self.granted, &self.withheld) {
            (Some(_), _) => Turn::Deliver,
            (None, Some(withheld)) if self.answers > answers_before => Turn::Fail(withheld.clone()),
            (None, _) => Turn::Ask,
        }
    }

    /// Takes an answer. A permission stays, whatever a later answer to an older question says.
    pub(crate) fn answered(&mut self, answer: Result<Granted, Withheld>) {
        self.answers += 1;
        match answer {
            Ok(granted) => (self.granted, self.withheld) = (Some(granted), None),
            Err(withheld) => self.withheld = self.granted.is_none().then_some(withheld),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn withheld(what: &str) -> Withheld {
        Withheld::endpoint(what.to_owned())
    }

    const GRANTED: Granted = Granted { per_minute: NonZeroU32::new(60) };

    #[test]
    fn those_who_wait_share_the_answer_and_later_ones_ask_again() {
        let mut state = State::default();
        let (first, second) = (state.answers(), state.answers());
        assert_eq!(state.turn(first), Turn::Ask);
        state.answered(Err(withheld("no")));
        assert_eq!(state.turn(second), Turn::Fail(withheld("no")));
        let third = state.answers();
        assert_eq!(state.turn(third), Turn::Ask);
        state.answered(Ok(GRANTED));
        assert_eq!((state.turn(third), state.turn(state.answers())), (Turn::Deliver, Turn::Deliver));
        assert_eq!(state.granted(), Some(GRANTED));
    }

    #[test]
    fn one_who_asks_and_never_hears_leaves_it_to_the_next() {
        let state = State::default();
        assert_eq!(state.turn(state.answers()), Turn::Ask);
        assert_eq!(state.turn(state.answers()), Turn::Ask);
    }

    #[derive(Debug, Clone)]
    enum Move {
        Come,
        Go(usize),
        Answer(bool),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = prop_oneof![
            Just(Move::Come),
            (0usize..8).prop_map(Move::Go),
            prop::bool::weighted(0.1).prop_map(Move::Answer)
        ];
        prop::collection::vec(one, 0..60)
    }

    proptest! {
        /// Against a plain model, in any order: nobody delivers before a grant, nobody waits after one, and nobody gets
        /// an answer that was there before he came.
        #[test]
        fn as_the_model(moves in moves()) {
            let mut state = State::default();
            let (mut came, mut answers) = (Vec::new(), Vec::new());
            for step in moves {
                match step {
                    Move::Come => came.push((state.answers(), answers.len())),
                    Move::Answer(is_granted) => {
                        let text = answers.len().to_string();
                        state.answered(if is_granted { Ok(GRANTED) } else { Err(withheld(&text)) });
                        answers.push(is_granted);
                    }
                    Move::Go(who) => {
                        let Some((seen, before)) = came.get(who).copied() else { continue };
                        let expected = match answers.last() {
                            _ if answers.contains(&true) => Turn::Deliver,
                            Some(_) if answers.len() > before => Turn::Fail(withheld(&(answers.len() - 1).to_string())),
                            _ => Turn::Ask,
                        };
                        prop_assert_eq!(state.turn(seen), expected);
                    }
                }
            }
        }
    }
}
