//! Spans as OTLP has them (opentelemetry-proto 1.x, `trace.proto`), with the semantic conventions for messaging and HTTP.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hooks_core::sink::FailureClass;
use hooks_core::{Attempt, Phase, TenantId, Trigger};
use http::StatusCode;

use super::proto::{Message, Value};
use super::trace::Context;

/// Most events of a batch whose traces its span links to, as OpenTelemetry's own limit is.
const MOST_LINKS: usize = 128;

const SERVER: u64 = 2;
const CLIENT: u64 = 3;
const ERROR: u64 = 2;

/// A request to publish that was answered.
#[derive(Debug)]
pub(crate) struct PublishRequest<'a> {
    pub(crate) traceparent: Option<&'a [u8]>,
    pub(crate) tenant: Option<&'a TenantId>,
    pub(crate) began: SystemTime,
    pub(crate) took: Duration,
    pub(crate) status: StatusCode,
    /// Number of events that the bus has.
    pub(crate) accepted: usize,
}

/// The span of an attempt, if its trace is recorded. Of those that begin here, so many are, from 0 to 1.
pub(super) fn of_attempt(attempt: &Attempt<'_>, share: f64) -> Option<Message> {
    let lines = attempt.batch.lines();
    let links: Vec<Context> = lines.filter_map(|event| Context::of_event(&event)).take(MOST_LINKS).collect();
    let sent = attempt.exchange.traceparent.as_deref().and_then(Context::parse);
    // A single event's own trace is continued.
    let parent = sent.and_then(|sent| links.iter().find(|link| link.trace == sent.trace));
    let context = sent.unwrap_or_else(|| Context::below(None));
    let is_recorded = if parent.is_some() { context.is_sampled() } else { context.is_among(share) };
    is_recorded.then(|| {
        Message::of(|span| {
            let name = format!("{} {}", operation(attempt.trigger), attempt.hook.id);
            head(span, (&context, parent), &name, CLIENT, (attempt.began, attempt.took));
            attempt_attributes(span, attempt);
            for link in links.iter().filter(|link| parent != Some(link)) {
                span.message(13, |message| {
                    message.bytes(1, &link.trace);
                    message.bytes(2, &link.span);
                    message.fixed32(6, link.flags.into());
                });
            }
            match attempt.result {
                Ok(_) if attempt.class().is_none() => {}
                Ok(_) => failed(span, "the receiver refused every event"),
                Err(error) => failed(span, &error.chain()),
            }
        })
    })
}

fn operation(trigger: Trigger) -> &'static str {
    if trigger == Trigger::Test { "test" } else { "send" }
}

fn attempt_attributes(span: &mut Message, attempt: &Attempt<'_>) {
    const FIELD: u32 = 9;
    let mut text = |key: &str, value: &str| span.attribute(FIELD, key, Value::Text(value));
    text("messaging.system", "hooks");
    text("messaging.operation.type", "send");
    text("messaging.operation.name", operation(attempt.trigger));
    text("messaging.destination.name", attempt.hook.id.as_str());
    text("hooks.batch.id", attempt.batch.id().as_str());
    text("hooks.trigger", attempt.trigger.name());
    if let Some(tenant) = attempt.hook.tenant() {
        text("hooks.tenant", tenant.as_str());
    }
    if let Some(class) = attempt.class() {
        text("error.type", FailureClass::name(class));
    }
    if let Some((address, port)) = attempt.exchange.address.as_deref().and_then(|address| address.rsplit_once(':')) {
        text("network.peer.address", address.trim_matches(['[', ']']));
        if let Ok(port) = port.parse() {
            span.attribute(FIELD, "network.peer.port", Value::Number(port));
        }
    }
    let mut number = |key: &str, value: u64| span.attribute(FIELD, key, Value::Number(value));
    number("messaging.batch.message_count", attempt.batch.len() as u64);
    number("hooks.attempt", attempt.number.into());
    if let Some(status) = attempt.exchange.status {
        number("http.response.status_code", status.into());
    }
    if let Some(first) = attempt.positions().next() {
        number("hooks.position", first.start().get());
    }
    for (phase, took) in attempt.exchange.phases.iter() {
        span.attribute(FIELD, phase_key(phase), Value::Real(took.as_secs_f64()));
    }
}

/// Seconds.
fn phase_key(phase: Phase) -> &'static str {
    match phase {
        Phase::Wait => "hooks.phase.wait",
        Phase::Resolve => "hooks.phase.resolve",
        Phase::Connect => "hooks.phase.connect",
        Phase::Tls => "hooks.phase.tls",
        Phase::FirstByte => "hooks.phase.first_byte",
        Phase::Body => "hooks.phase.body",
    }
}

/// The span of a request to publish, if its trace is recorded.
pub(super) fn of_publish(request: &PublishRequest<'_>, share: f64) -> Option<Message> {
    let parent = request.traceparent.and_then(Context::parse);
    let context = Context::below(parent.as_ref());
    let is_recorded = if parent.is_some() { context.is_sampled() } else { context.is_among(share) };
    is_recorded.then(|| {
        Message::of(|span| {
            head(span, (&context, parent.as_ref()), "POST /v1/events", SERVER, (request.began, request.took));
            let mut text = |key: &str, value: &str| span.attribute(9, key, Value::Text(value));
            text("messaging.system", "hooks");
            text("messaging.operation.type", "publish");
            text("messaging.operation.name", "publish");
            text("http.request.method", "POST");
            text("http.route", "/v1/events");
            if let Some(tenant) = request.tenant {
                text("hooks.tenant", tenant.as_str());
            }
            let mut number = |key: &str, value: u64| span.attribute(9, key, Value::Number(value));
            number("messaging.batch.message_count", request.accepted as u64);
            number("http.response.status_code", request.status.as_u16().into());
            if request.status.is_server_error() {
                failed(span, "");
            }
        })
    })
}

fn head(
    span: &mut Message,
    (context, parent): (&Context, Option<&Context>),
    name: &str,
    kind: u64,
    (began, took): (SystemTime, Duration),
) {
    span.bytes(1, &context.trace);
    span.bytes(2, &context.span);
    if let Some(parent) = parent {
        span.bytes(4, &parent.span);
    }
    span.text(5, name);
    span.number(6, kind);
    span.fixed64(7, nanos(began));
    span.fixed64(8, nanos(began + took));
    span.fixed32(16, context.flags.into());
}

fn failed(span: &mut Message, why: &str) {
    span.message(15, |status| {
        status.text(2, why);
        status.number(3, ERROR);
    });
}

/// Nanoseconds since 1970.
pub(crate) fn nanos(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
