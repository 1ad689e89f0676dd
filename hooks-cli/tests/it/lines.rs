//! Lines of events mean the same to a pipe and to the server.

use std::sync::Arc;

use axum::body::Body;
use hooks_bus::MemoryBus;
use hooks_cli::ndjson::Intake;
use hooks_core::{Dispatcher, foreign};
use hooks_server::Server;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use serde_json::Value;
use tower_service::Service as _;

/// The status and the body of the answer to these lines.
async fn post(lines: Vec<u8>) -> (StatusCode, Value) {
    let bus = Arc::new(MemoryBus::default());
    let server = Server::builder(bus.clone(), Arc::new(Dispatcher::new(bus))).build().unwrap();
    let request = Request::post("/v1/events").header("host", "a").header("content-type", "application/x-ndjson");
    let Ok(answer) = server.router().call(request.body(Body::from(lines)).unwrap()).await;
    let (head, body) = answer.into_parts();
    (head.status, serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap())
}

proptest! {
    #[test]
    fn posted_lines_are_those_of_a_pipe(
        lines in prop::collection::vec(prop::sample::select(vec![
            "{\"type\":\"a\"}", "{\"type\":\"b\",\"partitionkey\":7}\r", "", " \t", "{}", "x", "{\"type\":\"hooks.x\"}",
            "{\"type\":\"a\",\"id\":\"1\",\"id\":\"2\"}", "[", "\r", "{\"type\":\"\\u0000\"}", " {\"type\":\"c\"} ",
        ]), 0..15),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut body = lines.join("\n").into_bytes();
        if let (Some((at, byte)), false) = (damage, body.is_empty()) {
            let at = at.index(body.len());
            // What is no space in JSON is none of a line's either.
            body[at] = if byte == 0x0c { b'x' } else { byte };
        }
        prop_assume!(foreign::seems(&body).is_none());
        let mut intake = Intake::new("/test", 1 << 20);
        intake.push(&body);
        intake.finish();
        let piped = intake.take();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (status, answer) = runtime.block_on(post(body));
        if piped.malformed.is_empty() {
            prop_assert_eq!((status, &answer["accepted"]), (StatusCode::ACCEPTED, &piped.events().count().into()));
        } else {
            let lines = answer["faults"].as_array().unwrap().iter().map(|fault| fault["line"].as_u64().unwrap());
            let malformed: Vec<u64> = piped.malformed.iter().map(|malformed| malformed.line).collect();
            prop_assert_eq!((status, lines.collect::<Vec<_>>()), (StatusCode::BAD_REQUEST, malformed));
        }
    }
}
