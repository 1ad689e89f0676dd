//! The shapes of requests: methods, bodies, and headers that the events decide.

use hooks_core::sink::{Batch, FailureClass, SinkConfig as _};
use hooks_core::{Envelope, Sink as _};
use hooks_sink_http::{Body, Hmac, HttpConfig, Method, Mode, Template};
use hooks_test::http::{Receiver, Seen, answer};
use hooks_verify::plain_hmac;
use standardwebhooks::Webhook;

use crate::{SECRET, batch, sink};

fn event(more: &str) -> Envelope {
    let json =
        format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2026-11-23T10:00:00Z"{more}}}"#);
    Envelope::from_json(json.as_bytes()).unwrap()
}

/// The request that arrives when these events are delivered with these settings.
async fn sent(events: Vec<Envelope>, change: impl FnOnce(&mut HttpConfig)) -> Seen {
    let receiver = Receiver::ok().await;
    let mut config = HttpConfig::new(receiver.url("/in")).secret(SECRET);
    change(&mut config);
    assert_eq!(config.validate(), []);
    sink(&config).deliver(&Batch::for_test(events)).await.unwrap();
    let seen = receiver.only();
    Webhook::new(SECRET).unwrap().verify(&seen.body, &seen.headers).unwrap();
    seen
}

#[tokio::test]
async fn a_method_of_the_receivers_choice() {
    for (method, name) in [(Method::Post, "POST"), (Method::Put, "PUT"), (Method::Patch, "PATCH")] {
        let seen = sent(vec![event("")], |config| config.method = method).await;
        assert_eq!(seen.method, name);
    }
    let receiver = Receiver::start(|_| answer(503, "")).await;
    let mut config = HttpConfig::new(receiver.url("/in"));
    config.method = Method::Put;
    let error = sink(&config).deliver(&batch(&["1"])).await.unwrap_err();
    assert_eq!(error.doing, format!("PUT {}: 503 Service Unavailable", receiver.url("/…")));
}

#[tokio::test]
async fn one_event_in_binary_mode() {
    let more = r#","subject":"é 1%","datacontenttype":"text/xml","data":"<a/>","n":7"#;
    let seen = sent(vec![event(more)], |config| (config.mode, config.body) = (Mode::Single, Body::Binary)).await;
    assert_eq!(seen.body, b"<a/>");
    let expected = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
        ("ce-time", "2026-11-23T10:00:00Z"),
        ("ce-subject", "%C3%A9%201%25"),
        ("ce-n", "7"),
        ("content-type", "text/xml"),
    ];
    for (name, value) in expected {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    assert_eq!(seen.headers.keys().filter(|name| name.as_str().starts_with("ce-")).count(), 7);
}

#[tokio::test]
async fn an_events_trace_goes_on_in_every_shape() {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for body in [Body::CloudEvents, Body::Binary, Body::Data, Body::Ndjson] {
        let more = format!(r#","traceparent":"{trace}""#);
        let seen = sent(vec![event(&more)], |config| (config.mode, config.body) = (Mode::Single, body)).await;
        assert!(seen.header("traceparent").unwrap().starts_with(&trace[..36]), "{:?}", seen.headers);
    }
}

#[tokio::test]
async fn data_alone() {
    let seen = sent(vec![event(r#","data":{"n": 1.50}"#)], |config| {
        (config.mode, config.body) = (Mode::Single, Body::Data);
    })
    .await;
    assert_eq!((seen.text(), seen.header("content-type")), (r#"{"n": 1.50}"#, Some("application/json")));
    let none = sent(vec![event("")], |config| (config.mode, config.body) = (Mode::Single, Body::Data)).await;
    assert_eq!((none.text(), none.header("content-type")), ("", None));
    let events = vec![event(r#","data":{"n": 1.50}"#), event(r#","data":"x""#)];
    let seen = sent(events, |config| config.body = Body::Data).await;
    assert_eq!((seen.text(), seen.header("content-type")), (r#"[{"n": 1.50},"x"]"#, Some("application/json")));
}

#[tokio::test]
async fn an_event_a_line() {
    let (first, second) = (event(r#","data": [1]"#), event(r#","subject":"b""#));
    let expected = format!("{}\n{}\n", first.json(), second.json());
    let seen = sent(vec![first, second], |config| config.body = Body::Ndjson).await;
    assert_eq!((seen.text(), seen.header("content-type")), (&*expected, Some("application/x-ndjson")));
}

#[tokio::test]
async fn an_event_that_fits_no_request_is_refused_and_nothing_is_sent() {
    let receiver = Receiver::ok().await;
    let mut config = HttpConfig::new(receiver.url("/in"));
    (config.mode, config.body) = (Mode::Single, Body::Binary);
    let batch = Batch::for_test([event(r#","data_base64":"no base64""#)]);
    let error = sink(&config).deliver(&batch).await.unwrap_err();
    assert_eq!(error.class, FailureClass::Rejected);
    assert!(error.doing.starts_with(&format!("POST {}: not sent: `data_base64`: ", receiver.url("/…"))), "{error}");
    assert!(receiver.seen().is_empty());
}

/// Headers that are too long are those of the event, where it decides some.
#[tokio::test]
async fn headers_that_are_too_long_are_the_events_fault() {
    let receiver = Receiver::start(|_| answer(431, "")).await;
    let class = async |change: fn(&mut HttpConfig)| {
        let mut config = HttpConfig::new(receiver.url("/in"));
        config.mode = Mode::Single;
        change(&mut config);
        sink(&config).deliver(&Batch::for_test([event("")])).await.unwrap_err().class
    };
    assert_eq!(class(|_| ()).await, FailureClass::Endpoint);
    assert_eq!(class(|config| config.body = Body::Data).await, FailureClass::Endpoint);
    assert_eq!(class(|config| config.body = Body::Binary).await, FailureClass::Rejected);
}

fn templated(url: String) -> HttpConfig {
    let mut config = HttpConfig::new(url).secret(SECRET);
    config.mode = Mode::Single;
    config.body = Template::new(r#"{"text":"{{ event.data.name }}","by":"{{ hook }} {{ batch.id }}"}"#).into();
    config.header_templates = Some(Box::new([("X-Type".to_owned(), "{{ event.type }}".to_owned())].into()));
    config.hmac = Some(Box::new(Hmac::new("X-Hub-Signature-256", "key")));
    config
}

#[tokio::test]
async fn a_template_is_sent_the_same_at_every_attempt_and_signed_as_sent() {
    let receiver = Receiver::start(|_| answer(503, "")).await;
    let mut sink = sink(&templated(receiver.url("/in")));
    let batch = Batch::for_test([event(r#","data":{"name":"a \"b\""}"#)]);
    for _ in 0..2 {
        sink.deliver(&batch).await.unwrap_err();
    }
    let expected = format!(r#"{{"text":"a \"b\"","by":"test {}"}}"#, batch.id());
    for seen in receiver.seen() {
        assert_eq!((seen.text(), seen.header("content-type")), (&*expected, Some("application/json")));
        assert_eq!(seen.header("x-type"), Some("t"));
        Webhook::new(SECRET).unwrap().verify(&seen.body, &seen.headers).unwrap();
        plain_hmac("key", seen.header("x-hub-signature-256").unwrap(), &seen.body).unwrap();
    }
    // Another batch is another body.
    sink.deliver(&Batch::for_test([event(r#","data":{"name":"c"}"#)])).await.unwrap_err();
    assert!(receiver.seen()[2].text().contains(r#""text":"c""#));
}

#[tokio::test]
async fn a_template_that_fails_is_the_events_fault() {
    let receiver = Receiver::ok().await;
    let mut sink = sink(&templated(receiver.url("/in")));
    let error = sink.deliver(&Batch::for_test([event(r#","data":{}"#)])).await.unwrap_err();
    assert_eq!(error.class, FailureClass::Rejected);
    let why = "not sent: its template: line 1: `event.data.name` is undefined";
    assert_eq!(error.doing, format!("POST {}: {why}", receiver.url("/…")));
    assert!(receiver.seen().is_empty());
}

#[tokio::test]
async fn a_template_of_a_file_is_read_anew_by_the_next_sink() {
    let receiver = Receiver::ok().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |text: &str| std::fs::write(file.path(), text).unwrap();
    let mut config = HttpConfig::new(receiver.url("/"));
    config.body = Template { template_file: Some(file.path().to_owned()), template: None, ..Template::new("") }.into();
    assert_eq!(config.files(), [file.path()]);
    assert_eq!(config.validate(), [], "files are not looked at");
    for text in ["[1]\n", "[{{ events | length }}, 2]"] {
        write(text);
        assert_eq!(config.file_problems(), []);
        sink(&config).deliver(&batch(&["1"])).await.unwrap();
    }
    let bodies: Vec<_> = receiver.seen().iter().map(|seen| seen.text().to_owned()).collect();
    assert_eq!(bodies, ["[1]", "[1, 2]"]);
    write("[\n{{ event.type }}]");
    let problems = config.file_problems();
    assert_eq!(problems[0].path, format!("body.template_file {}", file.path().display()));
    assert!(problems[0].message.contains("`event` is there with mode"), "{problems:?}");
    let error = config.build(&crate::context(&std::sync::Arc::default())).unwrap_err().to_string();
    assert_eq!(error, problems[0].to_string());
    config.body = Template { template_file: Some("/no/such/file".into()), template: None, ..Template::new("") }.into();
    assert!(config.file_problems()[0].message.contains("/no/such/file"));
}

#[test]
fn a_preview_shows_what_would_be_sent_without_secrets() {
    let mut config = templated("http://h.example/in?token=t0p-secret".to_owned()).header("x-key", "open-sesame");
    config.values = Some(Box::new([("key".to_owned(), hooks_core::Secret::new("routing-key"))].into()));
    config.body = Template::new("{\n  \"key\": \"{{ values.key }}\",\n  \"text\": \"{{ event.data }}\"\n}").into();
    assert!(!format!("{config:?}").contains("routing-key"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let mut sink = sink(&config);
    let shown = sink.preview(&Batch::for_test([event(r#","data":"é""#)])).unwrap().unwrap();
    let (head, body) = shown.split_once("\n\n").unwrap();
    assert!(head.starts_with("POST http://h.example/in\n"), "{shown}");
    assert!(head.contains("x-type: t\n") && head.contains("x-key: [secret]\n"), "{shown}");
    assert_eq!(body, "{\n  \"key\": \"[secret]\",\n  \"text\": \"é\"\n}\n");
    assert!(!shown.contains("t0p-secret"), "{shown}");
    let unfit = Batch::for_test([event("")]);
    assert!(sink.preview(&unfit).unwrap().unwrap_err().doing.contains("`event.data` is undefined"));
    config.body = Body::Binary;
    config.values = None;
    config.header_templates = None;
    let bytes = Batch::for_test([event(r#","data_base64":"/w==""#)]);
    assert!(crate::sink(&config).preview(&bytes).unwrap().unwrap().ends_with("\n\n(1 bytes that are no text)\n"));
}
