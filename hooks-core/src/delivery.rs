//! Results of attempts to deliver.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use crate::BoxError;

/// The result of an attempt that delivered, with the receiver's answer.
#[derive(Debug, Clone, Default)]
pub struct Delivered {
    /// Events that the receiver refused for good: index in the batch and reason. All others arrived.
    pub refused: Vec<(usize, Reason)>,
    /// The receiver's answer, for people; shown by test deliveries.
    pub answer: Answer,
    /// The oddity of an answer that says that the events arrived.
    pub odd: Option<Odd>,
}

impl Delivered {
    /// Every event arrived.
    pub fn all() -> Self {
        Self::default()
    }

    /// Sets the receiver's answer.
    #[must_use]
    pub fn answer(mut self, answer: Answer) -> Self {
        self.answer = answer;
        self
    }

    /// The failure of a batch that is tried again because the unreadable part of its answer may name refused events.
    pub(crate) fn doubted(self) -> DeliveryError {
        let what = self.odd.map_or(Reason::default(), |odd| odd.what);
        DeliveryError::retry(format!("{what}, and it may name refused events")).answer(self.answer)
    }
}

/// The oddity of an answer that says "delivered": logged once per hook, and counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// A sentence, for example `POST https://example.com: 200 OK, but the answer broke off`.
    pub what: Reason,
    /// The possible content of the unreadable part.
    pub unread: Unread,
}

/// The possible content of the part of an answer that can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unread {
    /// Nothing that matters: the answer counts as it is.
    Nothing,
    /// Refused events, if the receiver named some before: then the batch is tried again, at most three times, before
    /// the answer counts.
    RefusalsIfBefore,
    /// Perhaps refused events: the batch is tried again in any case, at most three times.
    Refusals,
}

/// The reason why a receiver refused an event.
pub type Reason = Cow<'static, str>;

/// A receiver's answer, cut to a length that is fit to print.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// One line, for example `200 OK`.
    pub summary: Cow<'static, str>,
    /// The beginning of the rest.
    pub detail: String,
}

/// A failed attempt: its class, the action that failed, and the cause.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct DeliveryError {
    /// The class, which decides the next step.
    pub class: FailureClass,
    /// The action and its result, for example `POST https://example.com: 503 Service Unavailable`.
    pub doing: String,
    /// The receiver asked for at least this wait. It only lengthens the wait.
    pub retry_after: Option<Duration>,
    /// The receiver's answer, if there was one.
    pub answer: Option<Answer>,
    /// The cause.
    #[source]
    pub source: Option<BoxError>,
}

/// The class of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// It may work later: repeated with backoff.
    Retry,
    /// The receiver has too much to do: repeated with backoff or after the wait it asked for.
    Throttle,
    /// The endpoint itself is wrong (address, credentials, certificate): repeated with backoff for as
    /// long as it takes, never dropped, never split.
    Endpoint,
    /// The receiver refuses events of the batch: split until the refused events stand alone.
    Rejected,
    /// The receiver refuses the batch for its size: split, and later batches stay smaller.
    TooLarge,
    /// The receiver wants nothing any more: the hook is disabled and its events stay pending.
    Gone,
    /// The receiver says that it did nothing with the request (HTTP/2 has words for that): sent again at once, which
    /// counts as no failure unless it happens several times in a row.
    Unprocessed,
}

impl FailureClass {
    /// Every class.
    pub const ALL: &'static [Self] =
        &[Self::Retry, Self::Throttle, Self::Endpoint, Self::Rejected, Self::TooLarge, Self::Gone, Self::Unprocessed];

    /// The name in metrics, logs and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Throttle => "throttle",
            Self::Endpoint => "endpoint",
            Self::Rejected => "rejected",
            Self::TooLarge => "too_large",
            Self::Gone => "gone",
            Self::Unprocessed => "unprocessed",
        }
    }
}

impl DeliveryError {
    /// A failure of this class.
    pub fn new(class: FailureClass, doing: impl Into<String>) -> Self {
        Self { class, doing: doing.into(), retry_after: None, answer: None, source: None }
    }

    /// A failure that may end later.
    pub fn retry(doing: impl Into<String>) -> Self {
        Self::new(FailureClass::Retry, doing)
    }

    /// A failure because the endpoint itself is wrong.
    pub fn endpoint(doing: impl Into<String>) -> Self {
        Self::new(FailureClass::Endpoint, doing)
    }

    /// A failure because the receiver refuses events of the batch.
    pub fn rejected(doing: impl Into<String>) -> Self {
        Self::new(FailureClass::Rejected, doing)
    }

    /// Sets the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Sets the wait that the receiver asked for.
    #[must_use]
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Sets the receiver's answer.
    #[must_use]
    pub fn answer(mut self, answer: Answer) -> Self {
        self.answer = Some(answer);
        self
    }

    /// The error and its causes on one line.
    pub fn chain(&self) -> String {
        crate::chain(self)
    }

    /// The error, its causes and the beginning of the receiver's answer, on one line.
    pub fn report(&self) -> String {
        let mut report = self.chain();
        let said = self.answer.as_ref().map_or("", |answer| answer.detail.trim());
        if !said.is_empty() {
            report.push_str(": ");
            report.extend(said.chars().take(200).map(|char| if char.is_control() { ' ' } else { char }));
        }
        report
    }
}
