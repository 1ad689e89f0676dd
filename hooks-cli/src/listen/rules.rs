//! The rules by which requests are answered. Chance is a parameter.

use std::num::NonZeroU32;
use std::time::Duration;

use hooks_core::Pattern;

use super::answer::Answer;
use super::events::Event;
use super::fault::Fault;

/// The rules that `hooks listen` was given.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// The status of a good request.
    pub(crate) status: u16,
    /// The status of a failing request.
    pub(crate) failure: u16,
    /// The share of requests that fail, or that a fault happens to.
    pub(crate) fail_rate: f64,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) delay: Duration,
    /// Types of events that are refused.
    pub(crate) refused: Vec<Pattern>,
    /// True if refused events are named in a 200, and the others taken.
    pub(crate) names_refused: bool,
    pub(crate) fault: Option<Fault>,
    pub(crate) grants: Grants,
}

/// What senders are told who ask whether they may deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grants {
    Nothing,
    AnyRate,
    /// So many requests a minute.
    PerMinute(NonZeroU32),
}

/// An answer, and which of the events it accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) answer: Answer,
    /// One for each event.
    pub(crate) accepted: Vec<bool>,
}

impl Rules {
    /// True if a request is read slowly and not answered. `chance` is in 0..1.
    pub(crate) fn reads_slowly(&self, chance: f64) -> bool {
        self.fault == Some(Fault::SlowRead) && chance < self.fail_rate
    }

    /// The answer to a sender of this name who asks whether it may deliver (CloudEvents webhooks, section 4), and in words.
    pub(crate) fn grant(&self, origin: &str) -> (Answer, String) {
        let rate = match self.grants {
            Grants::Nothing => {
                return (Answer::status(200).header("allow", "POST"), format!("not granted to {origin}"));
            }
            Grants::AnyRate => "*".to_owned(),
            Grants::PerMinute(number) => number.to_string(),
        };
        let limited = if rate == "*" { String::new() } else { format!(", {rate} a minute") };
        let answer = Answer::status(200).header("allow", "POST").header("webhook-allowed-origin", origin);
        (answer.header("webhook-allowed-rate", rate), format!("granted to {origin}{limited}"))
    }

    /// The answer to a request with these events. `chance` is in 0..1.
    pub(crate) fn judge(&self, is_trusted: bool, events: &[Event], chance: f64) -> Verdict {
        let mut verdict = self.decide(is_trusted, events, chance);
        verdict.answer.after = self.delay;
        verdict.answer.fault = self.fault.filter(|fault| *fault != Fault::SlowRead && chance < self.fail_rate);
        if verdict.answer.fault.is_some_and(|fault| !fault.answers()) {
            verdict.accepted.fill(false);
        }
        if let (Some(wait), false) = (self.retry_after, verdict.answer.is_success()) {
            // Whole seconds (RFC 9110, 10.2.3), and none shorter than was asked for.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            verdict.answer = verdict.answer.header("retry-after", seconds.to_string());
        }
        verdict
    }

    fn decide(&self, is_trusted: bool, events: &[Event], chance: f64) -> Verdict {
        let none = |answer| Verdict { answer, accepted: vec![false; events.len()] };
        if !is_trusted {
            return none(Answer::text(401, "the signature is missing or wrong"));
        }
        if self.fault.is_none() && chance < self.fail_rate {
            return none(Answer::text(self.failure, "failing on purpose"));
        }
        let refuses = |event: &Event| self.refused.iter().any(|pattern| pattern.matches(&event.event_type));
        let refused: Vec<&Event> = events.iter().filter(|event| refuses(event)).collect();
        match refused.first() {
            None => {
                let answer = Answer::status(self.status);
                Verdict { accepted: vec![answer.is_success(); events.len()], answer }
            }
            Some(_) if self.names_refused => {
                let answer = Answer::failures(refused.iter().map(|event| event.id.as_str()));
                Verdict { answer, accepted: events.iter().map(|event| !refuses(event)).collect() }
            }
            Some(first) => none(Answer::text(400, &format!("events of type {} are refused here", first.event_type))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::events;

    fn rules() -> Rules {
        Rules {
            status: 200,
            failure: 503,
            fail_rate: 0.0,
            retry_after: None,
            delay: Duration::ZERO,
            refused: Vec::new(),
            names_refused: false,
            fault: None,
            grants: Grants::AnyRate,
        }
    }

    fn two() -> Vec<Event> {
        events(br#"[{"id":"1","source":"s","type":"good"},{"id":"2","source":"s","type":"bad.one"}]"#).0
    }

    fn judged(rules: &Rules, is_trusted: bool, chance: f64) -> (u16, Vec<bool>) {
        let verdict = rules.judge(is_trusted, &two(), chance);
        (verdict.answer.status, verdict.accepted)
    }

    #[test]
    fn everything_is_accepted_unless_asked_otherwise() {
        assert_eq!(judged(&rules(), true, 0.0), (200, vec![true, true]));
        assert_eq!(judged(&rules(), false, 0.0), (401, vec![false, false]));
        assert_eq!(judged(&Rules { status: 410, ..rules() }, true, 0.0), (410, vec![false, false]));
    }

    #[test]
    fn the_share_that_fails_is_the_one_asked_for() {
        let rules = Rules { fail_rate: 0.25, retry_after: Some(Duration::from_millis(1_200)), ..rules() };
        assert_eq!(judged(&rules, true, 0.24), (503, vec![false, false]));
        assert_eq!(judged(&rules, true, 0.25), (200, vec![true, true]));
        let failed = rules.judge(true, &[], 0.0).answer;
        assert!(failed.headers.contains(&("retry-after", "2".to_owned())), "{failed:?}");
        assert_eq!(rules.judge(true, &[], 0.9).answer.headers, []);
    }

    #[test]
    fn refused_types_are_refused_whole_or_by_name() {
        let rules = Rules { refused: vec![Pattern::new("bad.*")], ..rules() };
        assert_eq!(judged(&rules, true, 0.0), (400, vec![false, false]));
        assert_eq!(rules.judge(true, &two()[..1], 0.0).answer.status, 200);
        let rules = Rules { names_refused: true, ..rules };
        assert_eq!(judged(&rules, true, 0.0), (200, vec![true, false]));
        let body = rules.judge(true, &two(), 0.0).answer.body;
        assert_eq!(body, br#"{"batchItemFailures":[{"itemIdentifier":"2"}]}"#);
    }

    #[test]
    fn with_mischief_the_share_is_of_mischief() {
        let rules = Rules { fail_rate: 0.5, fault: Some(Fault::Reset), ..rules() };
        let verdict = rules.judge(true, &two(), 0.4);
        assert_eq!((verdict.answer.status, verdict.answer.fault), (200, Some(Fault::Reset)));
        assert_eq!(verdict.accepted, [true, true], "its status counts");
        let mute = Rules { fault: Some(Fault::HangUp), ..rules.clone() };
        assert_eq!(mute.judge(true, &two(), 0.4).accepted, [false, false]);
        let verdict = rules.judge(true, &two(), 0.5);
        assert_eq!((verdict.answer.fault, verdict.accepted), (None, vec![true, true]));
        let slow = Rules { fault: Some(Fault::SlowRead), ..rules };
        assert!(slow.reads_slowly(0.4) && !slow.reads_slowly(0.5));
        assert_eq!(slow.judge(true, &[], 0.4).answer.fault, None);
    }
}
