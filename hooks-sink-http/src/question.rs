//! A question that many have, and one asks at a time: whoever came before the answer has it, too.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hooks_core::sink::{DeliveryError, FailureClass};
use tokio::sync::OwnedMutexGuard;

/// The reason why a question brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Withheld {
    pub(crate) class: FailureClass,
    pub(crate) what: String,
    pub(crate) retry_after: Option<Duration>,
}

impl Withheld {
    /// Holds the hook: no event was refused, so none is given up.
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

/// A question, what it brought, and whose turn it is to ask.
#[derive(Debug)]
pub(crate) struct Question<T> {
    state: Mutex<State<T>>,
    /// Held by the one who asks.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl<T> Default for Question<T> {
    fn default() -> Self {
        Self { state: Mutex::default(), turn: Arc::default() }
    }
}

/// One's turn: while it is held, nobody else asks.
pub(crate) type Held = OwnedMutexGuard<()>;

impl<T: Clone> Question<T> {
    /// What it brought last.
    pub(crate) fn known(&self) -> Option<T> {
        self.with(|state| state.known.clone())
    }

    /// Number of answers so far.
    pub(crate) fn answers(&self) -> u64 {
        self.with(|state| state.answers)
    }

    /// Waits for one's turn. `answers_before`: the number of answers when one came.
    pub(crate) async fn turn(&self, answers_before: u64) -> (Turn<T>, Held) {
        let held = self.turn.clone().lock_owned().await;
        (self.with(|state| state.turn(answers_before)), held)
    }

    /// One's turn, if nobody is asking.
    pub(crate) fn try_turn(&self) -> Option<Held> {
        self.turn.clone().try_lock_owned().ok()
    }

    /// Takes an answer.
    pub(crate) fn answered(&self, answer: Result<T, Withheld>) {
        self.with(|state| state.answered(answer));
    }

    /// Forgets what it brought, if that is no good any more.
    pub(crate) fn forget(&self, is_bad: impl FnOnce(&T) -> bool) {
        self.with(|state| state.known.take_if(|known| is_bad(known)));
    }

    fn with<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is known. No clock and no I/O: answers go in, the next step comes out.
#[derive(Debug)]
struct State<T> {
    known: Option<T>,
    /// The last answer that was none, if nothing is known.
    withheld: Option<Withheld>,
    answers: u64,
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self { known: None, withheld: None, answers: 0 }
    }
}

/// The next step of one whose turn it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn<T> {
    /// It is known.
    Known(T),
    /// Fail: the answer to the one who asked before says so.
    Fail(Withheld),
    /// Ask.
    Ask,
}

impl<T: Clone> State<T> {
    /// The next step of one who came when there were this many answers.
    fn turn(&self, answers_before: u64) -> Turn<T> {
        match (&self.known, &self.withheld) {
            (Some(known), _) => Turn::Known(known.clone()),
            (None, Some(withheld)) if self.answers > answers_before => Turn::Fail(withheld.clone()),
            (None, _) => Turn::Ask,
        }
    }

    /// What is known stays, whatever a later answer to an older question says.
    fn answered(&mut self, answer: Result<T, Withheld>) {
        self.answers += 1;
        match answer {
            Ok(known) => (self.known, self.withheld) = (Some(known), None),
            Err(withheld) => self.withheld = self.known.is_none().then_some(withheld),
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

    #[test]
    fn those_who_wait_share_the_answer_and_later_ones_ask_again() {
        let mut state = State::<&str>::default();
        let (first, second) = (state.answers, state.answers);
        assert_eq!(state.turn(first), Turn::Ask);
        state.answered(Err(withheld("no")));
        assert_eq!(state.turn(second), Turn::Fail(withheld("no")));
        let third = state.answers;
        assert_eq!(state.turn(third), Turn::Ask);
        state.answered(Ok("yes"));
        assert_eq!((state.turn(third), state.turn(state.answers)), (Turn::Known("yes"), Turn::Known("yes")));
        assert_eq!(state.known, Some("yes"));
    }

    #[test]
    fn one_who_asks_and_never_hears_leaves_it_to_the_next() {
        let state = State::<&str>::default();
        assert_eq!(state.turn(state.answers), Turn::Ask);
        assert_eq!(state.turn(state.answers), Turn::Ask);
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
        /// Against a plain model, in any order: nobody knows before there is something to know, nobody asks after that, and
        /// nobody gets an answer that was there before he came.
        #[test]
        fn as_the_model(moves in moves()) {
            let mut state = State::<&str>::default();
            let (mut came, mut answers) = (Vec::new(), Vec::new());
            for step in moves {
                match step {
                    Move::Come => came.push((state.answers, answers.len())),
                    Move::Answer(is_known) => {
                        let text = answers.len().to_string();
                        state.answered(if is_known { Ok("yes") } else { Err(withheld(&text)) });
                        answers.push(is_known);
                    }
                    Move::Go(who) => {
                        let Some((seen, before)) = came.get(who).copied() else { continue };
                        let expected = match answers.last() {
                            _ if answers.contains(&true) => Turn::Known("yes"),
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
