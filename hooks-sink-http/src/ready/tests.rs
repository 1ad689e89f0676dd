//! Settings that are taken, and settings that are refused.

use crate::HttpConfig;
use hooks_core::sink::SinkPlugin;
use serde_json::{Value, json};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn parse(table: Value) -> Result<(), Vec<(String, String)>> {
    let parsed = SinkPlugin::find("http").unwrap().parse(table);
    parsed.map(drop).map_err(|problems| problems.into_iter().map(|one| (one.path, one.message)).collect())
}

#[test]
fn what_is_taken() {
    for table in [
        json!({ "url": "http://127.0.0.1:9/x" }),
        json!({ "url": "https://me:pass@example.com/?a=b", "secret": SECRET, "tls": {} }),
        json!({ "url": "https://example.com", "secret": [SECRET, SECRET], "tls": { "ca_file": "/ca.pem" } }),
        json!({ "url": "https://example.com", "headers": { "Authorization": "Bearer x", "X-Empty": "" } }),
        json!({ "url": "https://example.com", "hmac": { "header": "X-Hub-Signature-256", "secret": "s" } }),
        json!({ "url": "https://example.com", "max_response_bytes": "1KiB", "connect_timeout": "1ms" }),
    ] {
        assert_eq!(parse(table.clone()), Ok(()), "{table}");
    }
}

/// Each: settings besides the url, the path of the problem, and what its message says.
#[test]
fn what_is_refused() {
    for (more, path, part) in [
        (json!({ "headers": { "a": "x\r\ny" } }), "headers.a", "no line breaks"),
        (json!({ "headers": { "a": "x\ny" } }), "headers.a", "no line breaks"),
        (json!({ "headers": { "a": "x\0y" } }), "headers.a", "no NUL"),
        (json!({ "headers": { "a": "é" } }), "headers.a", "ASCII"),
        (json!({ "headers": { "a": " b" } }), "headers.a", "space"),
        (json!({ "headers": { "a b": "c" } }), "headers.a b", "not a legal header name"),
        (json!({ "headers": { "a\r\nb": "c" } }), "headers.a\r\nb", "not a legal header name"),
        (json!({ "headers": { "x-a": "1", "X-A": "2" } }), "headers.x-a", "twice"),
        (json!({ "headers": { "Content-Type": "text/plain" } }), "headers.Content-Type", "itself"),
        (json!({ "headers": { "content-length": "1" } }), "headers.content-length", "itself"),
        (json!({ "headers": { "Host": "other" } }), "headers.Host", "itself"),
        (json!({ "headers": { "Webhook-Id": "1" } }), "headers.Webhook-Id", "itself"),
        (json!({ "headers": { "webhook-anything": "1" } }), "headers.webhook-anything", "itself"),
        (json!({ "headers": { "a": 1 } }), "headers.a", "in quotes"),
        (json!({ "secret": "whsec_" }), "secret", "24 to 64 bytes"),
        (json!({ "secret": [SECRET, "short"] }), "secret[1]", "24 to 64 bytes"),
        (json!({ "secret": [] }), "secret", "empty list"),
        (json!({ "secret": 5 }), "secret", "in quotes"),
        (json!({ "secret": [SECRET, 5] }), "secret", "in quotes"),
        (json!({ "hmac": { "header": "a b", "secret": "s" } }), "hmac.header", "not a legal"),
        (json!({ "hmac": { "header": "webhook-signature", "secret": "s" } }), "hmac.header", "itself"),
        (json!({ "hmac": { "header": "X-A", "secret": "s" }, "headers": { "x-a": "1" } }), "hmac.header", "too"),
        (json!({ "hmac": { "header": "X-A", "secret": "" } }), "hmac.secret", "empty"),
        (json!({ "max_response_bytes": 0 }), "max_response_bytes", "at least 1KiB"),
        (json!({ "connect_timeout": "0s" }), "connect_timeout", "longer than 0s"),
        (json!({ "tls": { "ca_file": "ca.pem" } }), "tls.ca_file", "absolute"),
        (json!({ "tls": { "cert_file": "/c.pem" } }), "tls.key_file", "private key"),
        (json!({ "tls": { "key_file": "/k.pem" } }), "tls.cert_file", "certificate"),
        (json!({ "tls": { "cert_file": "c", "key_file": "/k" } }), "tls.cert_file", "absolute"),
        (json!({ "tls": { "min_version": "1.1" } }), "tls.min_version", "1.2"),
        (
            json!({ "tls": { "dangerously_accept_any_certificate": true, "ca_file": "/c" } }),
            "tls.ca_file",
            "one of them",
        ),
        (json!({ "secret": SECRET, "secret_file": "/s" }), "secret_file", "which of them"),
        (json!({ "secret_file": "s" }), "secret_file", "absolute"),
        (json!({ "bearer": "a", "bearer_file": "/s" }), "bearer_file", "which of them"),
        (json!({ "bearer": "Bearer a" }), "bearer", "without `Bearer`"),
        (json!({ "bearer": "" }), "bearer", "expected a token"),
        (json!({ "bearer": "a\nb" }), "bearer", "no line breaks"),
        (json!({ "basic": { "user": "a:b" } }), "basic.user", "colon"),
        (json!({ "basic": { "user": "a", "password": "b\n" } }), "basic.password", "control"),
        (json!({ "basic": { "user": "a", "password": "b", "password_file": "/p" } }), "basic.password_file", "which"),
        (json!({ "basic": { "user": "a" }, "bearer": "b" }), "bearer", "only one"),
        (json!({ "headers": { "Authorization": "x" }, "bearer": "b" }), "bearer", "only one"),
        (
            json!({ "headers": { "Idempotency-Key": "x" }, "idempotency_key": true }),
            "headers.idempotency-key",
            "remove",
        ),
        (json!({ "headers": { "traceparent": "x" } }), "headers.traceparent", "remove"),
        (json!({ "hmac": { "header": "X-A" } }), "hmac.secret", "missing"),
        (json!({ "hmac": { "header": "X-A", "secret": "a", "secret_file": "/a" } }), "hmac.secret_file", "which"),
        (json!({ "mode": "several" }), "mode", "batch"),
        (json!({ "compression": "br" }), "compression", "gzip"),
        (json!({ "http_version": "3" }), "http_version", "auto"),
        (json!({ "proxy": "socks5://h:1" }), "proxy", "not supported"),
        (json!({ "proxy": "http://h:1/path" }), "proxy", "no path"),
        (json!({ "allow_cidrs": ["10.0.0.0/8"] }), "allow_cidrs", "guard = true"),
        (json!({ "guard": true, "allow_cidrs": ["10.0.0.1/8"] }), "allow_cidrs[0]", "write 10.0.0.0/8"),
        (json!({ "connections": { "max_per_host": 0 } }), "connections.max_per_host", "nonzero"),
        (json!({ "connections": { "idle_timeout": "0s" } }), "connections.idle_timeout", "longer than 0s"),
        (json!({ "tls": { "insecure": true } }), "tls.insecure", "unknown field"),
        (json!({ "timeout": "5s" }), "timeout", "unknown field"),
        (json!({ "method": "GET" }), "method", "`POST`, `PUT`, `PATCH`"),
        (json!({ "body": "text" }), "body", "`cloudevents`, `binary`, `data`, `ndjson`"),
        (json!({ "body": 7 }), "body", "or a table with a `template`"),
        (json!({ "body": "binary" }), "body", "mode = \"single\""),
        (json!({ "body": "binary", "mode": "single", "headers": { "CE-id": "x" } }), "headers.CE-id", "metadata"),
        (json!({ "body": {} }), "body.template", "missing"),
        (json!({ "body": { "template": " " } }), "body.template", "empty"),
        (json!({ "body": { "template": "1", "template_file": "/t" } }), "body.template_file", "which of them"),
        (json!({ "body": { "template_file": "t" } }), "body.template_file", "absolute"),
        (json!({ "body": { "template": "1", "type": "json" } }), "body.type", "unknown field"),
        (json!({ "body": { "template": "1", "content_type": "json" } }), "body.content_type", "media type"),
        (json!({ "body": { "template": "1", "content_type": "a/b\n" } }), "body.content_type", "line breaks"),
        (json!({ "values": { "a": "b" } }), "values", "for templates"),
        (
            json!({ "verify": "cloudevents", "origin": "a.example", "method": "PUT" }),
            "method",
            "with `verify` the receiver grants POST",
        ),
    ] {
        let mut table = json!({ "url": "https://example.com" });
        table.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let problems = parse(table.clone()).expect_err(&table.to_string());
        assert_eq!(problems.len(), 1, "{table}: {problems:?}");
        assert_eq!(problems[0].0, path, "{problems:?}");
        assert!(problems[0].1.contains(part), "{problems:?}");
    }
}

#[cfg(feature = "templates")]
#[test]
fn templates_are_checked_before_any_event_comes() {
    let body = |template: &str| json!({ "body": { "template": template } });
    let header = |name: &str, template: &str| json!({ "header_templates": { name: template } });
    for (more, path, part) in [
        (body("{\n{{ events }\n}"), "body.template", "line 2 of the template: syntax error"),
        (body("{% include 'x' %}"), "body.template", "line 1 of the template: syntax error: unknown statement include"),
        (body("{{ events | nothing }}"), "body.template", "line 1 of the template: there is no filter `nothing`"),
        (body("{{ event.type }}"), "body.template", "`event` is there with mode = \"single\" alone"),
        (
            body("{{ evens }}"),
            "body.template",
            "there is no `evens`: a template has `events`, `hook`, `batch`, `values`",
        ),
        (body("{{ debug() }}"), "body.template", "there is no `debug`"),
        (body("{{ values.key }}"), "body.template", "`values` has no `key`"),
        (body("\u{fdd0}"), "body.template", "no character"),
        (header("x-a", "{{ }}"), "header_templates.x-a", "line 1 of the template: syntax error"),
        (header("Content-Type", "a"), "header_templates.Content-Type", "itself"),
        (header("a b", "a"), "header_templates.a b", "not a legal"),
        (header("traceparent", "a"), "header_templates.traceparent", "another setting"),
    ] {
        let mut table = json!({ "url": "https://example.com" });
        table.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let problems = parse(table.clone()).expect_err(&table.to_string());
        assert_eq!(problems.len(), 1, "{table}: {problems:?}");
        assert_eq!(problems[0].0, path, "{problems:?}");
        assert!(problems[0].1.contains(part), "{problems:?}");
    }
    let with = |more: Value| {
        let mut table = json!({ "url": "https://h", "header_templates": { "x-a": "{{ hook }}" } });
        table.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        parse(table)
    };
    assert_eq!(with(json!({ "values": { "key": "a" } })), Ok(()));
    assert_eq!(with(json!({ "values": { "a-b": "a" } })).unwrap_err()[0].0, "values.a-b");
    assert_eq!(with(json!({ "headers": { "X-A": "a" } })).unwrap_err()[0].0, "header_templates.x-a");
    let oauth2 = json!({ "token_url": "https://as.example/", "client_id": "me", "client_secret": "s" });
    let both = json!({ "oauth2": oauth2, "header_templates": { "Authorization": "a" } });
    assert_eq!(with(both).unwrap_err()[0].0, "header_templates.Authorization");
    let hmac = json!({ "hmac": { "header": "X-A", "secret": "a" } });
    assert_eq!(with(hmac).unwrap_err()[0].0, "header_templates.x-a");
}

/// What was a plain value before there were templates stays one.
#[test]
fn a_plain_header_is_no_template() {
    let table = json!({ "url": "https://h", "headers": { "x-a": "{{ event.nothing }} {%" } });
    assert_eq!(parse(table), Ok(()));
}

#[test]
fn settings_of_the_url_exclude_others() {
    let both = json!({ "url": "https://me:pass@h/", "headers": { "authorization": "Bearer x" } });
    assert_eq!(parse(both).unwrap_err()[0].0, "url");
    let plain = json!({ "url": "http://h/", "tls": { "ca_file": "/ca.pem" } });
    assert!(parse(plain).unwrap_err()[0].1.contains("use https://"));
    let asks = json!({ "url": "http://h/", "http_version": "auto" });
    assert_eq!(parse(asks).unwrap_err()[0].0, "http_version");
    let guarded = |url: &str| parse(json!({ "url": url, "guard": true, "allow_cidrs": ["10.0.0.0/8"] }));
    assert_eq!(guarded("http://10.1.2.3/"), Ok(()));
    assert!(guarded("http://0x7f.1/").unwrap_err()[0].1.contains("refuses 127.0.0.1"));
}

#[test]
fn everything_wrong_is_said_at_once() {
    let problems = parse(json!({ "url": "ftp://h", "secret": "x", "connect_timeout": "0s" })).unwrap_err();
    let paths: Vec<_> = problems.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["url", "secret", "connect_timeout"]);
}

#[cfg(feature = "config")]
#[test]
fn every_option_is_explained() {
    let schema = schemars::schema_for!(HttpConfig).to_value();
    let names = ["Hmac", "Basic", "OAuth2", "Tls", "Connections", "Template"];
    let tables: Vec<_> = std::iter::once(&schema).chain(names.map(|name| &schema["$defs"][name])).collect();
    let options = tables.into_iter().flat_map(|table| table["properties"].as_object().unwrap());
    let names = options.map(|(name, option)| {
        assert!(option["description"].is_string(), "{name} is not explained");
        name
    });
    assert_eq!(names.count(), 57);
}

#[test]
fn an_idle_hook_is_small() {
    assert!(size_of::<HttpConfig>() <= 400, "{} bytes for each of 100,000 hooks", size_of::<HttpConfig>());
}
