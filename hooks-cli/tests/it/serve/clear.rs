//! What a customer, or whoever works for one, is told: what is wrong, all of it, and who can do something about it.

use serde_json::{Value as Json, json};

use super::{Answer, Daemon, MEMORY};

const API: &str = "[[api.tokens]]\nname = 'platform'\ntoken = 'operator'\nmay = ['read', 'manage']
[[api.tokens]]\nname = 'shop'\ntoken = 'acme'\nmay = ['read', 'manage']\ntenant = 'acme'
";

fn daemon() -> Daemon {
    Daemon::start(&format!("{MEMORY}{API}"))
}

fn ask(daemon: &Daemon, token: &str, method: &str, path: &str, body: &Json) -> Answer {
    let body = body.to_string();
    daemon.exchange(format!(
        "{method} {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// Pointers and reasons.
fn faults(answer: &Answer) -> Vec<(String, String)> {
    let problem: Json = serde_json::from_str(&answer.body).unwrap();
    let text = |fault: &Json, name: &str| fault[name].as_str().unwrap().to_owned();
    let faults = problem["faults"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
    faults.iter().map(|fault| (text(fault, "pointer"), text(fault, "reason"))).collect()
}

fn sink(more: &Json) -> Json {
    let mut sink = json!({ "kind": "http", "url": "https://example.com/" });
    sink.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    sink
}

#[test]
fn a_state_that_is_none_is_no_empty_list() {
    let daemon = daemon();
    let answer = ask(&daemon, "operator", "GET", "/v1/hooks?state=helathy", &Json::Null);
    assert_eq!(answer.status, 400);
    for part in
        ["state: `helathy` is no state", "did you mean `healthy`?", "healthy, backing_off, throttled, held, disabled"]
    {
        assert!(answer.body.contains(part), "{answer:?}");
    }
    assert_eq!(ask(&daemon, "operator", "GET", "/v1/hooks?state=backing_off", &Json::Null).status, 200);
}

#[test]
fn another_id_in_the_body_hides_no_other_fault() {
    let daemon = daemon();
    let body = json!({ "id": "b", "lanes": 0, "sink": sink(&json!({})) });
    for method in ["PUT", "PATCH"] {
        let answer = ask(&daemon, "operator", method, "/v1/hooks/a", &body);
        assert_eq!(answer.status, 422, "{answer:?}");
        let faults = faults(&answer);
        let of = |pointer: &str| faults.iter().find(|fault| fault.0 == pointer).map(|fault| fault.1.as_str());
        assert_eq!(of("/id"), Some("id: it is not `a`, as the path has it: leave it out"));
        assert!(of("/lanes").is_some() && faults.len() == 2, "{faults:?}");
        let sound = json!({ "id": "a", "sink": sink(&json!({})) });
        assert!(ask(&daemon, "operator", "PUT", "/v1/hooks/a", &sound).status < 300);
    }
}

#[test]
fn customers_are_told_what_is_the_operators_to_do() {
    let daemon = daemon();
    let refused = |sink: Json| {
        let answer = ask(&daemon, "acme", "PUT", "/v1/hooks/acme-a", &json!({ "sink": sink }));
        assert_eq!(answer.status, 422, "{answer:?}");
        let faults = faults(&answer);
        let [fault] = &faults[..] else { panic!("{faults:?}") };
        fault.clone()
    };
    let (pointer, reason) = refused(sink(&json!({ "verify": "cloudevents" })));
    assert_eq!(pointer, "/sink/origin");
    assert!(
        reason.ends_with("in the name of a sender. Only the operator can set it, for all hooks like this"),
        "{reason}"
    );
    let (_, reason) = refused(sink(&json!({ "url": "http://10.0.0.1/" })));
    assert!(reason.contains("the operator may open it by a range in allow_cidrs"), "{reason}");
    for sink in [json!({ "kind": "htttp" }), json!({ "url": "https://example.com/" })] {
        let (_, reason) = refused(sink);
        assert!(reason.contains("llowed here: `http`") && !reason.contains("inked"), "{reason}");
    }
}

#[test]
fn all_that_is_wrong_with_a_wanted_token_is_said_at_once() {
    let daemon = daemon();
    let wanted = |body: Json| ask(&daemon, "acme", "POST", "/v1/tokens", &body);
    let answer = wanted(json!({ "may": ["raed"], "tenant": "a b", "expires": "1h" }));
    let pointers: Vec<_> = faults(&answer).into_iter().map(|fault| fault.0).collect();
    assert_eq!((answer.status, pointers.len()), (400, 3), "{answer:?}");
    for pointer in ["/may/0", "/tenant", "/expires"] {
        assert!(pointers.iter().any(|found| found == pointer), "{pointers:?}");
    }
    let answer = wanted(json!({ "may": ["read", "publish"], "tenant": "other" }));
    let pointers: Vec<_> = faults(&answer).into_iter().map(|fault| fault.0).collect();
    assert_eq!((answer.status, pointers), (403, vec!["/may/1".to_owned(), "/tenant".to_owned()]));
    let answer = wanted(json!({ "may": [], "tenant": "other", "expires_in": "250ms" }));
    assert_eq!((answer.status, faults(&answer).len()), (400, 3), "{answer:?}");
    for expires_in in ["1s", "1500ms", "1h30m", "30d"] {
        assert_eq!(wanted(json!({ "may": ["read"], "expires_in": expires_in })).status, 200, "{expires_in}");
    }
}

#[test]
fn the_log_says_who_did_what_to_a_hook() {
    let mut daemon = daemon();
    let put = |daemon: &Daemon, token: &str, lanes: usize| {
        let body = json!({ "tenant": "acme", "lanes": lanes, "sink": sink(&json!({})) });
        let answer = ask(daemon, token, "PUT", "/v1/hooks/acme-a", &body);
        assert!(answer.status < 300, "{answer:?}");
        serde_json::from_str::<Json>(&answer.body).unwrap()["revision"].to_string()
    };
    let logged = |daemon: &mut Daemon, what: &str, parts: &[&str]| {
        let line = daemon.running.wait_for(what);
        for part in [&["hook=acme-a", "tenant=\"acme\""], parts].concat() {
            assert!(line.contains(part), "{part}: {line}");
        }
    };
    let revision = put(&daemon, "operator", 1);
    logged(&mut daemon, "the hook was defined over the API", &["by=\"platform\"", &format!("revision={revision}")]);
    let made = ask(&daemon, "acme", "POST", "/v1/tokens", &json!({ "may": ["manage", "read"] }));
    let token = serde_json::from_str::<Json>(&made.body).unwrap()["token"].as_str().unwrap().to_owned();
    let revision = put(&daemon, &token, 2);
    logged(&mut daemon, "the hook was changed over the API", &["by=\"shop\"", &format!("revision={revision}")]);
    // The same once more is no change.
    assert_eq!(put(&daemon, "operator", 2), revision);
    assert_eq!(ask(&daemon, "acme", "DELETE", "/v1/hooks/acme-a", &Json::Null).status, 200);
    logged(&mut daemon, "the hook was removed over the API", &["by=\"shop\"", &format!("revision={revision}")]);
    let log = daemon.stop().err;
    assert_eq!(log.matches("the hook was changed over the API").count(), 1, "{log}");
    assert!(!log.contains(&token), "{log}");
}
