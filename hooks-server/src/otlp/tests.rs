//! Which spans are made, and what they say. `cargo xtask integration telemetry` has them read by others.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hooks_bus::MemoryBus;
use hooks_core::sink::{Batch, Delivered, DeliveryError, SinkContext, SinkFactory};
use hooks_core::{BoxError, Bus as _, Dispatcher, Envelope, Hook, Sink, async_trait};
use http::StatusCode;

use super::{PublishRequest, QUEUE, Telemetry, TelemetrySettings};

/// Delivers nothing, or refuses it with this.
#[derive(Debug, Clone)]
struct Nowhere(Option<&'static str>);

impl SinkFactory for Nowhere {
    fn kind(&self) -> &'static str {
        "nowhere"
    }

    fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Sink for Nowhere {
    async fn deliver(&mut self, _: &Batch) -> Result<Delivered, DeliveryError> {
        self.0.map_or_else(|| Ok(Delivered::all()), |word| Err(DeliveryError::rejected(word.repeat(2_000))))
    }
}

fn telemetry(sample: f64) -> Telemetry {
    Telemetry::new(TelemetrySettings { sample, ..TelemetrySettings::default() })
}

fn spans(telemetry: &Telemetry) -> Vec<Vec<u8>> {
    let mut queued = telemetry.0.queued.lock();
    std::iter::from_fn(|| queued.as_mut()?.try_recv().ok()).map(super::Message::into_bytes).collect()
}

/// The spans of the attempts on an event.
async fn attempts(sink: Nowhere, sample: f64, event: &str) -> Vec<Vec<u8>> {
    let (bus, telemetry) = (Arc::new(MemoryBus::default()), telemetry(sample));
    let dispatcher = Dispatcher::new(bus.clone()).with_recorder(Arc::new(telemetry.clone()));
    dispatcher.add(Hook::new("a", sink).unwrap()).await.unwrap();
    bus.publish(Envelope::from_json(event.as_bytes()).unwrap().into()).await.unwrap();
    dispatcher.shutdown(None).await;
    spans(&telemetry)
}

fn has(span: &[u8], what: impl AsRef<[u8]>) -> bool {
    span.windows(what.as_ref().len()).any(|part| part == what.as_ref())
}

#[tokio::test(start_paused = true)]
async fn a_single_event_of_which_nothing_is_sent_continues_its_trace() {
    let event = |flags: &str| {
        format!(r#"{{"type":"a","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}"}}"#)
    };
    let recorded = attempts(Nowhere(None), 0.0, &event("01")).await;
    let [span] = &recorded[..] else { panic!("{recorded:?}") };
    assert_eq!(span[..3], [10, 16, 0x0a], "the event's trace");
    assert!(has(span, [34, 8, 0xb7, 0xad, 0x6b]), "below the event's span");
    assert!(!has(span, [0x6a, 0x27]) && !has(span, "messaging.batch.message_count"));
    assert!(attempts(Nowhere(None), 1.0, &event("00")).await.is_empty(), "its trace is not recorded");
    assert!(attempts(Nowhere(None), 0.0, r#"{"type":"a"}"#).await.is_empty(), "none of those that begin here is");
}

#[tokio::test(start_paused = true)]
async fn a_long_reason_is_cut_between_characters() {
    let made = attempts(Nowhere(Some("wé")), 1.0, r#"{"type":"a"}"#).await;
    let [span] = &made[..] else { panic!("{made:?}") };
    assert!(has(span, ["wé".repeat(341).as_bytes(), b"w\x18\x02"].concat()), "{}", String::from_utf8_lossy(span));
}

fn request(status: u16) -> PublishRequest<'static> {
    PublishRequest {
        traceparent: None,
        tenant: None,
        began: SystemTime::UNIX_EPOCH,
        took: Duration::ZERO,
        status: StatusCode::from_u16(status).unwrap(),
        accepted: 2,
    }
}

#[test]
fn a_request_is_a_span_of_http() {
    let telemetry = telemetry(1.0);
    [202, 503].iter().for_each(|status| telemetry.published(&request(*status)));
    let made = spans(&telemetry);
    let [good, bad] = &made[..] else { panic!("{made:?}") };
    for span in [good, bad] {
        assert!(has(span, "url.path") && has(span, "url.scheme") && !has(span, "messaging."));
    }
    // A status of two bytes: an error, and nothing else.
    assert!(has(bad, "error.type\x12\x05\n\x03503") && has(bad, [0x7a, 2, 0x18, 2]));
    assert!(!has(good, "error.type") && !has(good, [0x7a, 2, 0x18, 2]));
}

#[test]
fn only_a_span_that_is_recorded_is_lost() {
    let (all, none) = (telemetry(1.0), telemetry(0.0));
    for _ in 0..QUEUE + 3 {
        all.published(&request(202));
        none.published(&request(202));
    }
    assert_eq!((all.lost(), none.lost()), (3, 0));
    // Full now, and the next one is not recorded: nothing is lost by it.
    all.published(&PublishRequest {
        traceparent: Some(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
        ..request(202)
    });
    assert_eq!(all.lost(), 3);
}

#[test]
fn an_instance_has_a_name_unless_it_is_given_one() {
    let mut settings = TelemetrySettings::default();
    assert_eq!(settings.resource("a")["service.instance.id"], "a");
    settings.resource.insert("service.instance.id".to_owned(), "b".to_owned());
    assert_eq!(settings.resource("a")["service.instance.id"], "b");
}
