//! PagerDuty, Splunk, Loki, and receivers of plain data.

use hooks_sink_http::Encoding;
use hooks_test::http::Seen;
use hooks_verify::plain_hmac;
use serde_json::Value as Json;

use super::{Answer, Example, github_events, json, length, need, of_type, refuses_others};

/// <https://developer.pagerduty.com/docs/events-api-v2/trigger-events/>
fn pagerduty(seen: &Seen) -> Answer {
    let invalid = r#"{"status":"invalid event","message":"Event object is invalid","errors":[]}"#;
    let event = json(seen, "/v2/enqueue", invalid)?;
    need(seen.body.len() <= 512 << 10, 413, "")?;
    need(length(&event["routing_key"]) == Some(32), 400, invalid)?;
    let action = event["event_action"].as_str();
    need(action.is_some_and(|action| ["trigger", "acknowledge", "resolve"].contains(&action)), 400, invalid)?;
    need(length(&event["dedup_key"]).is_none_or(|length| length <= 255), 400, invalid)?;
    if action == Some("trigger") {
        let payload = &event["payload"];
        need(length(&payload["summary"]).is_some_and(|length| (1..=1_024).contains(&length)), 400, invalid)?;
        need(length(&payload["source"]).is_some_and(|length| length > 0), 400, invalid)?;
        let severity = payload["severity"].as_str();
        need(severity.is_some_and(|one| ["critical", "error", "warning", "info"].contains(&one)), 400, invalid)?;
        need(payload["custom_details"].is_null() || payload["custom_details"].is_object(), 400, invalid)?;
        let time = payload["timestamp"].as_str();
        need(time.is_none_or(|time| time.parse::<jiff::Timestamp>().is_ok()), 400, invalid)?;
    }
    for link in event["links"].as_array().into_iter().flatten() {
        need(link["href"].is_string(), 400, invalid)?;
    }
    Ok((202, r#"{"status":"success","message":"Event processed","dedup_key":"x"}"#.to_owned()))
}

/// <https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector>
fn splunk(seen: &Seen) -> Answer {
    let code = |text: &str, code: u32| format!(r#"{{"text":"{text}","code":{code}}}"#);
    need(seen.method == http::Method::POST, 405, "")?;
    need(seen.path() == "/services/collector/event", 404, "")?;
    let authorization = seen.header("authorization").ok_or((401, code("Token is required", 2)))?;
    let token = authorization.strip_prefix("Splunk ").ok_or((401, code("Invalid authorization", 3)))?;
    need(token.len() == 36, 403, code("Invalid token", 4))?;
    need(!seen.body.is_empty(), 400, code("No data", 5))?;
    for event in serde_json::Deserializer::from_slice(&seen.body).into_iter::<Json>() {
        let event = event.map_err(|_| (400, code("Invalid data format", 6)))?;
        need(event.is_object(), 400, code("Invalid data format", 6))?;
        need(event.get("event").is_some(), 400, code("Event field is required", 12))?;
        need(!event["event"].is_null() && event["event"] != "", 400, code("Event field cannot be blank", 13))?;
        need(event["time"].is_null() || event["time"].is_number(), 400, code("Invalid data format", 6))?;
        let is_text = |name: &str| event[name].is_null() || event[name].is_string();
        need(["host", "source", "sourcetype", "index"].into_iter().all(is_text), 400, code("Invalid data format", 6))?;
    }
    Ok((200, code("Success", 0)))
}

fn unpacked(seen: &Seen) -> Result<Vec<u8>, (u16, String)> {
    match seen.header("content-encoding") {
        Some("gzip") => Encoding::Gzip.decompress(&seen.body, 64 << 20).map_err(|error| (400, error.to_string())),
        Some(other) => Err((415, other.to_owned())),
        None => Ok(seen.body.clone()),
    }
}

/// <https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs>, with several tenants.
fn loki(seen: &Seen) -> Answer {
    let seen = Seen { body: unpacked(seen)?, ..seen.clone() };
    need(seen.header("x-scope-orgid").is_some(), 401, "no org id")?;
    let push = json(&seen, "/loki/api/v1/push", "loghttp.PushRequest: expected {")?;
    let streams = push["streams"].as_array().ok_or((400, "streams".to_owned()))?;
    for stream in streams {
        let labels = stream["stream"].as_object().filter(|labels| (1..=15).contains(&labels.len()));
        for (name, value) in labels.ok_or((400, "error at least one label pair is required".to_owned()))? {
            let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            need(is_name(name) && !name.as_bytes()[0].is_ascii_digit() && value.is_string(), 400, "label")?;
        }
        let entries = stream["values"].as_array().filter(|entries| !entries.is_empty());
        for entry in entries.ok_or((400, "values".to_owned()))? {
            let nanos = entry[0].as_str().filter(|nanos| nanos.len() == 19);
            need(nanos.is_some_and(|nanos| nanos.parse::<i64>().is_ok()), 400, "time")?;
            need(entry[1].is_string(), 400, "line")?;
        }
    }
    Ok((204, String::new()))
}

/// A receiver that takes a job by PUT.
fn inventory(seen: &Seen) -> Answer {
    need(seen.method == http::Method::PUT, 405, "")?;
    need(seen.header("authorization") == Some("Bearer a-long-random-text"), 401, "")?;
    need(seen.header("content-type") == Some("application/json"), 415, "")?;
    let job: Json = serde_json::from_slice(&seen.body).map_err(|error| (400, error.to_string()))?;
    need(job["workflow_job"].is_object() && job["action"].is_string(), 422, "no job")?;
    Ok((204, String::new()))
}

/// <https://docs.github.com/webhooks/webhook-events-and-payloads#delivery-headers>
fn ci(seen: &Seen) -> Answer {
    let payload = json(seen, "/github", "no JSON")?;
    let signature = seen.header("x-hub-signature-256").ok_or((401, "not signed".to_owned()))?;
    let is_signed = plain_hmac("It's a Secret to Everybody", signature, &seen.body).is_ok();
    need(is_signed, 401, "signature")?;
    let name = seen.header("x-github-event").unwrap_or_default();
    need(!name.is_empty() && !name.contains('.'), 400, "name")?;
    need(seen.header("x-github-delivery").is_some(), 400, "delivery")?;
    need(payload.is_object(), 400, "no payload")?;
    Ok((202, String::new()))
}

#[test]
fn pagerduty_takes_what_the_example_sends() {
    let seen = Example::new("PagerDuty", pagerduty).delivered();
    let events: Vec<Json> = seen.iter().map(|seen| serde_json::from_slice(&seen.body).unwrap()).collect();
    let actions: Vec<_> = events.iter().map(|event| event["event_action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["trigger", "resolve"]);
    assert_eq!(events[0]["dedup_key"], events[1]["dedup_key"]);
    assert_eq!(events[0]["payload"]["custom_details"]["failed"][0]["name"], "Run yarn run format-check");
    refuses_others(pagerduty, &seen[0]);
}

#[test]
fn splunk_takes_what_the_example_sends() {
    let seen = Example::new("Splunk", splunk).delivered();
    let events: Vec<Json> = seen
        .iter()
        .flat_map(|seen| serde_json::Deserializer::from_slice(&seen.body).into_iter::<Json>().map(Result::unwrap))
        .collect();
    let sent = github_events();
    assert_eq!(events.len(), sent.lines().count());
    for (event, line) in events.iter().zip(sent.lines()) {
        let line: Json = serde_json::from_str(line).unwrap();
        assert_eq!((&event["event"], &event["source"], &event["sourcetype"]), (&line, &line["source"], &line["type"]));
        let time: jiff::Timestamp = line["time"].as_str().unwrap().parse().unwrap();
        assert_eq!(event["time"], time.as_second());
    }
    refuses_others(splunk, &seen[0]);
}

#[test]
fn loki_takes_what_the_example_sends() {
    let seen = Example::new("Grafana Loki", loki).delivered();
    let pushes = seen.iter().map(|seen| serde_json::from_slice::<Json>(&unpacked(seen).unwrap()).unwrap());
    let streams: Vec<Json> = pushes.flat_map(|push| push["streams"].as_array().unwrap().clone()).collect();
    let lines: Vec<_> = streams.iter().map(|stream| stream["values"][0][1].as_str().unwrap()).collect();
    let sent = github_events();
    assert_eq!(lines, sent.lines().collect::<Vec<_>>(), "byte for byte, in order");
    refuses_others(loki, &seen[0]);
}

#[test]
fn a_receiver_of_data_takes_what_the_example_sends() {
    let seen = Example::new("The data alone", inventory).delivered();
    let jobs = of_type("com.github.workflow_job.");
    assert_eq!(seen.len(), jobs.len());
    for (seen, job) in seen.iter().zip(&jobs) {
        assert_eq!(serde_json::from_slice::<Json>(&seen.body).unwrap(), job["data"]);
    }
    refuses_others(inventory, &seen[0]);
}

#[test]
fn a_receiver_of_githubs_webhooks_takes_what_the_example_sends() {
    let seen = Example::new("As GitHub does", ci).delivered();
    let sent = github_events();
    assert_eq!(seen.len(), sent.lines().count());
    for (seen, line) in seen.iter().zip(sent.lines()) {
        let event: Json = serde_json::from_str(line).unwrap();
        let name = event["type"].as_str().unwrap().split('.').nth(2);
        assert_eq!((seen.header("x-github-event"), seen.header("x-github-delivery")), (name, event["id"].as_str()));
    }
    refuses_others(ci, &seen[0]);
}
