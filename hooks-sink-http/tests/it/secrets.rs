//! Secrets stay secret.

use hooks_core::{
    Secret, Sink,
    sink::{SinkConfig, SinkPlugin},
};
use hooks_sink_http::{Basic, Endpoint, Hmac, HttpConfig};
use hooks_test::http::{Receiver, answer};
use serde_json::json;

use crate::{SECRET, batch, sink};

const SECRETS: [&str; 10] = [
    SECRET,
    "C2FVsBQIhrscChlQIMV",
    "header-sesame",
    "hmac-sesame",
    "password-sesame",
    "query-sesame",
    "bearer-sesame",
    "file-sesame",
    "proxy-sesame",
    // "me:file-sesame"
    "bWU6ZmlsZS1zZXNhbWU",
];

fn config(address: &str) -> HttpConfig {
    let url = format!("http://user:password-sesame@{address}/in?token=query-sesame");
    let mut config = HttpConfig::new(url).secret(SECRET).header("x-api-key", "header-sesame");
    config.hmac = Some(Box::new(Hmac::new("x-signature", "hmac-sesame")));
    config
}

fn assert_clean(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} can be read in {text}");
    }
}

#[tokio::test]
async fn the_secret_cannot_be_read_back() {
    // A receiver that echoes all that it got.
    let receiver =
        Receiver::start(|seen| answer(422, &format!("{} {:?}", seen.uri, seen.headers.get("x-api-key")))).await;
    let config = config(&receiver.address.to_string());
    assert_clean(&format!("{config:?} {config:#?}"));
    let mut sink = sink(&config);
    assert_clean(&format!("{sink:?}"));
    let error = sink.deliver(&batch(&["1"])).await.unwrap_err();
    let seen = receiver.only();
    assert!(seen.uri.to_string().contains("query-sesame") && seen.headers["x-api-key"] == "header-sesame");
    assert_clean(&format!("{} {error:?}", error.chain()));
    assert!(error.answer.unwrap().detail.contains("[secret]"));
}

#[tokio::test]
async fn credentials_cannot_be_read_back() {
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), "file-sesame").unwrap();
    // Echoes them as they came, and in clear.
    let receiver = Receiver::start(|seen| {
        let plain = "me:file-sesame bearer-sesame proxy-sesame";
        answer(401, &format!("{:?} {plain}", seen.headers))
    })
    .await;
    let url = receiver.url("/in?token=query-sesame");
    let mut bearer = HttpConfig::new(&url);
    bearer.bearer = Some(Secret::new("bearer-sesame"));
    let mut basic = HttpConfig::new(&url);
    basic.basic =
        Some(Box::new(Basic { user: "me".into(), password: None, password_file: Some(password.path().to_owned()) }));
    let mut proxied = HttpConfig::new("http://h.invalid/");
    proxied.proxy = Some(Endpoint::new(receiver.url("").replace("http://", "http://me:proxy-sesame@")));
    for (config, secret) in [(bearer, "bearer-sesame"), (basic, "file-sesame"), (proxied, "proxy-sesame")] {
        let mut sink = sink(&config);
        let error = sink.deliver(&batch(&["1"])).await.unwrap_err();
        let shown = format!("{config:?} {sink:?} {} {error:?}", error.chain());
        assert!(!shown.contains(secret), "{secret}: {shown}");
        assert!(shown.contains("[secret]"), "{shown}");
    }
    let mut nobody = HttpConfig::new("http://h.invalid/");
    nobody.proxy = Some(Endpoint::new("http://me:proxy-sesame@127.0.0.1:9"));
    let error = sink(&nobody).deliver(&batch(&["1"])).await.unwrap_err();
    assert_clean(&format!("{} {error:?}", error.chain()));
}

/// Of a Slack or Discord webhook, it is the path.
#[tokio::test]
async fn a_path_is_in_no_error() {
    let receiver = Receiver::start(|seen| answer(422, &format!("nothing is at {}", seen.uri))).await;
    let mut sink = sink(&HttpConfig::new(receiver.url("/services/T0/path-open-sesame")));
    let error = sink.deliver(&batch(&["1"])).await.unwrap_err();
    assert!(receiver.only().uri.path().ends_with("path-open-sesame"));
    let shown = format!("{sink:?} {} {error:?}", error.chain());
    assert!(!shown.contains("path-open-sesame") && shown.contains("nothing is at /[secret]"), "{shown}");
    assert!(error.doing.starts_with(&format!("POST {}: 422", receiver.url("/…"))), "{error}");
}

#[tokio::test]
async fn errors_without_an_answer_show_no_secret() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = sink(&config(&address)).deliver(&batch(&["1"])).await.unwrap_err();
    assert_clean(&format!("{} {error:?}", error.chain()));
}

#[tokio::test]
async fn a_refused_event_shows_no_secret() {
    let receiver = Receiver::start(|seen| {
        let key = seen.headers["x-api-key"].to_str().unwrap();
        answer(200, &json!({ "batchItemFailures": [{ "itemIdentifier": "1", "key": key }] }).to_string())
    })
    .await;
    let delivered = sink(&config(&receiver.address.to_string())).deliver(&batch(&["1"])).await.unwrap();
    assert_eq!(delivered.refused.len(), 1);
    assert_clean(&format!("{delivered:?}"));
}

#[test]
fn settings_that_are_refused_are_not_quoted() {
    let plugin = SinkPlugin::find("http").unwrap();
    let url = "https://user:password-sesame@h/?token=query-sesame";
    for table in [
        json!({ "url": format!("{url}#"), "secret": "header-sesame" }),
        json!({ "url": url.replace("https", "gopher") }),
        json!({ "url": format!("{url} ") }),
        json!({ "url": [url] }),
        json!({ "url": url, "secret": { "a": "header-sesame" } }),
        json!({ "url": url, "secret": ["header-sesame"] }),
        json!({ "url": url, "secret": format!("{SECRET}!") }),
        json!({ "url": url, "headers": { "a": "header-sesame\n" } }),
        json!({ "url": url, "headers": { "a": ["header-sesame"] } }),
        json!({ "url": url, "headers": { "authorization": "header-sesame" } }),
        json!({ "url": "http://h/", "bearer": "bearer-sesame\n" }),
        json!({ "url": "http://h/", "bearer": ["bearer-sesame"] }),
        json!({ "url": "http://h/", "bearer": "Bearer bearer-sesame" }),
        json!({ "url": "http://h/", "basic": { "user": "a:b", "password": "password-sesame\n" } }),
        json!({ "url": "http://h/", "proxy": "ftp://me:proxy-sesame@h/" }),
        json!({ "url": "http://h/", "proxy": "http://me:proxy-sesame@h/path" }),
        json!({ "url": url, "hmac": { "header": "a b", "secret": "hmac-sesame" } }),
        json!({ "url": url, "hmac": { "header": "a", "secret": ["hmac-sesame"] } }),
    ] {
        let problems = plugin.parse(table).unwrap_err();
        assert!(!problems.is_empty());
        assert_clean(&format!("{problems:?}"));
    }
}

#[test]
fn the_schema_marks_secrets() {
    let schema = serde_json::to_value(hooks_core::schemars::schema_for!(HttpConfig)).unwrap();
    assert_eq!(schema["properties"]["headers"]["additionalProperties"]["writeOnly"], true);
    assert_eq!(schema["$defs"]["Hmac"]["properties"]["secret"]["writeOnly"], true);
    let secret = schema["properties"]["secret"].to_string();
    assert_eq!(secret.matches(r#""writeOnly":true"#).count(), 2, "{secret}");
    assert_clean(&schema.to_string());
    assert_eq!(HttpConfig::KIND, "http");
}
