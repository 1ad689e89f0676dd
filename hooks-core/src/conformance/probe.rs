//! The tools of every check: sinks to build, batches to deliver, and the worker's part.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::compare;
use super::destination::Destination;
use super::run::{Checked, Steps, Stop};
use crate::batch::Batch;
use crate::delivery::{Delivered, DeliveryError, FailureClass};
use crate::envelope::Envelope;
use crate::id::HookId;
use crate::sink::{Shared, Sink, SinkContext, SinkFactory};

/// One check's view of a destination.
pub(super) struct Probe<'a> {
    pub(super) destination: &'a dyn Destination,
    pub(super) factory: Arc<dyn SinkFactory>,
    shared: Arc<Shared>,
    pub(super) steps: Steps,
}

impl<'a> Probe<'a> {
    pub(super) fn new(destination: &'a dyn Destination) -> Self {
        Self { destination, factory: destination.factory(), shared: Arc::default(), steps: Steps::default() }
    }

    pub(super) fn doing(&self, step: impl Into<String>) {
        self.steps.doing(step);
    }

    pub(super) fn failed(&self, why: impl fmt::Display) -> Stop {
        self.steps.failed(why)
    }

    /// A sink for the first lane of the hook `conformance`.
    pub(super) fn sink(&self) -> Checked<Box<dyn Sink>> {
        self.sink_for(self.context("conformance")?)
    }

    pub(super) fn context(&self, hook: &str) -> Checked<SinkContext> {
        Ok(SinkContext::new(HookId::new(hook)?, self.shared.clone()))
    }

    pub(super) fn sink_for(&self, context: SinkContext) -> Checked<Box<dyn Sink>> {
        self.doing(format!("build a sink for lane {} of hook `{}`", context.lane, context.hook));
        self.factory.build(&context).map_err(|error| self.failed(error))
    }

    /// Delivers a batch that the destination has to take as a whole.
    pub(super) async fn deliver(&self, sink: &mut dyn Sink, batch: &Batch) -> Checked {
        let delivered = sink.deliver(batch).await.map_err(|error| self.failed(describe(&error)))?;
        match delivered.refused.first() {
            None => Ok(()),
            Some((index, reason)) => Err(self.failed(format!("event {index} is named refused: {reason}"))),
        }
    }

    /// Delivers a batch as the worker does: splits rejected batches until the refused events stand alone. Returns the
    /// ids of these.
    pub(super) async fn deliver_split(&self, sink: &mut dyn Sink, batch: Batch) -> Checked<Vec<String>> {
        let mut refused = Vec::new();
        let mut waiting = vec![batch];
        while let Some(batch) = waiting.pop() {
            match sink.deliver(&batch).await {
                Ok(delivered) => refused.extend(self.refused_ids(&batch, &delivered)?),
                Err(error) if !matches!(error.class, FailureClass::Rejected | FailureClass::TooLarge) => {
                    return Err(self.failed(describe(&error)));
                }
                Err(_) if batch.len() == 1 => refused.extend(batch.events().map(|event| event.id().to_owned())),
                Err(_) => {
                    let half = batch.len() / 2;
                    let (left, right) = batch.split_at(half);
                    waiting.extend([right, left]);
                }
            }
        }
        Ok(refused)
    }

    fn refused_ids(&self, batch: &Batch, delivered: &Delivered) -> Checked<Vec<String>> {
        let mut ids: Vec<String> = Vec::new();
        for (index, reason) in &delivered.refused {
            let Some(event) = batch.events().nth(*index) else {
                return Err(self.failed(format!("event {index} is named refused in a batch of {}", batch.len())));
            };
            if ids.iter().any(|id| id == event.id()) {
                return Err(self.failed(format!("event {index} is named refused twice")));
            }
            if reason.is_empty() {
                return Err(self.failed(format!("event {index} is named refused for no reason: the text is empty")));
            }
            ids.push(event.id().to_owned());
        }
        Ok(ids)
    }

    pub(super) async fn flush(&self, sink: &mut dyn Sink) -> Checked {
        sink.flush().await.map_err(|error| self.failed(format!("`flush` fails: {}", describe(&error))))
    }

    pub(super) async fn close(&self, sink: &mut dyn Sink) -> Checked {
        sink.close().await.map_err(|error| self.failed(format!("`close` fails: {}", describe(&error))))
    }

    /// Checks that the destination has these events, in this order, each once, and nothing else.
    pub(super) async fn has_exactly(&self, sent: &[String]) -> Checked {
        let (sent, received) = (self.expected(sent), self.destination.received().await);
        compare::exactly("the destination", &sent, &received).map_err(|why| self.failed(why))
    }

    /// Checks that the destination has these events at least once, first arrivals in this order, and nothing else.
    pub(super) async fn has_at_least_once(&self, sent: &[String]) -> Checked {
        let (sent, received) = (self.expected(sent), self.destination.received().await);
        compare::at_least_once(&sent, &received).map_err(|why| self.failed(why))
    }

    /// What the destination says when it has these events: their JSON, or their ids.
    pub(super) fn expected<'s>(&self, sent: &'s [String]) -> Cow<'s, [String]> {
        if !self.destination.renders() {
            return sent.into();
        }
        let id =
            |line: &String| Envelope::from_json(line.as_bytes()).map_or(line.clone(), |event| event.id().to_owned());
        sent.iter().map(id).collect()
    }

    /// Skips what remains of a check that is about the JSON of events.
    pub(super) fn passes_json_on(&self) -> Checked {
        if self.destination.renders() {
            return Err(Stop::Skipped("the sink renders events (`renders` is `true`)".to_owned()));
        }
        Ok(())
    }
}

pub(super) fn lines(batch: &Batch) -> Vec<String> {
    batch.lines().map(|line| line.into_owned()).collect()
}

pub(super) fn describe(error: &DeliveryError) -> String {
    format!("fails with {:?}: {}", error.class, error.chain())
}

/// Polls a future up to this number of times, then drops it. Returns true if it was done by then.
pub(super) async fn drop_after<F: Future>(polls: usize, future: F) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
