//! The meaning of answers, through a real connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use hooks_core::{
    BatchLimits, Bus as _, Dispatcher, Hook, Sink, SliceBuilder,
    sink::{FailureClass, Unread},
};
use hooks_sink_http::HttpConfig;
use hooks_test::http::{Receiver, answer};
use hooks_test::model::ModelBus;
use http::Response;

use crate::{batch, sink};

#[tokio::test]
async fn every_final_status() {
    use FailureClass::*;
    let status = Arc::new(AtomicU16::new(0));
    let next = status.clone();
    let receiver = Receiver::start(move |_| answer(next.load(Ordering::SeqCst), "")).await;
    let mut sink = sink(&HttpConfig::new(receiver.url("/")));
    let document = include_str!("../../../docs/http.md");
    for code in 200..=599 {
        status.store(code, Ordering::SeqCst);
        let class = sink.deliver(&batch(&["1"])).await.err().map(|error| error.class);
        assert!(documented(document, code).contains(&class), "docs/http.md says otherwise of {code}");
        let expected = match code {
            200..=299 => None,
            410 => Some(Gone),
            400 | 415 | 422 => Some(Rejected),
            413 => Some(TooLarge),
            429 | 502 | 504 => Some(Throttle),
            408 | 425 | 500 | 503 | 506..=599 => Some(Retry),
            _ => Some(Endpoint),
        };
        assert_eq!(class, expected, "{code}");
    }
    assert_eq!(receiver.seen().len(), 400, "each was tried once");
}

/// The meaning of a status in the documentation's table: by the row that names it, else by the row of its
/// class, else by that of the others.
fn documented(document: &str, code: u16) -> &'static [Option<FailureClass>] {
    use FailureClass::*;
    let table = document.split("| answer | meaning |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows: Vec<(Vec<&str>, &str)> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "))
        .map(|(answers, meaning)| (answers.split(", ").collect(), meaning))
        .collect();
    let named = [code.to_string(), format!("{}xx", code / 100), format!("other {}xx", code / 100)];
    let row = named.iter().find_map(|name| rows.iter().find(|(answers, _)| answers.contains(&name.as_str())));
    match row.unwrap().1 {
        meaning if meaning.starts_with("delivered") => &[None],
        meaning if meaning.starts_with("rejected") => &[Some(Rejected), Some(TooLarge)],
        meaning if meaning.starts_with("the endpoint is wrong") => &[Some(Endpoint)],
        meaning if meaning.starts_with("tried again with backoff") => &[Some(Retry)],
        meaning if meaning.starts_with("tried again after") => &[Some(Throttle)],
        meaning if meaning.starts_with("the hook is disabled") => &[Some(Gone)],
        other => panic!("no test knows what this means: {other}"),
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for code in [301, 302, 303, 307, 308] {
        let receiver = Receiver::start(move |seen| match seen.uri.path() {
            "/old" => Response::builder().status(code).header("location", "/new").body(String::new()).unwrap(),
            _ => Response::default(),
        })
        .await;
        let error = sink(&HttpConfig::new(receiver.url("/old"))).deliver(&batch(&["1"])).await.unwrap_err();
        assert_eq!(error.class, FailureClass::Endpoint, "{code}");
        assert!(error.to_string().ends_with("(redirects are not followed)"), "{error}");
        assert_eq!(receiver.only().uri.path(), "/old", "the second address saw no request");
    }
    let unchanged = Receiver::start(|_| answer(304, "")).await;
    let error = sink(&HttpConfig::new(unchanged.url("/"))).deliver(&batch(&["1"])).await.unwrap_err();
    assert!(error.to_string().ends_with("304 Not Modified"), "{error}");
}

#[tokio::test]
async fn retry_after_comes_along() {
    let receiver = Receiver::start(|_| {
        Response::builder().status(429).header("retry-after", "30").body("slow down".to_owned()).unwrap()
    })
    .await;
    let error = sink(&HttpConfig::new(receiver.url("/in"))).deliver(&batch(&["1"])).await.unwrap_err();
    assert_eq!((error.class, error.retry_after), (FailureClass::Throttle, Some(Duration::from_secs(30))));
    assert_eq!(error.to_string(), format!("POST {}: 429 Too Many Requests", receiver.url("/…")));
    let answer = error.answer.unwrap();
    assert_eq!((&*answer.summary, &*answer.detail), ("429 Too Many Requests", "slow down"));
}

#[tokio::test]
async fn a_receiver_names_the_events_that_it_refuses() {
    let body = r#"{"batchItemFailures":[{"itemIdentifier":"3"},{"itemIdentifier":"1"}]}"#;
    let receiver = Receiver::start(|_| answer(200, body)).await;
    let delivered = sink(&HttpConfig::new(receiver.url("/"))).deliver(&batch(&["1", "2", "3"])).await.unwrap();
    let indexes: Vec<usize> = delivered.refused.iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes, [0, 2]);
    assert_eq!(delivered.answer.summary, "200 OK");
    assert_eq!(delivered.answer.detail, body);
}

#[tokio::test]
async fn an_identifier_of_no_event_is_unclear() {
    let receiver = Receiver::start(|_| answer(200, r#"{"batchItemFailures":[{"itemIdentifier":"x"}]}"#)).await;
    let delivered = sink(&HttpConfig::new(receiver.url("/"))).deliver(&batch(&["1", "2"])).await.unwrap();
    assert_eq!(delivered.odd.unwrap().unread, Unread::Refusals);
}

/// Ids are unique within their source only, and those of two that count meet in every batch.
#[tokio::test]
async fn of_events_with_the_same_id_the_refused_one_is_found() {
    let receiver = Receiver::start(|seen| {
        let events: Vec<serde_json::Value> = serde_json::from_slice(&seen.body).unwrap();
        let refused = events.iter().any(|event| event["source"] == "/a" && event["id"] == "2");
        answer(200, if refused { r#"{"batchItemFailures":[{"itemIdentifier":"2"}]}"# } else { "{}" })
    })
    .await;
    let mut slice = SliceBuilder::new("/test");
    for (source, id) in [("/a", 1), ("/b", 1), ("/a", 2), ("/b", 2), ("/a", 3), ("/b", 3)] {
        slice.push_json(format!(r#"{{"id":"{id}","source":"{source}","type":"t"}}"#).as_bytes()).unwrap();
    }
    let bus = Arc::new(ModelBus::alone());
    let dispatcher = Dispatcher::new(bus.clone());
    let batch = BatchLimits::immediate().max_events(6.try_into().unwrap());
    dispatcher.add(Hook::new("h", HttpConfig::new(receiver.url("/"))).unwrap().batch(batch)).await.unwrap();
    bus.publish(slice.finish()).await.unwrap();
    let counts = dispatcher.shutdown(None).await.hooks[0].counts;
    assert_eq!((counts.delivered, counts.dropped()), (5, 1));
    assert_eq!(receiver.seen().len(), 3, "all, and then each half");
}

/// Somebody published it twice: what is refused is refused each time, and the others have arrived.
#[tokio::test]
async fn an_event_that_is_in_the_batch_twice_is_refused_twice() {
    let receiver = Receiver::start(|_| answer(200, r#"{"batchItemFailures":[{"itemIdentifier":"x"}]}"#)).await;
    let delivered = sink(&HttpConfig::new(receiver.url("/"))).deliver(&batch(&["x", "1", "x"])).await.unwrap();
    assert_eq!(delivered.refused.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 2]);
}
