//! PyPI's `opentelemetry-proto` reads the traces and metrics that the daemon sends.

use std::process::Command;

use serde_json::{Value as Json, json};

use super::bench::{Bench, Integration, write};
use super::server::{Running, Server, exchange, wait_until};
use crate::packages::{self, Package};
use crate::workspace::Done;

pub(super) const INTEGRATION: Integration = Integration {
    name: "telemetry",
    shows: "opentelemetry-proto (PyPI) reads the spans and metrics that are sent by OTLP",
    needs: &[Package { program: "python3", package: "python3" }, Package { program: "pip3", package: "python3-pip" }],
    run,
};

/// The traces of an event, and of the request that publishes it.
const OF_EVENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const OF_REQUEST: &str = "00-11111111111111111111111111111111-2222222222222222-01";

fn run(bench: &Bench) -> Done {
    let folder = bench.folder.path();
    write(&folder.join("collector.py"), include_str!("collector.py"))?;
    packages::pip(&folder.join("python"), &["opentelemetry-proto==1.45.2"])?;
    let mut python = Command::new("python3");
    python.current_dir(folder).env("PYTHONPATH", folder.join("python")).args(["collector.py", "seen"]);
    let mut running = Running::start(&mut python)?;
    let line = running.wait_for("ports ")?;
    let port = line.split_whitespace().nth(1).ok_or("no port")?;
    let server = Server::start(bench, &config(port))?;
    let event =
        |id: u32, more: &str| format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"a","data":1{more}}}"#);
    let traced = format!(r#","traceparent":"{OF_EVENT}""#);
    let events = format!("{}\n{}\n{}\n", event(1, ""), event(2, &traced), event(3, ""));
    let head = format!("content-type: application/x-ndjson\r\ntraceparent: {OF_REQUEST}\r\n");
    exchange(server.address, "POST", "/v1/events", &head, &events)?;
    wait_until("two attempts", || Ok((of_path(bench, "/hook")?.len() == 2).then_some(())))?;
    // What is left is sent at the end.
    server.stop()?;
    check_spans(bench)?;
    check_metrics(bench)
}

fn config(port: &str) -> String {
    format!(
        "[telemetry]\nendpoint = \"http://127.0.0.1:{port}\"\nheaders = {{ authorization = \"Bearer sesame\" }}\n\
         resource = {{ \"service.name\" = \"orders\" }}\n[[hooks]]\nid = \"billing\"\nretry.initial = \"10ms\"\n\
         sink = {{ kind = \"http\", url = \"http://127.0.0.1:{port}/hook\" }}\n"
    )
}

/// What came to a path.
fn of_path(bench: &Bench, path: &str) -> Result<Vec<Json>, String> {
    let text = std::fs::read_to_string(bench.path("seen")).unwrap_or_default();
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let seen = lines.map(|line| serde_json::from_str::<Json>(line).map_err(|error| format!("`{line}`: {error}")));
    let seen = seen.collect::<Result<Vec<_>, _>>()?;
    Ok(seen.into_iter().filter(|seen| seen["path"] == path).collect())
}

/// Everything below this name in requests to this path.
fn all(bench: &Bench, path: &str, outer: [&str; 3]) -> Result<Vec<Json>, String> {
    let mut found = Vec::new();
    for seen in of_path(bench, path)? {
        expect("a token", &seen["headers"]["authorization"], &json!("Bearer sesame"))?;
        for of_resource in seen["body"][outer[0]].as_array().into_iter().flatten() {
            expect(
                "the service",
                attribute(&of_resource["resource"], "service.name"),
                &json!({ "stringValue": "orders" }),
            )?;
            if attribute(&of_resource["resource"], "service.instance.id")["stringValue"].as_str().is_none() {
                return Err("the instance has no name".to_owned());
            }
            let scopes = of_resource[outer[1]].as_array().into_iter().flatten();
            found.extend(scopes.flat_map(|scope| scope[outer[2]].as_array().cloned().unwrap_or_default()));
        }
    }
    Ok(found)
}

fn attribute<'a>(of: &'a Json, key: &str) -> &'a Json {
    let pairs = of["attributes"].as_array().into_iter().flatten();
    pairs.into_iter().find(|pair| pair["key"] == key).map_or(&Json::Null, |pair| &pair["value"])
}

fn expect(what: &str, found: &Json, wanted: &Json) -> Done {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {found} instead of {wanted}")) }
}

fn check_spans(bench: &Bench) -> Done {
    let spans = all(bench, "/v1/traces", ["resourceSpans", "scopeSpans", "spans"])?;
    let named = |name: &str| spans.iter().filter(|span| span["name"] == name).collect::<Vec<_>>();
    let (published, sent) = (named("POST /v1/events"), named("send billing"));
    let ([published], [failed, delivered]) = (&published[..], &sent[..]) else {
        return Err(format!("not one request and two attempts: {spans:?}"));
    };
    expect("the request's trace", &published["traceId"], &json!(base64(&OF_REQUEST[3..35])))?;
    expect("its parent", &published["parentSpanId"], &json!(base64(&OF_REQUEST[36..52])))?;
    expect("its kind", &published["kind"], &json!("SPAN_KIND_SERVER"))?;
    expect("its events", attribute(published, "hooks.accepted"), &json!({ "intValue": "3" }))?;
    expect("its path", attribute(published, "url.path"), &json!({ "stringValue": "/v1/events" }))?;
    expect("the failure", &failed["status"]["code"], &json!("STATUS_CODE_ERROR"))?;
    expect("its status", attribute(failed, "http.response.status_code"), &json!({ "intValue": "500" }))?;
    expect("its class", attribute(failed, "error.type"), &json!({ "stringValue": "retry" }))?;
    expect("the success", &delivered["status"], &Json::Null)?;
    expect("its number", attribute(delivered, "hooks.attempt"), &json!({ "intValue": "2" }))?;
    expect("its kind", &delivered["kind"], &json!("SPAN_KIND_CLIENT"))?;
    for (span, request) in sent.iter().zip(of_path(bench, "/hook")?) {
        let header = request["headers"]["traceparent"].as_str().ok_or("no traceparent was sent")?;
        expect("the trace that was sent", &span["traceId"], &json!(base64(&header[3..35])))?;
        expect("the span that was sent", &span["spanId"], &json!(base64(&header[36..52])))?;
        expect("the link", &span["links"][0]["traceId"], &json!(base64(&OF_EVENT[3..35])))?;
        let times = ["startTimeUnixNano", "endTimeUnixNano"].map(|name| span[name].as_str().unwrap_or_default());
        if times[0] >= times[1] || times[0].len() != 19 {
            return Err(format!("it took no time: {span}"));
        }
    }
    Ok(())
}

fn check_metrics(bench: &Bench) -> Done {
    let metrics = all(bench, "/v1/metrics", ["resourceMetrics", "scopeMetrics", "metrics"])?;
    // The last of each name is that of the end.
    let last = |name: &str| metrics.iter().rfind(|metric| metric["name"] == name).unwrap_or(&Json::Null);
    let delivered = &last("hooks_events_delivered")["sum"];
    expect("delivered", &delivered["dataPoints"][0]["asInt"], &json!("3"))?;
    expect("monotonic", &delivered["isMonotonic"], &json!(true))?;
    expect("cumulative", &delivered["aggregationTemporality"], &json!("AGGREGATION_TEMPORALITY_CUMULATIVE"))?;
    expect("the hook", attribute(&delivered["dataPoints"][0], "hook"), &json!({ "stringValue": "billing" }))?;
    let took = &last("hooks_delivery_duration_seconds")["histogram"]["dataPoints"][0];
    expect("attempts", &took["count"], &json!("2"))?;
    let (counts, bounds) = (&took["bucketCounts"], &took["explicitBounds"]);
    let count = |list: &Json| list.as_array().map_or(0, Vec::len);
    expect("buckets", &json!(count(counts)), &json!(count(bounds) + 1))?;
    expect("healthy", &last("hooks_bus_healthy")["gauge"]["dataPoints"][0]["asInt"], &json!("1"))
}

/// As protobuf's JSON shows the bytes of a hexadecimal text.
fn base64(hex: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: String = hex.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| format!("{digit:04b}")).collect();
    let groups = bits.as_bytes().chunks(6).map(|bits| {
        let number = bits.iter().fold(0, |number, bit| number << 1 | usize::from(bit - b'0')) << (6 - bits.len());
        char::from(LETTERS[number])
    });
    let text: String = groups.collect();
    let padding = text.len().next_multiple_of(4) - text.len();
    text + &"=".repeat(padding)
}
