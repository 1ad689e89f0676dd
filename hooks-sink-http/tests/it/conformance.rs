//! The conformance kit against a real receiver.

use std::sync::{Arc, Mutex};

use hooks_core::conformance::{self, Destination};
use hooks_core::{
    Envelope, RawValue, async_trait,
    sink::{FailureClass, SinkFactory},
};
use hooks_sink_http::{Compression, Encoding, HttpConfig};
use hooks_test::http::{Receiver, Seen, answer};
use http::Response;

use crate::SECRET;

/// The body that names the events that the receiver refuses.
#[derive(Debug, Clone, Copy)]
enum Refuses {
    /// 422 for the whole request.
    Request,
    /// 200, and each event by its id.
    Event,
}

struct Endpoint {
    receiver: Receiver,
    compression: Compression,
    state: Arc<Mutex<State>>,
}

struct State {
    refuses: Refuses,
    refused: Vec<String>,
    status: u16,
    received: Vec<String>,
}

impl Endpoint {
    async fn start(refuses: Refuses, compression: Compression) -> Self {
        let state = Arc::new(Mutex::new(State { refuses, refused: Vec::new(), status: 200, received: Vec::new() }));
        let shared = state.clone();
        let receiver = Receiver::start(move |seen| shared.lock().unwrap().take(seen)).await;
        Self { receiver, compression, state }
    }
}

impl State {
    fn take(&mut self, seen: &Seen) -> Response<String> {
        if self.status != 200 {
            return answer(self.status, "");
        }
        let encoding = seen.headers.get("content-encoding").map(|name| Encoding::of(name.to_str().unwrap()).unwrap());
        let unpacked = encoding.map(|encoding| encoding.decompress(&seen.body, 64 << 20).unwrap());
        let body = unpacked.as_ref().unwrap_or(&seen.body);
        let events: Vec<&RawValue> = hooks_core::serde_json::from_slice(body).unwrap();
        let id = |event: &RawValue| Envelope::from_json(event.get().as_bytes()).unwrap().id().to_owned();
        let (refused, taken): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|event| self.refused.contains(&id(event)));
        if !refused.is_empty() && matches!(self.refuses, Refuses::Request) {
            return answer(422, "not wanted");
        }
        self.received.extend(taken.iter().map(|event| event.get().to_owned()));
        let failures: Vec<_> =
            refused.iter().map(|event| hooks_core::serde_json::json!({ "itemIdentifier": id(event) })).collect();
        answer(200, &hooks_core::serde_json::json!({ "batchItemFailures": failures }).to_string())
    }
}

#[async_trait]
impl Destination for Endpoint {
    fn factory(&self) -> Arc<dyn SinkFactory> {
        let mut config = HttpConfig::new(self.receiver.url("/in?token=sesame")).secret(SECRET);
        config.compression = self.compression;
        Arc::new(config.header("x-api-key", "open"))
    }

    async fn received(&self) -> Vec<String> {
        self.state.lock().unwrap().received.clone()
    }

    async fn refuse(&self, id: &str) -> bool {
        self.state.lock().unwrap().refused.push(id.to_owned());
        true
    }

    async fn fail(&self, class: FailureClass) -> bool {
        self.state.lock().unwrap().status = match class {
            FailureClass::Retry => 500,
            FailureClass::Throttle => 429,
            FailureClass::Endpoint => 404,
            FailureClass::Rejected => 422,
            FailureClass::TooLarge => 413,
            FailureClass::Gone => 410,
            // No status says so.
            FailureClass::Unprocessed => return false,
        };
        true
    }

    async fn heal(&self) {
        self.state.lock().unwrap().status = 200;
    }

    fn secrets(&self) -> Vec<String> {
        [SECRET, "sesame", "open"].map(str::to_owned).to_vec()
    }
}

#[tokio::test]
async fn conforms_where_a_request_is_refused_as_a_whole() {
    let report = conformance::check(async || Endpoint::start(Refuses::Request, Compression::None).await).await;
    report.assert_passed();
    assert!(report.skipped().is_empty(), "{report}");
}

#[tokio::test]
async fn conforms_where_events_are_refused_by_name() {
    let report = conformance::check(async || Endpoint::start(Refuses::Event, Compression::None).await).await;
    report.assert_passed();
    assert!(report.skipped().is_empty(), "{report}");
}

#[tokio::test]
async fn conforms_with_compressed_bodies() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        conformance::check(async || Endpoint::start(Refuses::Event, compression).await).await.assert_passed();
    }
}
