//! Requests as they are sent.

use std::time::{SystemTime, UNIX_EPOCH};

use hooks_core::{Envelope, RawValue, Sink, Slice, SliceBuilder, sink::Batch};
use hooks_sink_http::{Hmac, HttpConfig};
use hooks_test::http::{Receiver, Seen, answer};
use http::Method;
use standardwebhooks::Webhook;

use crate::{SECRET, batch, sink};

const OTHER_SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Real GitHub payloads as the examples have them.
fn real_events() -> Slice {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/github-events.ndjson");
    let mut slice = SliceBuilder::new("/test");
    for line in std::fs::read_to_string(file).unwrap().lines() {
        slice.push_json(line.as_bytes()).unwrap();
    }
    slice.finish()
}

#[tokio::test]
async fn the_body_is_the_events_byte_for_byte() {
    let receiver = Receiver::ok().await;
    let events = real_events();
    assert_eq!(events.len(), 329);
    let batch = Batch::for_test([events.clone()]);
    sink(&HttpConfig::new(receiver.url("/in?a=b"))).deliver(&batch).await.unwrap();

    let seen = receiver.only();
    assert_eq!((seen.method, seen.uri.to_string()), (Method::POST, "/in?a=b".to_owned()));
    assert_eq!(seen.headers["content-type"], "application/cloudevents-batch+json");
    assert_eq!(seen.headers["content-length"], seen.body.len().to_string());
    let received: Vec<&RawValue> = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(received.len(), events.len());
    for (received, event) in received.iter().zip(&events) {
        assert_eq!(received.get(), event.json());
        assert_eq!(Envelope::from_json(received.get().as_bytes()).unwrap().json(), event.json());
    }
}

#[tokio::test]
async fn a_verifier_that_we_did_not_write_accepts_the_signature() {
    let receiver = Receiver::ok().await;
    let batch = batch(&["1", "2"]);
    let before = SystemTime::now();
    sink(&HttpConfig::new(receiver.url("/")).secret(SECRET)).deliver(&batch).await.unwrap();

    let seen = receiver.only();
    let webhook = Webhook::new(SECRET).unwrap();
    webhook.verify(&seen.body, &seen.headers).unwrap();
    assert!(webhook.verify(b"[]", &seen.headers).is_err());
    assert!(Webhook::new(OTHER_SECRET).unwrap().verify(&seen.body, &seen.headers).is_err());
    assert_eq!(seen.headers["webhook-id"], batch.id().as_str());
    let sent: u64 = seen.headers["webhook-timestamp"].to_str().unwrap().parse().unwrap();
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!((seconds(before)..=seconds(SystemTime::now())).contains(&sent));
}

#[tokio::test]
async fn during_a_rotation_both_secrets_verify() {
    let receiver = Receiver::ok().await;
    let config = HttpConfig::new(receiver.url("/")).secret(SECRET).secret(OTHER_SECRET);
    sink(&config).deliver(&batch(&["1"])).await.unwrap();

    let seen = receiver.only();
    for secret in [SECRET, OTHER_SECRET] {
        Webhook::new(secret).unwrap().verify(&seen.body, &seen.headers).unwrap();
    }
    assert_eq!(seen.headers["webhook-signature"].to_str().unwrap().split(' ').count(), 2);
}

#[tokio::test]
async fn a_repeated_batch_is_the_same_but_for_its_signature() {
    let receiver = Receiver::start(|_| answer(503, "")).await;
    let mut sink = sink(&HttpConfig::new(receiver.url("/")).secret(SECRET));
    let batch = batch(&["1", "2"]);
    for _ in 0..2 {
        sink.deliver(&batch).await.unwrap_err();
    }
    let seen = receiver.seen();
    assert_eq!(seen[0].body, seen[1].body);
    assert_eq!(seen[0].headers["webhook-id"], seen[1].headers["webhook-id"]);
    for request in seen {
        Webhook::new(SECRET).unwrap().verify(&request.body, &request.headers).unwrap();
    }
}

#[tokio::test]
async fn configured_headers_and_the_plain_hmac_are_sent() {
    let receiver = Receiver::ok().await;
    let mut config =
        HttpConfig::new(receiver.url("/")).header("Authorization", "Bearer open-sesame").header("x-env", "");
    let hmac = Hmac::new("X-Hub-Signature-256", "key");
    config.hmac = Some(Box::new(hmac));
    sink(&config).deliver(&batch(&["1"])).await.unwrap();

    let Seen { headers, body, .. } = receiver.only();
    assert_eq!(headers["authorization"], "Bearer open-sesame");
    assert_eq!(headers["x-env"], "");
    assert_eq!(headers["user-agent"], concat!("hooks/", env!("CARGO_PKG_VERSION")));
    assert_eq!(headers["accept-encoding"], "identity");
    assert!(!headers.contains_key("webhook-signature"), "there is no secret for it");
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"key");
    let tag = headers["x-hub-signature-256"].to_str().unwrap().strip_prefix("sha256=").unwrap().to_owned();
    let tag: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&tag[2 * at..2 * at + 2], 16).unwrap()).collect();
    ring::hmac::verify(&key, &body, &tag).unwrap();
}

#[tokio::test]
async fn credentials_in_the_url_are_sent_as_basic_authentication() {
    let receiver = Receiver::ok().await;
    let url = format!("http://Aladdin:open%20sesame@{}/", receiver.address);
    sink(&HttpConfig::new(url)).deliver(&batch(&["1"])).await.unwrap();
    // The example of RFC 7617.
    assert_eq!(receiver.only().headers["authorization"], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
}
