//! Options that change what is sent.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use hooks_core::{
    Envelope, RetryPolicy, Secret, Sink,
    sink::{Batch, FailureClass, SinkConfig},
};
use hooks_sink_http::{Basic, Compression, Encoding, Hmac, HttpConfig, Mode, Tls};
use hooks_test::http::{Receiver, Seen, answer};
use hooks_verify::{Signed, Verifier, plain_hmac};

use crate::{SECRET, batch, context, sink, sized_batch};

const OTHER_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PRIVATE: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

/// The request that arrives when one batch is delivered with these settings.
async fn sent(batch: &Batch, change: impl FnOnce(&mut HttpConfig)) -> Seen {
    let receiver = Receiver::ok().await;
    let mut config = HttpConfig::new(receiver.url("/in"));
    change(&mut config);
    assert_eq!(config.validate(), []);
    sink(&config).deliver(batch).await.unwrap();
    receiver.only()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn path(file: &tempfile::NamedTempFile) -> Option<PathBuf> {
    Some(file.path().to_owned())
}

fn verify(key: &str, seen: &Seen, body: &[u8]) -> bool {
    let signed = Signed::from_headers(&seen.headers).unwrap();
    Verifier::new([key]).unwrap().verify(&signed, body, SystemTime::now()).is_ok()
}

#[tokio::test]
async fn credentials() {
    // The example of RFC 7617.
    let password = Some(Secret::new("open sesame"));
    let basic = Basic { user: "Aladdin".into(), password, password_file: None };
    let seen = sent(&batch(&["1"]), |config| config.basic = Some(Box::new(basic))).await;
    assert_eq!(seen.headers["authorization"], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    let seen = sent(&batch(&["1"]), |config| config.bearer = Some(Secret::new("t0ken"))).await;
    assert_eq!(seen.headers["authorization"], "Bearer t0ken");
}

#[tokio::test]
async fn secrets_from_files() {
    let (password, token, key) = (file("open sesame\n"), file("t0ken"), file("key\r\n"));
    let secrets = file(&format!("{SECRET}\n\n  {OTHER_SECRET}\n"));
    let basic = Basic { user: "Aladdin".into(), password: None, password_file: path(&password) };
    let seen = sent(&batch(&["1"]), |config| config.basic = Some(Box::new(basic))).await;
    assert_eq!(seen.headers["authorization"], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    let seen = sent(&batch(&["1"]), |config| {
        config.bearer_file = path(&token);
        config.secret_file = path(&secrets);
        config.hmac = Some(Box::new(Hmac { header: "x-sig".into(), secret: None, secret_file: path(&key) }));
    })
    .await;
    assert_eq!(seen.headers["authorization"], "Bearer t0ken");
    assert!(verify(SECRET, &seen, &seen.body) && verify(OTHER_SECRET, &seen, &seen.body));
    plain_hmac("key", seen.headers["x-sig"].to_str().unwrap(), &seen.body).unwrap();
}

#[tokio::test]
async fn files_are_read_anew_by_the_next_sink() {
    let receiver = Receiver::ok().await;
    let secret = file(SECRET);
    let mut config = HttpConfig::new(receiver.url("/"));
    config.secret_file = path(&secret);
    sink(&config).deliver(&batch(&["1"])).await.unwrap();
    std::fs::write(secret.path(), OTHER_SECRET).unwrap();
    sink(&config).deliver(&batch(&["1"])).await.unwrap();
    let seen = receiver.seen();
    assert!(verify(SECRET, &seen[0], &seen[0].body) && verify(OTHER_SECRET, &seen[1], &seen[1].body));
}

#[test]
fn what_is_wrong_with_a_file_names_it() {
    let problem = |secret: &tempfile::NamedTempFile| {
        let mut config = HttpConfig::new("http://h/");
        config.secret_file = path(secret);
        assert_eq!(config.validate(), [], "no look at the disk");
        config.build(&context(&Arc::default())).unwrap_err().to_string()
    };
    for (text, part) in [("", "it is empty"), ("\n", "it is empty"), ("whsec_open-sesame", "24 to 64 bytes")] {
        let secret = file(text);
        let problem = problem(&secret);
        assert!(problem.starts_with(&format!("secret_file {}: ", secret.path().display())), "{problem}");
        assert!(problem.contains(part) && !problem.contains("sesame"), "{problem}");
    }
    let two = file(&format!("{SECRET}\nopen-sesame"));
    assert!(problem(&two).starts_with(&format!("secret_file {}: ", two.path().display())));
    let mut missing = HttpConfig::new("http://h/");
    missing.bearer_file = Some("/nonexistent/token".into());
    let error = missing.build(&context(&Arc::default())).unwrap_err().to_string();
    assert_eq!(error, "bearer_file /nonexistent/token: No such file or directory (os error 2)");
    let token = file("two words");
    missing.bearer_file = path(&token);
    let error = missing.build(&context(&Arc::default())).unwrap_err().to_string();
    assert_eq!(error, format!("bearer_file {}: expected a token, without `Bearer` before it", token.path().display()));
}

/// Looked at on reload, but no part of the settings: that they change makes no other receiver.
#[test]
fn the_authorities_of_the_system_are_read_where_they_are_asked_for() {
    let mut config = HttpConfig::new("https://h/");
    assert!(!SinkConfig::system_files(&config).is_empty() && SinkConfig::files(&config).is_empty());
    config.tls = Some(Box::new(Tls { dangerously_accept_any_certificate: true, ..Tls::default() }));
    for without in [config, HttpConfig::new("http://h/")] {
        assert!(SinkConfig::system_files(&without).is_empty());
    }
}

/// In a file or in the settings, whatever it is a secret of.
#[test]
fn a_byte_order_mark_is_named_wherever_it_stands() {
    let bom = |text: &str| format!("\u{feff}{text}");
    let (token, signing) = (bom("t0ken"), bom(SECRET));
    let inline = |change: &dyn Fn(&mut HttpConfig)| {
        let mut config = HttpConfig::new("https://h/");
        change(&mut config);
        config
    };
    let secret = Some(Secret::new(&token));
    let basic = Basic { user: "me".into(), password: secret.clone(), password_file: None };
    for config in [
        inline(&|config| config.bearer = secret.clone()),
        inline(&|config| *config = config.clone().secret(&signing)),
        inline(&|config| *config = config.clone().header("x-key", &token)),
        inline(&|config| config.basic = Some(Box::new(basic.clone()))),
        inline(&|config| config.hmac = Some(Box::new(Hmac::new("x-sig", &token)))),
    ] {
        let problems = config.validate();
        assert!(problems.len() == 1 && problems[0].message.contains("byte order mark"), "{problems:?}");
    }
    let (token, signing) = (file(&token), file(&signing));
    let pem = file(&bom("-----BEGIN CERTIFICATE-----"));
    let tls = |tls: Tls| HttpConfig { tls: Some(Box::new(tls)), ..HttpConfig::new("https://h/") };
    let hmac = Hmac { header: "x-sig".into(), secret: None, secret_file: path(&token) };
    for (config, setting) in [
        (inline(&|config| config.bearer_file = path(&token)), "bearer_file"),
        (inline(&|config| config.secret_file = path(&signing)), "secret_file"),
        (
            inline(&|config| {
                config.basic = Some(Box::new(Basic { password: None, password_file: path(&token), ..basic.clone() }));
            }),
            "basic.password_file",
        ),
        (inline(&|config| config.hmac = Some(Box::new(hmac.clone()))), "hmac.secret_file"),
        (tls(Tls { ca_file: path(&pem), ..Tls::default() }), "tls.ca_file"),
        (tls(Tls { cert_file: path(&pem), key_file: path(&pem), ..Tls::default() }), "tls.cert_file"),
    ] {
        let error = config.build(&context(&Arc::default())).unwrap_err().to_string();
        assert!(error.starts_with(setting) && error.contains("byte order mark"), "{error}");
    }
}

/// Settings that were built in code meet no config file's checks.
#[tokio::test]
async fn a_dispatcher_says_all_that_is_wrong_with_settings_built_in_code() {
    let dispatcher = hooks_core::Dispatcher::new(Arc::new(hooks_test::model::ModelBus::alone()));
    let hook = |sink| hooks_core::Hook::new("h", sink).unwrap();
    let wrong =
        || HttpConfig { max_response_bytes: hooks_core::ByteSize::new(1), ..HttpConfig::new("htp://x").secret("zzz") };
    dispatcher.add(hook(HttpConfig::new("http://127.0.0.1:9/"))).await.unwrap();
    let elsewhere = hooks_core::Hook::new("other", wrong()).unwrap();
    for error in [dispatcher.replace(hook(wrong())).await.unwrap_err(), dispatcher.add(elsewhere).await.unwrap_err()] {
        let hooks_core::DispatchError::Invalid { problems, .. } = error else { panic!("{error}") };
        let all = problems.join("\n");
        for part in ["sink `http`: url: `htp`", "sink `http`: secret: ", "sink `http`: max_response_bytes: "] {
            assert!(all.contains(part), "{part} in {all}");
        }
        assert!(problems.len() == 3 && !all.contains("zzz"), "{all}");
    }
    assert_eq!(dispatcher.status().len(), 1);
}

#[tokio::test]
async fn asymmetric_signatures() {
    let seen = sent(&batch(&["1"]), |config| *config = config.clone().secret(PRIVATE).secret(SECRET)).await;
    assert!(verify(PUBLIC, &seen, &seen.body) && verify(SECRET, &seen, &seen.body));
    assert!(!verify(PUBLIC, &seen, b"[]") && !verify(OTHER_SECRET, &seen, &seen.body));
}

#[tokio::test]
async fn compressed_bodies_are_signed_before() {
    let batch = sized_batch(&["1", "2", "3"], 10_000);
    let plain = sent(&batch, |_| {}).await;
    assert!(!plain.headers.contains_key("content-encoding"));
    for (compression, name) in [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")] {
        let seen = sent(&batch, |config| {
            *config = config.clone().secret(SECRET);
            config.compression = compression;
        })
        .await;
        assert_eq!(seen.headers["content-encoding"], name);
        assert!(seen.body.len() < plain.body.len() / 10, "{} bytes", seen.body.len());
        assert_eq!(seen.headers["content-length"], seen.body.len().to_string());
        let body = Encoding::of(name).unwrap().decompress(&seen.body, plain.body.len()).unwrap();
        assert_eq!(body, plain.body);
        assert!(verify(SECRET, &seen, &body) && !verify(SECRET, &seen, &seen.body));
    }
}

#[tokio::test]
async fn single_events() {
    let event =
        Envelope::from_json(br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":[1, 2]}"#).unwrap();
    let seen = sent(&Batch::for_test(vec![event.clone()]), |config| {
        *config = config.clone().secret(SECRET);
        config.mode = Mode::Single;
    })
    .await;
    assert_eq!(seen.headers["content-type"], "application/cloudevents+json");
    assert_eq!(seen.body, event.json().as_bytes());
    assert!(verify(SECRET, &seen, &seen.body));
}

#[tokio::test]
async fn single_events_travel_alone() {
    let mut config = HttpConfig::new("http://127.0.0.1:9/");
    config.mode = Mode::Single;
    let mut limits = config.batch_limits();
    assert_eq!((limits.max_events.get(), limits.max_age.get().is_zero()), (1, true));
    assert!(SinkConfig::problems(&config, &limits, &RetryPolicy::default()).is_empty());
    limits.max_events = limits.max_events.saturating_add(1);
    limits.max_age = hooks_core::HumanDuration::new(std::time::Duration::from_secs(1));
    let problems = SinkConfig::problems(&config, &limits, &RetryPolicy::default());
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["batch.max_events", "batch.max_age"], "{problems:?}");
    let hook = hooks_core::Hook::new("h", config.clone()).unwrap().batch(limits);
    assert!(hook.problems().iter().any(|problem| problem.path == "batch.max_events"));
    // From a batcher of somebody's own: it is split, not sent.
    let error = sink(&config).deliver(&batch(&["1", "2"])).await.unwrap_err();
    assert_eq!(error.class, FailureClass::Rejected, "{error}");
}

#[tokio::test]
async fn every_attempt_is_a_span_of_its_own() {
    let receiver = Receiver::start(|_| answer(503, "")).await;
    let mut sink = sink(&HttpConfig::new(receiver.url("/")));
    let batch = batch(&["1"]);
    for _ in 0..2 {
        sink.deliver(&batch).await.unwrap_err();
    }
    let parents: Vec<String> =
        receiver.seen().iter().map(|seen| seen.headers["traceparent"].to_str().unwrap().to_owned()).collect();
    let part = |which: usize, at: usize| parents[which].split('-').nth(at).unwrap();
    assert_eq!((part(0, 0), part(0, 3), part(0, 1).len(), part(0, 2).len()), ("00", "01", 32, 16), "{parents:?}");
    assert_eq!(part(0, 1), part(1, 1), "one trace");
    assert_ne!(part(0, 2), part(1, 2), "two spans");
}

#[tokio::test]
async fn a_single_events_trace_goes_on() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let json = format!(
        r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","traceparent":"{parent}","tracestate":"a=1"}}"#
    );
    let event = Batch::for_test(vec![Envelope::from_json(json.as_bytes()).unwrap()]);
    let seen = sent(&event, |config| config.mode = Mode::Single).await;
    let sent_parent = seen.headers["traceparent"].to_str().unwrap();
    assert!(sent_parent.starts_with(&parent[..36]) && sent_parent.ends_with("-00"), "{sent_parent}");
    assert_ne!(sent_parent, parent);
    assert_eq!(seen.headers["tracestate"], "a=1");
    let body = String::from_utf8(seen.body).unwrap();
    assert!(body.contains(parent), "the event keeps its own: {body}");
}

#[tokio::test]
async fn names_of_the_batch() {
    let batch = batch(&["1"]);
    let seen = sent(&batch, |_| {}).await;
    assert_eq!(seen.headers["user-agent"], concat!("hooks/", env!("CARGO_PKG_VERSION")));
    assert!(!seen.headers.contains_key("idempotency-key"));
    let seen = sent(&batch, |config| (config.idempotency_key, config.traceparent) = (true, false)).await;
    assert_eq!(seen.headers["idempotency-key"], batch.id().as_str());
    assert!(!seen.headers.contains_key("traceparent"));
}

#[tokio::test]
async fn a_proxy_gets_all_requests() {
    let proxy = Receiver::ok().await;
    let mut config = HttpConfig::new("http://receiver.invalid:8080/in?a=b");
    config.proxy = Some(hooks_sink_http::Endpoint::new(format!("http://me:open-sesame@{}", proxy.address)));
    // The guard does not judge the proxy, which the operator chose; and it says that it can't judge names.
    config.guard = true;
    assert_eq!(config.warnings().len(), 1);
    assert!(!format!("{config:?}").contains("sesame"));
    sink(&config).deliver(&batch(&["1"])).await.unwrap();
    let seen = proxy.only();
    assert_eq!(seen.uri.to_string(), "http://receiver.invalid:8080/in?a=b");
    assert_eq!(seen.headers["proxy-authorization"], "Basic bWU6b3Blbi1zZXNhbWU=");
    assert_eq!(seen.headers["host"], "receiver.invalid:8080");
}

#[test]
fn credentials_in_the_clear_are_warned_of() {
    let warns = |url: &str, bearer: Option<&str>| {
        let mut config = HttpConfig::new(url);
        config.bearer = bearer.map(Secret::new);
        assert_eq!(config.validate(), []);
        config.warnings().iter().any(|warning| warning.message.contains("in the clear"))
    };
    assert!(warns("http://example.com/", Some("t")) && warns("http://me:pass@10.0.0.1/", None));
    assert!(!warns("https://example.com/", Some("t")) && !warns("http://example.com/", None));
    assert!(!warns("http://localhost:8080/", Some("t")) && !warns("http://[::1]/", Some("t")));
    let config = HttpConfig::new("http://example.com/").header("Authorization", "x");
    assert_eq!(config.warnings().len(), 1);
}

#[tokio::test]
async fn the_guard_refuses_this_machine_unless_it_is_named() {
    let receiver = Receiver::ok().await;
    let mut config = HttpConfig::new(format!("http://localhost:{}/", receiver.address.port()));
    config.guard = true;
    let error = sink(&config).deliver(&batch(&["1"])).await.unwrap_err();
    assert_eq!(error.class, FailureClass::Endpoint, "{}", error.chain());
    assert!(error.chain().contains("not allowed: ") && error.chain().contains("allow_cidrs"), "{}", error.chain());
    assert!(receiver.seen().is_empty());
    config.allow_cidrs = vec!["127.0.0.0/8".parse().unwrap()];
    sink(&config).deliver(&batch(&["1"])).await.unwrap();
    let literal = HttpConfig { guard: true, ..HttpConfig::new(receiver.url("/")) };
    assert_eq!(literal.validate().len(), 1, "an address is judged when the file is read");
}
