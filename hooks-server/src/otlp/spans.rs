//! Spans as OTLP has them (opentelemetry-proto 1.x, `trace.proto`), with the semantic conventions for messaging and HTTP.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hooks_core::sink::FailureClass;
use hooks_core::{Attempt, Phase, TenantId, Trigger};
use http::StatusCode;

use super::proto::{Message, Value};
use super::trace::Context;

/// Most events of a batch that are looked at for the traces that its span links to, as OpenTelemetry's own limit is.
const MOST_LINKS: usize = 128;

/// Most bytes of the reason of a failure.
const REASON: usize = 1_024;

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

/// The place of a span whose trace is recorded: its own, and the span above it.
#[derive(Debug)]
pub(super) struct Place {
    context: Context,
    parent: Option<Context>,
}

impl Place {
    /// Of the traces that begin here, so many are recorded, from 0 to 1; of others, those that say so.
    fn recorded(context: Context, parent: Option<Context>, share: f64) -> Option<Self> {
        let is_recorded = if parent.is_some() { context.is_sampled() } else { context.is_among(share) };
        is_recorded.then_some(Self { context, parent })
    }

    pub(super) fn of_attempt(attempt: &Attempt<'_>, share: f64) -> Option<Self> {
        let sent = attempt.exchange.traceparent.as_deref().and_then(Context::parse);
        let first = attempt.batch.lines().next().and_then(|event| Context::of_event(&event));
        // A single event's own trace is continued: by what was sent, or here if nothing was.
        let is_continued = |first: &Context| sent.map_or(attempt.batch.len() == 1, |sent| sent.trace == first.trace);
        let parent = first.filter(is_continued);
        Self::recorded(sent.unwrap_or_else(|| Context::below(parent.as_ref())), parent, share)
    }

    pub(super) fn of_publish(request: &PublishRequest<'_>, share: f64) -> Option<Self> {
        let parent = request.traceparent.and_then(Context::parse);
        Self::recorded(Context::below(parent.as_ref()), parent, share)
    }
}

/// The span of an attempt.
pub(super) fn of_attempt(attempt: &Attempt<'_>, place: &Place) -> Message {
    Message::of(|span| {
        let name = format!("{} {}", operation(attempt.trigger), attempt.hook.id);
        head(span, place, &name, CLIENT, (attempt.began, attempt.took));
        attempt_attributes(span, attempt);
        let links = attempt.batch.lines().take(MOST_LINKS).filter_map(|event| Context::of_event(&event));
        for link in links.filter(|link| place.parent != Some(*link)) {
            span.message(13, |message| {
                message.bytes(1, &link.trace);
                message.bytes(2, &link.span);
                message.fixed32(6, link.flags.into());
            });
        }
        match attempt.result {
            Ok(_) if attempt.class().is_none() => {}
            Ok(_) => failed(span, Some("the receiver refused every event")),
            Err(error) => failed(span, Some(&error.chain())),
        }
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
    if attempt.batch.len() > 1 {
        number("messaging.batch.message_count", attempt.batch.len() as u64);
    }
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

/// The span of a request to publish.
pub(super) fn of_publish(request: &PublishRequest<'_>, place: &Place) -> Message {
    Message::of(|span| {
        head(span, place, "POST /v1/events", SERVER, (request.began, request.took));
        let mut text = |key: &str, value: &str| span.attribute(9, key, Value::Text(value));
        text("http.request.method", "POST");
        text("http.route", "/v1/events");
        text("url.path", "/v1/events");
        text("url.scheme", "http");
        if let Some(tenant) = request.tenant {
            text("hooks.tenant", tenant.as_str());
        }
        if request.status.is_server_error() {
            text("error.type", request.status.as_str());
        }
        let mut number = |key: &str, value: u64| span.attribute(9, key, Value::Number(value));
        number("hooks.accepted", request.accepted as u64);
        number("http.response.status_code", request.status.as_u16().into());
        if request.status.is_server_error() {
            // The status says why.
            failed(span, None);
        }
    })
}

fn head(
    span: &mut Message,
    Place { context, parent }: &Place,
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

fn failed(span: &mut Message, why: Option<&str>) {
    span.message(15, |status| {
        if let Some(why) = why {
            status.text(2, &why[..why.floor_char_boundary(REASON)]);
        }
        status.number(3, ERROR);
    });
}

/// Nanoseconds since 1970.
pub(crate) fn nanos(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
