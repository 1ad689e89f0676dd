//! The notes of a test delivery.

use std::sync::Arc;
use std::time::Duration;

use hooks_core::{Dispatcher, Hook, HookId, HumanDuration, RetryPolicy, Secret, Sink, TestError};
use hooks_sink_http::{Endpoint, HttpConfig, HttpVersion, Tls};
use hooks_test::http::{Receiver, answer};
use hooks_test::model::ModelBus;
use http::Response;
use rcgen::ExtendedKeyUsagePurpose;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::raw::{once, read_head};
use crate::{SECRET, batch, sink};

/// Delivers a test event, and returns what was told of it, and whether it arrived.
async fn told(config: HttpConfig) -> (Vec<(String, String)>, bool) {
    told_within(Duration::from_secs(60), config).await
}

async fn told_within(limit: Duration, config: HttpConfig) -> (Vec<(String, String)>, bool) {
    let dispatcher = Dispatcher::new(Arc::new(ModelBus::alone()));
    let retry = RetryPolicy::default().attempt_timeout(HumanDuration::new(limit));
    dispatcher.add(Hook::new("test", config).unwrap().retry(retry)).await.unwrap();
    match dispatcher.test(&HookId::new("test").unwrap()).await {
        Ok(report) => (report.notes, true),
        Err(TestError::Failed { notes, .. }) => (notes, false),
        Err(error) => panic!("{error}"),
    }
}

fn note<'a>(notes: &'a [(String, String)], name: &str) -> &'a str {
    let found = notes.iter().find(|(known, _)| known == name);
    &found.unwrap_or_else(|| panic!("no {name} in {notes:#?}")).1
}

fn names(notes: &[(String, String)]) -> Vec<&str> {
    notes.iter().map(|(name, _)| name.as_str()).filter(|name| !name.starts_with(' ')).collect()
}

#[tokio::test]
async fn request_answer_and_phases() {
    let receiver = Receiver::start(|seen| {
        let echo = seen.headers["authorization"].clone();
        Response::builder().status(202).header("x-echo", echo).body("thanks".to_owned()).unwrap()
    })
    .await;
    let url = format!("http://localhost:{}/in?token=query-sesame", receiver.address.port());
    let mut config = HttpConfig::new(&url).secret(SECRET).header("x-key", "header-sesame");
    config.bearer = Some(Secret::new("bearer-sesame"));
    let (notes, arrived) = told(config).await;
    assert!(arrived);
    assert_eq!(names(&notes), ["request", "resolve", "connect", "first byte", "answer", "body", "total"]);
    assert_eq!(note(&notes, "request"), format!("POST http://localhost:{}/in", receiver.address.port()));
    assert_eq!(note(&notes, "  content-type"), "application/cloudevents-batch+json");
    assert_eq!(note(&notes, "  authorization"), "[secret]");
    assert_eq!(note(&notes, "  x-key"), "[secret]");
    assert_eq!(note(&notes, "  x-echo"), "[secret]");
    assert!(note(&notes, "  webhook-signature").starts_with("v1,"));
    assert!(note(&notes, "resolve").contains("127.0.0.1"), "{notes:?}");
    assert_eq!(note(&notes, "answer"), format!("HTTP/1.1 202 Accepted from {}", receiver.address));
    assert!(note(&notes, "body").ends_with("(6 bytes)"), "{notes:?}");
    assert!(!format!("{notes:?}").contains("sesame"), "{notes:?}");
    assert!(receiver.only().body.len() > 100);
}

#[tokio::test]
async fn advice_for_answers() {
    for (status, part) in [
        (401, "`bearer`"),
        (403, "rights"),
        (404, "path"),
        (302, "set `url`"),
        (415, "single"),
        (413, "max_bytes"),
        (410, "disables"),
        (429, "`rate_limit`"),
        (422, "test"),
        (503, "log"),
        (502, "proxy"),
    ] {
        let receiver = Receiver::start(move |_| {
            let location = "https://elsewhere.example/hooks?token=sesame";
            Response::builder().status(status).header("location", location).body(String::new()).unwrap()
        })
        .await;
        let (notes, _) = told(HttpConfig::new(receiver.url("/"))).await;
        let advice = note(&notes, "advice");
        assert!(advice.contains(part), "{status}: {advice}");
        assert_eq!(advice.contains("https://elsewhere.example/hooks"), status == 302, "{advice}");
        assert!(!advice.contains("sesame"), "{advice}");
    }
    let receiver = Receiver::start(|_| answer(200, "")).await;
    let (notes, _) = told(HttpConfig::new(receiver.url("/"))).await;
    assert!(!names(&notes).contains(&"advice"), "{notes:?}");
    assert_eq!(names(&notes)[1], "connect", "there is no name to resolve: {notes:?}");
}

#[tokio::test]
async fn advice_where_there_is_no_answer() {
    let nobody = HttpConfig::new("http://127.0.0.1:9/");
    let (notes, _) = told(nobody).await;
    assert!(note(&notes, "advice").contains("nothing listens"), "{notes:?}");
    assert!(note(&notes, "connect").ends_with("failed"), "{notes:?}");
    let (notes, _) = told(HttpConfig::new("http://nowhere.invalid/")).await;
    assert!(note(&notes, "advice").contains("no address"), "{notes:?}");
    assert!(note(&notes, "resolve").ends_with("failed"), "{notes:?}");
    let guarded = HttpConfig { guard: true, ..HttpConfig::new("http://localhost:9/") };
    let (notes, _) = told(guarded).await;
    assert!(note(&notes, "advice").contains("guard"), "{notes:?}");
    let receiver = Receiver::ok().await;
    let (notes, _) = told(HttpConfig::new(receiver.url("/").replace("http:", "https:"))).await;
    assert!(note(&notes, "advice").contains("does not speak TLS"), "{notes:?}");
}

#[tokio::test]
async fn advice_where_what_answers_is_something_else() {
    for (version, says, part) in [
        (HttpVersion::Http1, "\x15\x03\x01\x00\x02\x02\x0a and more of it", "`url`"),
        (HttpVersion::Http1, "", "https://"),
        (HttpVersion::Http2, "HTTP/1.1 400 Bad Request\r\n\r\n", "`http_version`"),
    ] {
        let (address, task) = once(async move |mut stream| {
            read_head(&mut stream).await;
            stream.write_all(says.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let (notes, _) =
            told(HttpConfig { http_version: version, ..HttpConfig::new(format!("http://{address}/")) }).await;
        assert!(note(&notes, "advice").contains(part), "{says}: {notes:?}");
        task.await.unwrap();
    }
}

#[tokio::test]
async fn what_never_ends_is_told_too() {
    let (address, task) = once(async |_held| std::future::pending::<()>().await).await;
    let (notes, arrived) = told_within(Duration::from_millis(500), HttpConfig::new(format!("http://{address}/"))).await;
    assert!(!arrived);
    assert_eq!(note(&notes, "first byte"), "begun, and not finished");
    assert!(note(&notes, "advice").contains("`retry.attempt_timeout`"), "{notes:?}");
    task.abort();
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_told_as_that() {
    let (address, task) = once(async |_held| std::future::pending::<()>().await).await;
    let mut config = HttpConfig::new(format!("https://{address}/"));
    config.connect_timeout = Some(HumanDuration::new(Duration::from_millis(500)));
    let (notes, arrived) = told(config.clone()).await;
    assert!(!arrived && note(&notes, "advice").contains("does it speak TLS at this port"), "{notes:?}");
    task.abort();
    let (address, task) = once(async |_held| std::future::pending::<()>().await).await;
    config.url = Endpoint::new(format!("https://{address}/"));
    let failed = sink(&config).deliver(&batch(&["1"])).await.unwrap_err().chain();
    assert!(failed.contains("can't connect with TLS within the connect timeout of 500ms"), "{failed}");
    task.abort();
}

#[tokio::test]
async fn certificates() {
    use crate::tls::{Authority, Identity};
    let authority = Authority::new("one");
    let told_by = async |receiver: &Receiver, ca_file| {
        let mut config = HttpConfig::new(format!("https://localhost:{}/", receiver.address.port()));
        config.tls = Some(Box::new(Tls { ca_file, ..Tls::default() }));
        told(config).await.0
    };
    let good = authority.receiver(&["localhost"]).await;
    let notes = told_by(&good, authority.path()).await;
    assert_eq!(names(&notes), ["request", "resolve", "connect", "TLS", "first byte", "answer", "body", "total"]);
    let notes = told_by(&good, None).await;
    assert!(note(&notes, "advice").contains("not trusted here: name the authority in `tls.ca_file`"), "{notes:?}");
    assert!(note(&notes, "TLS").ends_with("failed"), "{notes:?}");
    let elsewhere = authority.receiver(&["elsewhere"]).await;
    let notes = told_by(&elsewhere, authority.path()).await;
    assert!(note(&notes, "advice").contains("other names"), "{notes:?}");
    let expired = authority.issue(&["localhost"], |params| params.not_after = rcgen::date_time_ymd(2021, 1, 1));
    let notes = told_by(&expired.plain().await, authority.path()).await;
    assert!(note(&notes, "advice").contains("expired"), "{notes:?}");
    let clients = Authority::new("clients");
    let picky = authority.issue(&["localhost"], |_| {}).receiver(Some(&clients), &[&rustls::version::TLS12], &[]).await;
    let notes = told_by(&picky, authority.path()).await;
    assert!(note(&notes, "advice").contains("`tls.cert_file`"), "{notes:?}");
    let of_client = authority
        .issue(&["localhost"], |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let notes = told_by(&of_client.plain().await, authority.path()).await;
    assert!(note(&notes, "advice").contains("serverAuth"), "{notes:?}");
    let own = Identity::self_signed("localhost").plain().await;
    let notes = told_by(&own, None).await;
    assert!(note(&notes, "advice").contains("`tls.ca_file`"), "{notes:?}");
}

/// The error and the advice name a proxy's faults as the proxy's.
#[tokio::test]
async fn proxies() {
    for (answer, error, advice) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "answered 407", "write them into `proxy`"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "answered 403", "its rules for CONNECT"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "answered 502", "the proxy can't reach the receiver"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "answered nothing that is HTTP", "no HTTP proxy"),
    ] {
        let (address, task) = once(async move |mut stream| {
            crate::raw::read_head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let mut config = HttpConfig::new("https://receiver.example/");
        config.proxy = Some(Endpoint::new(format!("http://me:open-sesame@{address}")));
        let failed = sink(&config).deliver(&batch(&["1"])).await.unwrap_err().chain();
        assert!(failed.contains(&format!("the proxy http://{address}/ {error}")), "{failed}");
        assert!(!failed.contains("sesame"), "{failed}");
        task.await.unwrap();
        let (address, task) = once(async move |mut stream| {
            crate::raw::read_head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        config.proxy = Some(Endpoint::new(format!("http://{address}")));
        let (notes, _) = told(config).await;
        assert!(note(&notes, "advice").contains(advice), "{answer}: {notes:?}");
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_dead_proxy_is_named() {
    for url in ["https://receiver.example/", "http://receiver.example/"] {
        let mut config = HttpConfig::new(url);
        config.proxy = Some(Endpoint::new("http://127.0.0.1:9"));
        let failed = sink(&config).deliver(&batch(&["1"])).await.unwrap_err().chain();
        assert!(failed.contains("can't connect to the proxy http://127.0.0.1:9/: "), "{failed}");
        let (notes, _) = told(config.clone()).await;
        assert!(note(&notes, "advice").contains("host and port of `proxy`"), "{notes:?}");
        config.proxy = Some(Endpoint::new("http://nowhere.invalid:3128"));
        let (notes, _) = told(config).await;
        assert!(note(&notes, "advice").contains("check the host of `proxy`"), "{notes:?}");
    }
    // Where the proxy sees the request, it answers that.
    let receiver = Receiver::start(|_| answer(407, "")).await;
    let mut config = HttpConfig::new("http://receiver.example/");
    config.proxy = Some(Endpoint::new(receiver.url("")));
    let failed = sink(&config).deliver(&batch(&["1"])).await.unwrap_err().chain();
    assert!(failed.contains("407 Proxy Authentication Required (a proxy's answer, not the receiver's)"), "{failed}");
    let (notes, _) = told(config).await;
    assert!(note(&notes, "advice").contains("write them into `proxy`"), "{notes:?}");
}

#[tokio::test]
async fn a_template_that_fails_for_a_test_event_takes_one_of_ones_own() {
    let mut config = HttpConfig::new("http://h/");
    config.mode = hooks_sink_http::Mode::Single;
    config.body = hooks_sink_http::Template::new("{{ event.data.of_ours }}").into();
    let (notes, _) = told(config).await;
    assert!(note(&notes, "advice").contains("`hooks test --event FILE`"), "{notes:?}");
}
