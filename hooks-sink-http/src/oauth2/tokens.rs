//! The token that sinks with the same settings share. No I/O.

use std::time::{Duration, Instant};

use http::HeaderValue;

use super::answer::Issued;
use crate::question::{Held, Question, Turn, Withheld};

/// The last part of a token's time, in which the next one is fetched: at most this much, and at most a tenth.
const MARGIN: Duration = Duration::from_secs(60);

/// An access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// `Bearer …`
    pub(crate) authorization: HeaderValue,
    /// When the next one is fetched, and when this one ends. `None`: when the receiver refuses it.
    times: Option<(Instant, Instant)>,
}

impl Token {
    /// A token that was asked for at this time.
    pub(super) fn new(issued: Issued, asked: Instant) -> Self {
        let times = issued.lifetime.and_then(|lifetime| {
            let end = asked.checked_add(lifetime)?;
            Some((end - MARGIN.min(lifetime / 10), end))
        });
        Self { authorization: issued.authorization, times }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.times.is_some_and(|(_, end)| end <= now)
    }

    fn is_due(&self, now: Instant) -> bool {
        self.times.is_some_and(|(due, _)| due <= now)
    }

    /// The next one could not be fetched now: tried again after half of the time that is left.
    fn put_off(mut self, now: Instant) -> Self {
        self.times = self.times.map(|(_, end)| (now + end.saturating_duration_since(now) / 2, end));
        self
    }
}

/// What an attempt does for its token.
#[derive(Debug)]
pub(crate) enum Fetch {
    /// Uses this one.
    Use(Token),
    /// Fails: the one who asked before was told so.
    Fail(Withheld),
    /// Fetches one, in its turn. Where the last one is still good, here it is.
    Ask(Held, Option<Token>),
}

/// The token of one client at one token endpoint.
#[derive(Debug, Default)]
pub(crate) struct TokenSource(Question<Token>);

impl TokenSource {
    /// What one does who needs a token. Waits while another one fetches it.
    pub(crate) async fn next(&self, now: Instant) -> Fetch {
        self.0.forget(|token| token.is_over(now));
        let answers = self.0.answers();
        if let Some(token) = self.0.known() {
            let turn = Some(()).filter(|()| token.is_due(now)).and_then(|()| self.0.try_turn());
            // Another one may have fetched it just before.
            return match turn {
                Some(held) if self.0.answers() == answers => Fetch::Ask(held, Some(token)),
                _ => Fetch::Use(self.0.known().unwrap_or(token)),
            };
        }
        match self.0.turn(answers).await {
            (Turn::Known(token), _) => Fetch::Use(token),
            (Turn::Fail(withheld), _) => Fetch::Fail(withheld),
            (Turn::Ask, held) => Fetch::Ask(held, None),
        }
    }

    /// Takes an answer, for all. The token to use: the last one, where it is still good and there is no other.
    pub(crate) fn answered(
        &self,
        answer: Result<Token, Withheld>,
        last: Option<Token>,
        now: Instant,
    ) -> Result<Token, Withheld> {
        let token = match (answer, last) {
            (Err(_), Some(last)) => Ok(last.put_off(now)),
            (answer, _) => answer,
        };
        self.0.answered(token.clone());
        token
    }

    /// The one whose turn it was gave up.
    pub(crate) fn give_up(&self, withheld: &Withheld) {
        self.0.answered(Err(withheld.clone()));
    }

    /// The receiver refuses this token.
    pub(crate) fn refused(&self, token: &Token) {
        self.0.forget(|known| known.authorization == token.authorization);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &'static str, lifetime: u64, asked: Instant) -> Token {
        let lifetime = Some(lifetime).filter(|seconds| *seconds > 0).map(Duration::from_secs);
        Token::new(Issued { authorization: HeaderValue::from_static(text), lifetime }, asked)
    }

    fn name(fetch: &Fetch) -> String {
        match fetch {
            Fetch::Use(token) => format!("use {}", token.authorization.to_str().unwrap()),
            Fetch::Fail(withheld) => format!("fail {}", withheld.what),
            Fetch::Ask(_, None) => "ask".to_owned(),
            Fetch::Ask(_, Some(token)) => format!("ask, or use {}", token.authorization.to_str().unwrap()),
        }
    }

    #[tokio::test]
    async fn a_token_is_renewed_by_one_before_its_end() {
        let (source, start) = (TokenSource::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let first = source.next(start).await;
        assert_eq!(name(&first), "ask");
        source.answered(Ok(token("a", 3600, start)), None, start).unwrap();
        drop(first);
        assert_eq!(name(&source.next(at(3539)).await), "use a");
        let one = source.next(at(3540)).await;
        assert_eq!(name(&one), "ask, or use a");
        assert_eq!(name(&source.next(at(3541)).await), "use a", "while another one fetches");
        let Fetch::Ask(held, last) = one else { panic!() };
        source.answered(Ok(token("b", 3600, at(3542))), last, at(3542)).unwrap();
        drop(held);
        assert_eq!(name(&source.next(at(3600)).await), "use b");
    }

    #[tokio::test]
    async fn a_renewal_that_fails_leaves_the_token_until_its_end() {
        let (source, start) = (TokenSource::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        source.answered(Ok(token("a", 100, start)), None, start).unwrap();
        let Fetch::Ask(held, last) = source.next(at(90)).await else { panic!() };
        let kept = source.answered(Err(Withheld::endpoint("down".to_owned())), last, at(92)).unwrap();
        drop(held);
        assert_eq!(kept.authorization, "a");
        assert_eq!(name(&source.next(at(95)).await), "use a", "not asked at each attempt");
        assert_eq!(name(&source.next(at(96)).await), "ask, or use a");
        assert_eq!(name(&source.next(at(100)).await), "ask");
    }

    #[tokio::test]
    async fn those_who_wait_have_the_same_answer() {
        let (source, start) = (TokenSource::default(), Instant::now());
        let Fetch::Ask(held, None) = source.next(start).await else { panic!() };
        let waits = source.next(start);
        let answers = async {
            tokio::task::yield_now().await;
            source.answered(Err(Withheld::endpoint("down".to_owned())), None, start).unwrap_err();
            drop(held);
        };
        let (waited, ()) = tokio::join!(waits, answers);
        assert_eq!(name(&waited), "fail down");
        assert_eq!(name(&source.next(start).await), "ask", "who comes later asks again");
    }

    #[tokio::test]
    async fn a_refused_token_is_forgotten_but_not_the_one_after_it() {
        let (source, start) = (TokenSource::default(), Instant::now());
        let (a, b) = (token("a", 0, start), token("b", 0, start));
        source.answered(Ok(a.clone()), None, start).unwrap();
        source.refused(&a);
        assert_eq!(name(&source.next(start).await), "ask");
        source.answered(Ok(b), None, start).unwrap();
        source.refused(&a);
        assert_eq!(name(&source.next(start + Duration::from_secs(1 << 30)).await), "use b");
    }
}
