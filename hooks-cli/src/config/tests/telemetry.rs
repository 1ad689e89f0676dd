//! `[telemetry]`, and the variables of OpenTelemetry.

use std::env::VarError;

use super::super::{Config, Variables, WithoutBus, parse};
use super::messages;

const HOOK: &str = "\n[[hooks]]\nid = 'a'\nsink = { kind = 'lenient' }";

#[test]
fn what_is_wrong_with_it() {
    for (text, expected) in [
        (
            "telemetry.endpoint = 'collector:4318'",
            "1:22: telemetry: endpoint: expected http://host:4318 or https://host",
        ),
        (
            "telemetry.endpoint = 'http://a:b@c'",
            "1:22: telemetry: endpoint: it holds a user or a password: set `headers`",
        ),
        ("telemetry.sample = 2.0", "1:20: telemetry: sample: expected a share of all traces, from 0 to 1"),
        ("telemetry.interval = '1ms'", "1:22: telemetry: interval: must be 1s or longer"),
        ("telemetry.timeout = '0s'", "1:21: telemetry: timeout: must be longer than 0s"),
        ("telemetry.headers = { 'a b' = 'c' }", "1:31: telemetry: headers.a b: that is no name of a header"),
        (
            "telemetry.headers.token = \"sesame\\n\"",
            "1:27: telemetry: headers.token: it has characters that no header can have",
        ),
        (
            "telemetry.headers.Content-Type = 'a'",
            "1:34: telemetry: headers.Content-Type: what is sent decides that: remove it",
        ),
        ("telemetry.trace = true", "1:11: telemetry: unknown field `trace`, did you mean `traces`?"),
    ] {
        assert_eq!(messages(&format!("{text}{HOOK}")), [expected], "{text}");
    }
    let nothing = messages(&format!("telemetry = {{ traces = false, metrics = false }}{HOOK}"));
    assert!(nothing.len() == 1 && nothing[0].contains("there is nothing to send"), "{nothing:?}");
}

fn read(section: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let of = |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let lookup = |name: &str| of(name).ok_or(VarError::NotPresent);
    let variables = Variables { config_dir: None, lookup: &lookup };
    let text = format!("{section}{HOOK}");
    parse(&text, "hooks.toml", WithoutBus::InProcess, &variables).map_err(|problems| problems.to_string())
}

#[test]
fn the_environment_says_what_the_file_leaves_out() {
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20sesame, x-tenant = a"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_METRIC_EXPORT_INTERVAL", ""),
        ("OTEL_SERVICE_NAME", "orders"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,region=eu"),
    ];
    let settings = read("[telemetry]", &environment).unwrap().telemetry.unwrap();
    assert_eq!(settings.endpoint.as_deref(), Some("http://collector:4318"));
    assert_eq!(
        (settings.headers["authorization"].expose(), settings.headers["x-tenant"].expose()),
        ("Bearer sesame", "a")
    );
    assert_eq!((settings.timeout.unwrap().to_string(), settings.interval), ("2s 500ms".to_owned(), None));
    assert_eq!((&*settings.resource["service.name"], &*settings.resource["region"]), ("orders", "eu"));
    let own = read("telemetry = { endpoint = 'http://b', resource = { region = 'us' } }", &environment).unwrap();
    let own = own.telemetry.unwrap();
    assert_eq!((own.endpoint.as_deref(), &*own.resource["region"]), (Some("http://b"), "us"));
    assert!(own.headers.is_empty(), "a token of another collector");
    assert_eq!(read("", &environment).unwrap().telemetry, None, "nothing is sent unless the file says so");
    let disabled = [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    assert_eq!(read("[telemetry]", &disabled).unwrap().telemetry, None);
    let speaks_grpc = read("telemetry.endpoint = 'http://b'", &disabled[1..]).unwrap().telemetry.unwrap();
    assert_eq!(speaks_grpc.endpoint.as_deref(), Some("http://b"), "to another collector");
    for (name, value, expected) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "is `grpc`: only `http/protobuf` is spoken here"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "expected a number of milliseconds"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "sesame", "expected `key=value`"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "token=sesame%0A", "headers.token: it has characters that no header can have"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1", "by the environment: interval: must be 1s or longer"),
    ] {
        let error = read("[telemetry]", &[(name, value)]).unwrap_err();
        assert!(error.contains(expected) && !error.contains("sesame"), "{name}: {error}");
    }
}
