//! Secrets stay secret.

use hooks_core::{Sink, SinkConfig, SinkPlugin};
use hooks_sink_http::{Hmac, HttpConfig};
use serde_json::json;

use crate::receiver::{Receiver, answer};
use crate::{SECRET, batch, sink};

const SECRETS: [&str; 6] =
    [SECRET, "C2FVsBQIhrscChlQIMV", "header-sesame", "hmac-sesame", "password-sesame", "query-sesame"];

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
