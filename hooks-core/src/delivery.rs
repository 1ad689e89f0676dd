//! What came of an attempt to deliver.

use std::borrow::Cow;
use std::time::Duration;

use crate::BoxError;

/// What arrived, and what the receiver said.
#[derive(Debug, Clone, Default)]
pub struct Delivered {
    /// Events that the receiver refused for good: index in the batch and reason. All others arrived.
    pub refused: Vec<(usize, Reason)>,
    /// The receiver's answer, for people; shown by test deliveries.
    pub answer: Answer,
    /// What was odd about the answer, although it says that the events arrived.
    pub odd: Option<Odd>,
}

impl Delivered {
    /// Every event arrived.
    pub fn all() -> Self {
        Self::default()
    }

    /// With the receiver's answer.
    #[must_use]
    pub fn answer(mut self, answer: Answer) -> Self {
        self.answer = answer;
        self
    }

    /// What may have been refused and could not be read: the batch is tried again.
    pub(crate) fn doubted(self) -> DeliveryError {
        let what = self.odd.map_or(Reason::default(), |odd| odd.what);
        DeliveryError::retry(format!("{what}, and it may name refused events")).answer(self.answer)
    }
}

/// What was odd about an answer that says "delivered": logged once per hook, and counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// A sentence, for example `POST https://example.com: 200 OK, but the answer broke off`.
    pub what: Reason,
    /// Whether refused events may have been named where it can't be read.
    pub unread: Unread,
}

/// What may stand in the part of an answer that can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// Nothing that matters: the answer counts as it is.
    Nothing,
    /// Refused events, if the receiver is one that names them: if it did so before, the batch is tried again, at most
    /// three times, before the answer counts.
    RefusalsIfBefore,
    /// Perhaps refused events: the batch is tried again like that in any case.
    Refusals,
}

/// Why a receiver refused an event.
pub type Reason = Cow<'static, str>;

/// What a receiver answered, cut to a length that is fit to print.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// One line, for example `200 OK`.
    pub summary: Cow<'static, str>,
    /// The beginning of what else it said.
    pub detail: String,
}

/// An attempt that failed: its class, what was being done, and the cause.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct DeliveryError {
    /// Decides what happens next.
    pub class: FailureClass,
    /// What was being done and how it ended, for example `POST https://example.com: 503 Service Unavailable`.
    pub doing: String,
    /// The receiver asked for at least this wait. It only lengthens the wait.
    pub retry_after: Option<Duration>,
    /// What the receiver answered, if it did.
    pub answer: Option<Answer>,
    /// What went wrong below.
    #[source]
    pub source: Option<BoxError>,
}

/// What a failed attempt means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// It may work later: repeated with backoff.
    Retry,
    /// The receiver has too much to do: repeated with backoff or after the wait it asked for.
    Throttle,
    /// The endpoint itself is wrong (address, credentials, certificate): repeated with backoff for as
    /// long as it takes, never dropped, never split.
    Endpoint,
    /// The receiver refuses what is in the batch: split until the refused events stand alone.
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
    pub const ALL: [Self; 7] =
        [Self::Retry, Self::Throttle, Self::Endpoint, Self::Rejected, Self::TooLarge, Self::Gone, Self::Unprocessed];

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

    /// It may work later.
    pub fn retry(doing: impl Into<String>) -> Self {
        Self::new(FailureClass::Retry, doing)
    }

    /// The endpoint itself is wrong.
    pub fn endpoint(doing: impl Into<String>) -> Self {
        Self::new(FailureClass::Endpoint, doing)
    }

    /// The receiver refuses what is in the batch.
    pub fn rejected(doing: impl Into<String>) -> Self {
        Self::new(FailureClass::Rejected, doing)
    }

    /// With the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// With the wait that the receiver asked for.
    #[must_use]
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// With the receiver's answer.
    #[must_use]
    pub fn answer(mut self, answer: Answer) -> Self {
        self.answer = Some(answer);
        self
    }

    /// The error and its causes on one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }

    /// The error, its causes and the beginning of what the receiver said, on one line.
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
