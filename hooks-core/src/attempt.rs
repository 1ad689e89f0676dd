//! Attempts to deliver, as they are recorded.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::bus::Position;
use crate::delivery::{Answer, Delivered, DeliveryError, FailureClass};
use crate::hook::Hook;

/// Takes each attempt of a dispatcher when it is over, to keep a history, say. An attempt that is cut off because its
/// hook is changed or stopped has no result and is not recorded.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # mod hooks_bus { pub use hooks_test::model::ModelBus as MemoryBus; }
/// # use hooks_core::{sink::{Batch, Delivered, DeliveryError, SinkContext, SinkFactory}, async_trait, BoxError, Sink};
/// # #[derive(Debug)]
/// # struct Stdout;
/// # impl SinkFactory for Stdout {
/// #     fn kind(&self) -> &str { "stdout" }
/// #     fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> { Ok(Box::new(Stdout)) }
/// # }
/// # #[async_trait]
/// # impl Sink for Stdout {
/// #     async fn deliver(&mut self, _: &Batch) -> Result<Delivered, DeliveryError> { Ok(Delivered::all()) }
/// # }
/// use std::sync::{Arc, Mutex};
///
/// use hooks_bus::MemoryBus;
/// use hooks_core::{Attempt, AttemptRecorder, Bus, Dispatcher, Envelope, Hook};
///
/// /// A line for each attempt.
/// #[derive(Default)]
/// struct Lines(Mutex<Vec<String>>);
///
/// impl AttemptRecorder for Lines {
///     fn record(&self, attempt: &Attempt<'_>) {
///         let Attempt { hook, number, trigger, .. } = attempt;
///         let line = format!("{} attempt {number}, {}: {}", hook.id, trigger.name(), attempt.outcome().name());
///         self.0.lock().unwrap().push(line);
///     }
/// }
///
/// let (bus, lines) = (Arc::new(MemoryBus::default()), Arc::new(Lines::default()));
/// let dispatcher = Dispatcher::new(bus.clone()).with_recorder(lines.clone());
/// dispatcher.add(Hook::new("print", Stdout)?).await?;
/// bus.publish(Envelope::from_json(br#"{"type":"invoice.paid"}"#)?.into()).await?;
/// dispatcher.shutdown(None).await;
/// assert_eq!(*lines.0.lock().unwrap(), ["print attempt 1, live: delivered"]);
/// # Ok::<(), BoxError>(()) }).unwrap();
/// ```
pub trait AttemptRecorder: Send + Sync {
    /// Takes note of an attempt. The hook's next attempt waits for it: it must not block, wait or panic.
    fn record(&self, attempt: &Attempt<'_>);
}

/// Each of them takes note.
impl AttemptRecorder for Vec<Arc<dyn AttemptRecorder>> {
    fn record(&self, attempt: &Attempt<'_>) {
        self.iter().for_each(|recorder| recorder.record(attempt));
    }
}

/// An attempt that is over. What a receiver must not be shown elsewhere is not in it: texts are as in logs.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// The hook.
    pub hook: &'a Hook,
    /// What was sent.
    pub batch: &'a Batch,
    /// The number of the attempt on this batch, from 1. What a batch was split into counts on; a restart begins anew.
    pub number: u32,
    /// The reason why it was made.
    pub trigger: Trigger,
    /// The time when it began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// The result, as the sink returned it.
    pub result: Result<&'a Delivered, &'a DeliveryError>,
    /// What the sink says beside the result.
    pub exchange: &'a Exchange,
}

/// The reason why an attempt was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The events were the hook's next ones.
    #[default]
    Live,
    /// Dead letters are delivered once more.
    Replay,
    /// Events of the log are sent once more.
    Resend,
    /// A test delivery.
    Test,
    /// None was made: an operator moved the hook ahead, past the events. Stands in a history only.
    Seek,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// All events arrived.
    Delivered,
    /// Some arrived, and the receiver refused the others.
    Partly,
    /// None arrived, as far as is known.
    Failed,
    /// None was sent: the hook was moved past them. Stands in a history only.
    Skipped,
}

/// What a sink says of an attempt beside its result. Everything may be unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exchange {
    /// The number that the receiver answered with.
    pub status: Option<u16>,
    /// The address that was connected to, without secrets.
    pub address: Option<Arc<str>>,
    /// How long each part took.
    pub phases: Phases,
    /// The `traceparent` that was sent (W3C Trace Context): the attempt's place in a trace.
    pub traceparent: Option<Bytes>,
}

/// A part of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waiting for a place among the attempts of this process.
    Wait,
    /// Finding the addresses of a name.
    Resolve,
    /// Making a connection.
    Connect,
    /// Securing it.
    Tls,
    /// From sending to the beginning of the answer.
    FirstByte,
    /// The rest of the answer.
    Body,
}

/// How long each part of an attempt took, as far as there was one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Phases([Option<Duration>; Phase::ALL.len()]);

impl Phase {
    /// Every phase, in their order.
    pub const ALL: [Self; 6] = [Self::Wait, Self::Resolve, Self::Connect, Self::Tls, Self::FirstByte, Self::Body];

    /// The name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "TLS",
            Self::FirstByte => "first byte",
            Self::Body => "body",
        }
    }
}

impl Phases {
    /// Sets how long a part took.
    pub fn set(&mut self, phase: Phase, took: Duration) {
        self.0[phase as usize] = Some(took);
    }

    /// How long a part took, if there was one.
    pub fn get(&self, phase: Phase) -> Option<Duration> {
        self.0[phase as usize]
    }

    /// The parts that there were, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (Phase, Duration)> + '_ {
        Phase::ALL.into_iter().filter_map(|phase| Some((phase, self.get(phase)?)))
    }
}

impl Trigger {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Replay => "replay",
            Self::Resend => "resend",
            Self::Test => "test",
            Self::Seek => "seek",
        }
    }
}

impl AttemptOutcome {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Partly => "partly",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl Attempt<'_> {
    /// The outcome.
    pub fn outcome(&self) -> AttemptOutcome {
        match self.result {
            Ok(delivered) if delivered.refused.is_empty() => AttemptOutcome::Delivered,
            Ok(delivered) if delivered.refused.len() < self.batch.len() => AttemptOutcome::Partly,
            _ => AttemptOutcome::Failed,
        }
    }

    /// The class of the failure, if it failed.
    pub fn class(&self) -> Option<FailureClass> {
        match (self.outcome(), self.result) {
            (_, Err(error)) => Some(error.class),
            (AttemptOutcome::Failed, Ok(_)) => Some(FailureClass::Rejected),
            _ => None,
        }
    }

    /// The receiver's answer, if there was one.
    pub fn answer(&self) -> Option<&Answer> {
        self.result.map_or_else(|error| error.answer.as_ref(), |delivered| Some(&delivered.answer))
    }

    /// The positions of its events, as ranges. A test has none.
    pub fn positions(&self) -> impl Iterator<Item = RangeInclusive<Position>> + '_ {
        let is_of_log = self.trigger != Trigger::Test;
        is_of_log.then(|| self.batch.ranges()).into_iter().flatten()
    }

    /// The positions of the events that the receiver refused by name.
    pub fn refused(&self) -> impl Iterator<Item = Position> + '_ {
        let refused = self.result.map_or(&[][..], |delivered| &delivered.refused[..]);
        refused.iter().filter_map(|(index, _)| self.batch.position(*index)).filter(|_| self.trigger != Trigger::Test)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Envelope;

    #[test]
    fn what_a_receiver_refuses_decides_the_outcome() {
        let event = |id: &str| Envelope::from_json(format!(r#"{{"type":"a","id":"{id}"}}"#).as_bytes()).unwrap();
        let (hook, batch) = (Hook::for_test("a"), Batch::for_test([event("1"), event("2")]));
        let of = |refused: &[usize], trigger| {
            let refused = refused.iter().map(|at| (*at, "no".into())).collect();
            let delivered = Delivered { refused, ..Delivered::all() };
            let attempt = Attempt {
                hook: &hook,
                batch: &batch,
                number: 1,
                trigger,
                began: SystemTime::UNIX_EPOCH,
                took: Duration::ZERO,
                result: Ok(&delivered),
                exchange: &Exchange::default(),
            };
            let refused: Vec<_> = attempt.refused().map(Position::get).collect();
            (attempt.outcome(), attempt.class(), refused, attempt.positions().count())
        };
        assert_eq!(of(&[], Trigger::Live), (AttemptOutcome::Delivered, None, vec![], 1));
        assert_eq!(of(&[1], Trigger::Live), (AttemptOutcome::Partly, None, vec![1], 1));
        assert_eq!(of(&[0, 1], Trigger::Live).1, Some(FailureClass::Rejected));
        assert_eq!(of(&[1], Trigger::Test), (AttemptOutcome::Partly, None, vec![], 0));
    }

    #[test]
    fn phases_are_told_in_their_order() {
        let mut phases = Phases::default();
        phases.set(Phase::Body, Duration::from_secs(2));
        phases.set(Phase::Connect, Duration::from_secs(1));
        let told: Vec<_> = phases.iter().map(|(phase, took)| (phase.name(), took.as_secs())).collect();
        assert_eq!(told, [("connect", 1), ("body", 2)]);
        assert!(Phase::ALL.is_sorted());
    }
}
