//! `verify`: nothing is delivered until the receiver has granted it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hooks_core::Sink;
use hooks_core::sink::{DeliveryError, FailureClass, Shared, SinkConfig};
use hooks_sink_http::{HttpConfig, HttpSink, Verification};
use hooks_test::http::{Receiver, Seen};
use http::{Method, Response};
use tokio::io::AsyncWriteExt as _;

use crate::raw::{once, read_head};
use crate::{batch, context};

const ORIGIN: &str = "events.example.com";

fn config(url: impl Into<String>) -> HttpConfig {
    let mut config = HttpConfig::new(url).header("x-key", "open-sesame-1");
    (config.verify, config.origin) = (Some(Verification::CloudEvents), Some(ORIGIN.into()));
    assert_eq!(config.validate(), []);
    config
}

fn build(config: &HttpConfig, shared: &Arc<Shared>) -> HttpSink {
    config.build(&context(shared)).unwrap()
}

/// Grants with these headers.
async fn receiver(headers: &'static [(&'static str, &'static str)]) -> Receiver {
    Receiver::start(move |seen| if seen.method == Method::OPTIONS { answer(headers) } else { Response::default() })
        .await
}

fn answer(headers: &[(&str, &str)]) -> Response<String> {
    let mut response = Response::builder();
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(String::new()).unwrap()
}

const GRANTS: &[(&str, &str)] = &[("webhook-allowed-origin", ORIGIN), ("webhook-allowed-rate", "60")];

fn methods(receiver: &Receiver) -> Vec<String> {
    receiver.seen().iter().map(|seen| seen.method.to_string()).collect()
}

async fn refused(config: &HttpConfig) -> DeliveryError {
    build(config, &Arc::default()).deliver(&batch(&["1"])).await.unwrap_err()
}

#[tokio::test]
async fn a_receiver_is_asked_once_and_then_delivered_to() {
    let receiver = receiver(GRANTS).await;
    let (config, shared) = (config(receiver.url("/in?to=me")), Arc::default());
    let mut sink = build(&config, &shared);
    assert_eq!(sink.allowed_rate(), None);
    sink.deliver(&batch(&["1"])).await.unwrap();
    sink.deliver(&batch(&["2"])).await.unwrap();
    assert_eq!(methods(&receiver), ["OPTIONS", "POST", "POST"]);
    assert_eq!(sink.allowed_rate(), "60/m".parse().ok());
    let seen = receiver.seen();
    for Seen { uri, headers, .. } in &seen {
        assert_eq!(uri.to_string(), "/in?to=me");
        assert_eq!(
            (&headers["webhook-request-origin"], &headers["x-key"]),
            (&ORIGIN.parse().unwrap(), &"open-sesame-1".parse().unwrap())
        );
    }
    for name in ["content-type", "webhook-id", "webhook-signature", "webhook-request-callback"] {
        assert!(!seen[0].headers.contains_key(name), "{name}");
    }
    assert!(seen[0].body.is_empty());

    // The grant outlives the sinks, and is for this url alone.
    drop(sink);
    build(&config, &shared).deliver(&batch(&["3"])).await.unwrap();
    assert_eq!(methods(&receiver).len(), 4);
    build(&self::config(receiver.url("/in?to=you")), &shared).deliver(&batch(&["4"])).await.unwrap();
    assert_eq!(methods(&receiver)[4..], ["OPTIONS", "POST"]);
    build(&config, &Arc::default()).deliver(&batch(&["5"])).await.unwrap();
    assert_eq!(methods(&receiver)[6..], ["OPTIONS", "POST"], "after a restart it is asked again");
}

#[tokio::test]
async fn lanes_and_hooks_with_the_same_url_ask_once() {
    let receiver = receiver(&[("webhook-allowed-origin", "*")]).await;
    let (config, shared) = (config(receiver.url("/")), Arc::default());
    let mut sinks = [(); 4].map(|()| build(&config, &shared));
    let all = batch(&["1"]);
    let [one, two, three, four] = &mut sinks;
    let (one, two, three, four) =
        tokio::join!(one.deliver(&all), two.deliver(&all), three.deliver(&all), four.deliver(&all));
    assert!(one.is_ok() && two.is_ok() && three.is_ok() && four.is_ok());
    assert_eq!(methods(&receiver), ["OPTIONS", "POST", "POST", "POST", "POST"]);
    assert_eq!(sinks[0].allowed_rate(), None);
}

#[tokio::test]
async fn without_a_grant_nothing_is_delivered() {
    for (headers, why) in [
        (&[][..], "not granted: the answer has no webhook-allowed-origin (200)"),
        (&[("webhook-allowed-origin", "other.example")], "`other.example`, neither `events.example.com` nor `*` (200)"),
        (&[("webhook-allowed-origin", "*"), ("webhook-allowed-rate", "0")], "webhook-allowed-rate is `0`"),
        (&[("webhook-allowed-origin", "open-sesame-1")], "is `[secret]`"),
    ] {
        let receiver = receiver(headers).await;
        let error = refused(&config(receiver.url("/in?a=b"))).await;
        assert_eq!(error.class, FailureClass::Endpoint);
        assert!(error.doing.contains(why), "{error}");
        assert!(error.doing.starts_with(&format!("OPTIONS {}: not granted: ", receiver.url("/…"))), "{error}");
        assert_eq!(methods(&receiver), ["OPTIONS"]);
    }
}

/// Only the headers grant.
#[tokio::test]
async fn a_status_proves_nothing() {
    for status in [200, 204, 301, 404, 405, 410, 500] {
        let receiver = Receiver::start(move |_| {
            Response::builder().status(status).header("retry-after", "7").body(String::new()).unwrap()
        })
        .await;
        let error = refused(&config(receiver.url("/"))).await;
        assert_eq!((error.class, error.retry_after.map(|wait| wait.as_secs())), (FailureClass::Endpoint, Some(7)));
        assert!(error.doing.contains(&format!("({status})")), "{error}");
    }
    let granting = Receiver::start(|seen| match seen.method {
        Method::OPTIONS => {
            Response::builder().status(405).header("webhook-allowed-origin", "*").body(String::new()).unwrap()
        }
        _ => Response::default(),
    })
    .await;
    build(&config(granting.url("/")), &Arc::default()).deliver(&batch(&["1"])).await.unwrap();
}

#[tokio::test]
async fn a_receiver_may_grant_later() {
    let grants = Arc::new(AtomicBool::new(false));
    let asked = grants.clone();
    let receiver = Receiver::start(move |_| answer(if asked.load(Ordering::SeqCst) { GRANTS } else { &[] })).await;
    let mut sink = build(&config(receiver.url("/")), &Arc::default());
    for _ in 0..2 {
        sink.deliver(&batch(&["1"])).await.unwrap_err();
    }
    grants.store(true, Ordering::SeqCst);
    sink.deliver(&batch(&["1"])).await.unwrap();
    assert_eq!(methods(&receiver), ["OPTIONS", "OPTIONS", "OPTIONS", "POST"]);
}

#[tokio::test]
async fn a_receiver_that_hangs_has_granted_nothing() {
    let (asked, was_asked) = tokio::sync::oneshot::channel();
    let (address, task) = once(async |mut stream| {
        read_head(&mut stream).await;
        asked.send(()).unwrap();
        stream
    })
    .await;
    let mut sink = build(&config(format!("http://{address}/in")), &Arc::default());
    let batch = batch(&["1"]);
    tokio::select! {
        _ = sink.deliver(&batch) => panic!("it hangs"),
        _ = was_asked => {}
    }
    let error = sink.cut_short(&batch).unwrap().unwrap_err();
    assert_eq!(error.class, FailureClass::Endpoint);
    assert_eq!(error.doing, format!("OPTIONS http://{address}/…: not granted: no answer came in time"));
    drop(task);
}

/// What grants stands in the head.
#[tokio::test]
async fn an_answer_that_does_not_end_grants_all_the_same() {
    let (address, _task) = once(async |mut stream| {
        read_head(&mut stream).await;
        let head = "webhook-allowed-origin: *\r\nwebhook-allowed-rate: 9\r\ncontent-length: 9";
        stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\nx").as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let (config, shared) = (config(format!("http://{address}/")), Arc::default());
    let (mut sink, other) = (build(&config, &shared), build(&config, &shared));
    let batch = batch(&["1"]);
    let granted = async {
        while other.allowed_rate().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = sink.deliver(&batch) => panic!("it does not end"),
        () = granted => {}
    }
    let error = sink.cut_short(&batch).unwrap().unwrap_err();
    assert!(error.doing.ends_with("granted, but the answer did not end in time"), "{error}");
}

#[tokio::test]
async fn the_guard_and_a_dead_receiver_end_the_question_as_any_attempt() {
    let receiver = receiver(GRANTS).await;
    let mut guarded = config(format!("http://localhost:{}/", receiver.address.port()));
    guarded.guard = true;
    let error = refused(&guarded).await;
    assert_eq!(error.class, FailureClass::Endpoint);
    assert!(error.doing.contains("OPTIONS http://localhost") && error.doing.contains("not allowed"), "{error}");
    assert_eq!(methods(&receiver), [""; 0]);

    let nobody = config(receiver.url("/"));
    drop(receiver);
    let error = refused(&nobody).await;
    assert_eq!(error.class, FailureClass::Retry);
    assert!(error.doing.contains("can't connect"), "{error}");
}

#[test]
fn settings_that_contradict_each_other() {
    let problem = |origin: Option<&str>| {
        let mut config = HttpConfig::new("https://example.com/");
        (config.verify, config.origin) = (Some(Verification::CloudEvents), origin.map(Into::into));
        config.validate().into_iter().map(|problem| problem.path).collect::<Vec<_>>()
    };
    for wrong in [None, Some(""), Some("https://example.com"), Some("a b"), Some("a..b"), Some("h:1"), Some("é")] {
        assert_eq!(problem(wrong), ["origin"], "{wrong:?}");
    }
    assert_eq!(problem(Some("events.example.com")), [""; 0]);
}

/// Receivers may know the sender without being asked.
#[tokio::test]
async fn an_origin_alone_is_sent_and_asks_nothing() {
    let receiver = Receiver::ok().await;
    let mut config = config(receiver.url("/"));
    config.verify = None;
    build(&config, &Arc::default()).deliver(&batch(&["1"])).await.unwrap();
    assert_eq!(
        (receiver.only().method, receiver.only().header("webhook-request-origin")),
        (Method::POST, Some(ORIGIN))
    );
}

/// Whoever sees errors, a tenant say, must not grant in the receiver's place.
#[tokio::test]
async fn a_receiver_that_repeats_what_it_was_given_shows_it_to_nobody() {
    let receiver = Receiver::start(|seen| {
        let callback = seen.headers.get("webhook-request-callback").unwrap();
        let mut response = answer(&[]);
        response.headers_mut().insert("webhook-allowed-origin", callback.clone());
        response
    })
    .await;
    let context = context(&Arc::default());
    context.callbacks().set_address(Some("https://e.example/grants".to_owned()));
    let mut sink = config(receiver.url("/")).build(&context).unwrap();
    let error = sink.deliver(&batch(&["1"])).await.unwrap_err();
    assert!(error.doing.contains("`https://e.example/grants/[secret]`"), "{error}");
    assert!(error.doing.ends_with("(200); it waits for the receiver to call back"), "{error}");
}
