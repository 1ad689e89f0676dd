//! The tasks that send spans and metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hooks_core::uuid_v7;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::proto::{Message, Value};
use super::{Collector, Signal, Telemetry};
use crate::metrics::Metrics;
use crate::on_own_thread;

/// Most spans of a request.
const SPANS: usize = 512;

/// How long the first span waits for others.
const GATHER: Duration = Duration::from_secs(2);

/// How often metrics are sent, where nothing says otherwise.
const INTERVAL: Duration = Duration::from_secs(60);

/// How often something is tried, and the first and the longest wait between.
const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Sends to a collector.
pub(super) struct Exporter {
    telemetry: Telemetry,
    collector: Arc<dyn Collector>,
    /// A `Resource`, and an `InstrumentationScope`.
    resource: Message,
    scope: Message,
    began: SystemTime,
    in_trouble: [AtomicBool; 2],
}

impl Exporter {
    pub(super) fn new(telemetry: Telemetry, collector: Arc<dyn Collector>) -> Self {
        let resource = Message::of(|resource| {
            for (key, value) in &telemetry.0.settings.resource(&uuid_v7().to_string()) {
                resource.attribute(1, key, Value::Text(value));
            }
        });
        let scope = Message::of(|scope| {
            scope.text(1, "hooks");
            scope.text(2, env!("CARGO_PKG_VERSION"));
        });
        Self { telemetry, collector, resource, scope, began: SystemTime::now(), in_trouble: Default::default() }
    }

    /// Sends spans until the end, and those that are left then.
    pub(super) async fn traces(self: Arc<Self>, mut spans: mpsc::Receiver<Message>, mut ending: watch::Receiver<bool>) {
        let mut batch = Vec::new();
        loop {
            let received = tokio::select! {
                _ = ending.wait_for(|is_ending| *is_ending) => 0,
                received = spans.recv_many(&mut batch, SPANS) => received,
            };
            if received == 0 {
                break;
            }
            self.gather(&mut spans, &mut batch, &mut ending).await;
            self.send_spans(&mut batch, &mut ending).await;
        }
        while let Ok(span) = spans.try_recv() {
            batch.push(span);
            if batch.len() == SPANS {
                self.send_spans(&mut batch, &mut ending).await;
            }
        }
        self.send_spans(&mut batch, &mut ending).await;
    }

    /// Waits for more spans of a request.
    async fn gather(
        &self,
        spans: &mut mpsc::Receiver<Message>,
        batch: &mut Vec<Message>,
        ending: &mut watch::Receiver<bool>,
    ) {
        let more = async {
            while batch.len() < SPANS {
                let Some(span) = spans.recv().await else { return };
                batch.push(span);
            }
        };
        tokio::select! {
            () = more => {}
            () = sleep(GATHER) => {}
            _ = ending.wait_for(|is_ending| *is_ending) => {}
        }
    }

    async fn send_spans(&self, batch: &mut Vec<Message>, ending: &mut watch::Receiver<bool>) {
        if batch.is_empty() {
            return;
        }
        let spans = batch.len();
        let body = self.body(|scope| batch.drain(..).for_each(|span| scope.bytes(2, &span.into_bytes())));
        if !self.send(Signal::Traces, body, ending).await {
            self.telemetry.lose(spans);
        }
    }

    /// Sends metrics at each interval, and at the end.
    pub(super) async fn metrics(self: Arc<Self>, metrics: Arc<Metrics>, mut ending: watch::Receiver<bool>) {
        let mut ticks = interval(self.telemetry.0.settings.interval.map_or(INTERVAL, |interval| interval.get()));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                _ = ending.wait_for(|is_ending| *is_ending) => true,
                _ = ticks.tick() => false,
            };
            let (metrics, began) = (metrics.clone(), self.began);
            // With many hooks it takes a while.
            let pieces = on_own_thread("metrics", move || metrics.otlp(began)).await.unwrap_or_default();
            for piece in pieces {
                let body = self.body(|scope| scope.append(&piece));
                self.send(Signal::Metrics, body, &mut ending).await;
            }
            if is_last {
                return;
            }
        }
    }

    /// A request: of the resource, with what this writes behind the scope.
    fn body(&self, write: impl FnOnce(&mut Message)) -> Bytes {
        let request = Message::of(|request| {
            request.message(1, |of_resource| {
                of_resource.bytes(1, self.resource.as_bytes());
                of_resource.message(2, |of_scope| {
                    of_scope.bytes(1, self.scope.as_bytes());
                    write(of_scope);
                });
            });
        });
        request.into_bytes().into()
    }

    /// Returns false if it was not taken, which the log says once until something is.
    async fn send(&self, signal: Signal, body: Bytes, ending: &mut watch::Receiver<bool>) -> bool {
        let mut wait = FIRST_WAIT;
        for attempt in 1..=TRIES {
            let error = match self.collector.send(signal, body.clone()).await {
                Ok(()) => {
                    if self.trouble(signal).swap(false, Ordering::Relaxed) {
                        tracing::info!(signal = signal.path(), "the collector takes telemetry again");
                    }
                    return true;
                }
                Err(error) => error,
            };
            if !self.trouble(signal).swap(true, Ordering::Relaxed) {
                let what = "telemetry was not sent to the collector: what is not taken in a while is lost and counted";
                tracing::warn!(signal = signal.path(), %error, "{what}");
            }
            if !error.again || attempt == TRIES || *ending.borrow() {
                break;
            }
            let wait_now = error.after.unwrap_or_default().max(wait).min(LONGEST_WAIT);
            tokio::select! {
                () = sleep(wait_now) => {}
                // Once more at the end.
                _ = ending.wait_for(|is_ending| *is_ending) => {}
            }
            wait *= 2;
        }
        false
    }

    fn trouble(&self, signal: Signal) -> &AtomicBool {
        &self.in_trouble[signal as usize]
    }
}
