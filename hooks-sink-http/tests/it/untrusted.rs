//! Webhooks that strangers define.

use hooks_core::serde_json::{Map, Value as Json, json};
use hooks_core::{UntrustedLimits, schemars::SchemaGenerator, sink::SinkPlugin};

/// What strangers may set. An option belongs here only if it names no file, opens no address, switches no check off, and
/// makes no client of its own.
const SAFE: &[&str] = &[
    "answers",
    "basic.password",
    "basic.user",
    "bearer",
    "body",
    "compression",
    "headers",
    "hmac.header",
    "hmac.secret",
    "idempotency_key",
    "method",
    "mode",
    "oauth2.assertion_audience",
    "oauth2.client_auth",
    "oauth2.client_id",
    "oauth2.client_secret",
    "oauth2.key_id",
    "oauth2.parameters",
    "oauth2.private_key",
    "oauth2.scopes",
    "oauth2.token_url",
    "partial_answers",
    "secret",
    "tls.min_version",
    "traceparent",
    "url",
    "verify",
];

fn problems(table: Json, fixed: Json) -> Vec<(String, String)> {
    let fixed = fixed.as_object().cloned().unwrap_or_default();
    let parsed = SinkPlugin::find("http").unwrap().parse_untrusted(table, &fixed, &UntrustedLimits::default());
    parsed.err().into_iter().flatten().map(|problem| (problem.path, problem.message)).collect()
}

fn paths(table: Json) -> Vec<String> {
    problems(table, json!({})).into_iter().map(|(path, _)| path).collect()
}

#[test]
fn strangers_set_what_is_safe() {
    assert_eq!(SinkPlugin::find("http").unwrap().untrusted_options(), SAFE);
    let all = json!({
        "url": "https://example.com/", "headers": { "x-a": "b" }, "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "hmac": { "header": "x-signature", "secret": "s" }, "answers": { "409": "delivered" },
        "mode": "single", "body": "data", "method": "PUT", "compression": "gzip", "idempotency_key": true,
        "traceparent": false, "partial_answers": true, "tls": { "min_version": "1.3" },
    });
    assert_eq!(problems(all, json!({})), []);
    let asks =
        json!({ "url": "https://example.com/", "verify": "cloudevents", "basic": { "user": "me", "password": "p" } });
    assert_eq!(problems(asks, json!({ "origin": "events.example.com" })), []);
    let oauth2 = json!({
        "token_url": "https://as.example.com/", "client_id": "me", "client_secret": "s", "client_auth": "jwt",
        "key_id": "k", "assertion_audience": "as", "scopes": ["a"], "parameters": { "audience": "api" },
    });
    assert_eq!(problems(json!({ "url": "https://example.com/", "oauth2": oauth2 }), json!({})), []);
}

#[test]
fn the_documentation_lists_them() {
    let text = include_str!("../../../docs/configuration.md");
    let paragraph = text.split("\n\n").find(|paragraph| paragraph.starts_with("Others may set")).unwrap();
    let mut listed: Vec<_> = paragraph.split('`').skip(1).step_by(2).collect();
    listed.sort_unstable();
    assert_eq!(listed, SAFE);
}

/// Every option that is not in the list is refused, whatever its value.
#[test]
fn all_else_is_refused() {
    let mut generator = SchemaGenerator::default();
    let _ = SinkPlugin::find("http").unwrap().schema(&mut generator);
    let definitions = Json::Object(generator.take_definitions(true));
    let mut refused = 0;
    for name in definitions["HttpConfig"]["properties"].as_object().unwrap().keys() {
        if !SAFE.iter().any(|safe| safe.split('.').next() == Some(name)) {
            let mut table = json!({ "url": "https://example.com/" });
            table[name] = Json::Null;
            assert_eq!(paths(table), [name.as_str()]);
            refused += 1;
        }
    }
    for (table, definition) in
        [("tls", "Tls"), ("basic", "Basic"), ("hmac", "Hmac"), ("oauth2", "OAuth2"), ("body", "Template")]
    {
        for name in definitions[definition]["properties"].as_object().unwrap().keys() {
            let path = format!("{table}.{name}");
            if !SAFE.contains(&path.as_str()) {
                let paths = paths(json!({ "url": "https://example.com/", table: { name: "/etc/passwd" } }));
                assert!(paths.contains(&path), "{path}: {paths:?}");
                refused += 1;
            }
        }
    }
    assert!(refused >= 15, "{refused}");
}

#[test]
fn files_and_addresses_of_the_operator_stay_his() {
    let table = json!({
        "url": "https://example.com/", "bearer_file": "/etc/shadow", "secret_file": "/etc/shadow",
        "basic": { "user": "me", "password_file": "/etc/shadow" }, "hmac": { "header": "x", "secret_file": "/etc/shadow" },
        "tls": { "ca_file": "/x", "dangerously_accept_any_certificate": true },
        "guard": false, "allow_cidrs": ["127.0.0.1"], "proxy": "http://10.0.0.1:3128", "urll": 1,
    });
    let refused = [
        "allow_cidrs",
        "basic.password_file",
        "bearer_file",
        "guard",
        "hmac.secret_file",
        "proxy",
        "secret_file",
        "tls.ca_file",
        "tls.dangerously_accept_any_certificate",
        "urll",
    ];
    assert_eq!(paths(table), refused);
}

#[test]
fn the_guard_is_on_unless_the_operator_says_otherwise() {
    let here = || json!({ "url": "http://127.0.0.1/" });
    assert!(problems(here(), json!({}))[0].1.contains("the address guard refuses 127.0.0.1"));
    assert_eq!(problems(here(), json!({ "allow_cidrs": ["127.0.0.1"] })), []);
    assert_eq!(problems(here(), json!({ "guard": false })), []);
    let fixed = Map::new();
    let parsed = SinkPlugin::find("http").unwrap().parse_untrusted(
        json!({ "url": "https://name.example/" }),
        &fixed,
        &UntrustedLimits::default(),
    );
    assert!(format!("{:?}", parsed.unwrap()).contains("guard: true"));
}

#[test]
fn credentials_stand_where_they_are_kept_secret() {
    let problems = problems(json!({ "url": "https://me:open-sesame@example.com/" }), json!({}));
    assert_eq!(problems[0].0, "url");
    assert!(problems[0].1.contains("use `basic`") && !problems[0].1.contains("sesame"), "{problems:?}");
}

#[test]
fn headers_are_limited() {
    let many: Map<_, _> = (0..33).map(|number| (format!("x-{number}"), json!("v"))).collect();
    assert_eq!(paths(json!({ "url": "https://example.com/", "headers": many })), ["headers"]);
    let long = json!({ "url": "https://example.com/", "headers": { "x-long": "x".repeat(17_000) } });
    assert_eq!(paths(long), [""]);
    for name in ["host", "Transfer-Encoding", "connection", "webhook-id", "proxy-authorization", "Content-Length"] {
        let path = format!("headers.{name}");
        assert_eq!(paths(json!({ "url": "https://example.com/", "headers": { name: "x" } })), [path]);
    }
}
