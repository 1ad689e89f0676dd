//! The document of the HTTP API, and answers that are as it says.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::managed::{LOOPBACK, TENANTS, as_tenant, ask, ask_with};
use super::{Client, Daemon, file_hook};

const OPERATIONS: [&str; 35] = [
    "delete /v1/hooks/{id}",
    "get /healthz",
    "get /metrics",
    "get /openapi.json",
    "get /readyz",
    "get /v1/attempts",
    "get /v1/events",
    "get /v1/events/{position}",
    "get /v1/events/{position}/attempts",
    "get /v1/events/{position}/outcomes",
    "get /v1/grants/{secret}",
    "get /v1/hooks",
    "get /v1/hooks/{id}",
    "get /v1/hooks/{id}/attempts",
    "get /v1/hooks/{id}/dead-letters",
    "get /v1/hooks/{id}/request",
    "get /v1/live",
    "get /v1/log",
    "get /v1/overview",
    "get /v1/status",
    "patch /v1/hooks/{id}",
    "post /v1/events",
    "post /v1/grants/{secret}",
    "post /v1/hooks/match",
    "post /v1/hooks/{id}/dead-letters/drop",
    "post /v1/hooks/{id}/dead-letters/replay",
    "post /v1/hooks/{id}/disable",
    "post /v1/hooks/{id}/enable",
    "post /v1/hooks/{id}/resend",
    "post /v1/hooks/{id}/rotate-secret",
    "post /v1/hooks/{id}/seek",
    "post /v1/hooks/{id}/test",
    "post /v1/secrets/rekey",
    "post /v1/tokens",
    "put /v1/hooks/{id}",
];

/// The operations of a document.
fn operations(document: &Json) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap();
    let operations = |(path, methods): (&String, &Json)| {
        let methods: Vec<_> = methods.as_object().unwrap().keys().map(|method| format!("{method} {path}")).collect();
        methods
    };
    paths.iter().flat_map(operations).collect()
}

#[test]
fn the_document_has_every_operation_and_each_is_there() {
    let daemon = Daemon::start(&format!("{TENANTS}{LOOPBACK}{}", file_hook("file")));
    let document = as_tenant(&daemon, "all", "GET", "/openapi.json", &Json::Null).json();
    assert_eq!((&document["openapi"], &document["security"]), (&json!("3.1.0"), &json!([{ "bearer": [] }])));
    assert_eq!(operations(&document), OPERATIONS.map(str::to_owned).into());
    for operation in OPERATIONS {
        let (method, path) = operation.split_once(' ').unwrap();
        let path = path.replace("{id}", "file");
        let answer = as_tenant(&daemon, "all", &method.to_uppercase(), &path, &json!([]));
        let is_nothing = answer.status == 404 && !path.contains("grants");
        assert!(!is_nothing && ![405, 500].contains(&answer.status), "{operation}: {answer:?}");
        let known = &document["paths"][operation.split_once(' ').unwrap().1][method]["responses"];
        assert!(known.get(answer.status.to_string()).is_some(), "{operation} answers {}: {known}", answer.status);
    }
    assert_eq!(ask(&daemon, "GET", "/openapi.json", &Json::Null).status, 401);
}

#[test]
fn the_operators_socket_has_a_document_of_what_it_answers() {
    let daemon = Daemon::start(&file_hook("file"));
    let open = ask(&daemon, "GET", "/openapi.json", &Json::Null).json();
    let mut operator = Client::operator(&daemon.place);
    operator.send("GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let document = operator.answer().json();
    assert!(open["security"].is_null() && document["security"].is_null(), "neither takes a token");
    let of_the_listener = ["/healthz", "/metrics", "/readyz", "post /v1/events", "/v1/grants/{secret}", "/v1/tokens"];
    let is_operators = |operation: &&str| !of_the_listener.iter().any(|path| operation.ends_with(path));
    let expected: BTreeSet<_> = OPERATIONS.into_iter().filter(is_operators).collect();
    assert_eq!(operations(&document), expected.into_iter().map(str::to_owned).collect());
    let schemas = [&open, &document].map(|document| document["components"]["schemas"]["HookDefinition"].clone());
    assert_eq!(schemas[0], schemas[1]);
}

/// What strangers may set: no files, no kind that is not allowed, nothing that the operator sets for all.
#[test]
fn a_definition_s_schema_is_what_is_taken() {
    let config = "[api.sink_options.http]\norigin = 'hooks.example'\ncompression = 'gzip'\n";
    let daemon = Daemon::start(config);
    let schemas =
        |daemon: &Daemon| ask(daemon, "GET", "/openapi.json", &Json::Null).json()["components"]["schemas"].take();
    let definition = schemas(&daemon)["HookDefinition"].take();
    assert_eq!((&definition["required"], &definition["additionalProperties"]), (&json!(["sink"]), &json!(false)));
    let options = &definition["properties"];
    assert!(options["from"].is_object() && options["queue"].is_null(), "a log has no queues: {options}");
    assert_eq!(options["lanes"]["maximum"], 4);
    let sinks = options["sink"]["oneOf"].as_array().unwrap();
    assert_eq!(sinks.len(), 1);
    let sink = sinks[0]["properties"].as_object().unwrap();
    assert_eq!((&sink["kind"], sinks[0]["additionalProperties"].as_bool()), (&json!({ "const": "http" }), Some(false)));
    for (name, is_taken) in [
        ("url", true),
        ("secret", true),
        ("mode", true),
        ("compression", false),
        ("origin", false),
        ("bearer_file", false),
        ("allow_cidrs", false),
    ] {
        assert_eq!(sink.contains_key(name), is_taken, "{name}");
        let table = json!({ "sink": { "kind": "http", "url": "https://a.example/", name: null } });
        let faults = ask(&daemon, "PUT", "/v1/hooks/x", &table).json()["faults"].take().to_string();
        let refused = faults.contains("the operator");
        assert_eq!(refused, !is_taken, "{name}: {faults}");
    }
    // As reloaded.
    daemon.reload("api.sinks = ['file']\n[[hooks]]\nid = 'a'\nsink = { kind = 'file', path = '${CONFIG_DIR}/a' }\n");
    let kind =
        |daemon| schemas(daemon)["HookDefinition"]["properties"]["sink"]["oneOf"][0]["properties"]["kind"].take();
    while kind(&daemon) != json!({ "const": "file" }) {}
}

#[test]
fn whatever_is_refused_is_a_problem() {
    let daemon = Daemon::start(&file_hook("file"));
    let problem = |request: &str, status: u16| {
        let answer = daemon.exchange(request);
        let json = answer.json();
        let is_problem = answer.header("content-type") == Some("application/problem+json");
        assert!(answer.status == status && is_problem && json["status"] == status, "{request}: {answer:?}");
        assert!(json["title"].is_string() && json["detail"].is_string(), "{request}: {answer:?}");
        answer
    };
    let asked =
        |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
    problem(&asked("GET", "/nothing"), 404);
    problem(&asked("GET", "/v1/nothing"), 404);
    for (method, path, allowed) in [
        ("POST", "/healthz", "get,head"),
        ("PUT", "/v1/status", "get,head"),
        ("TRACE", "/v1/hooks/file", "get,head,put,patch,delete"),
        ("POST", "/v1/hooks/file", "get,head,put,patch,delete"),
        ("TRACE", "/v1/hooks/match", "post"),
        ("PUT", "/v1/events", "get,head,post"),
        ("GET", "/v1/tokens", "post"),
        ("DELETE", "/openapi.json", "get,head"),
    ] {
        let answer = problem(&asked(method, path), 405);
        let mut methods: Vec<_> = answer.header("allow").unwrap().split(',').map(str::trim).collect();
        let mut expected: Vec<_> = allowed.split(',').collect();
        methods.sort_unstable();
        expected.sort_unstable();
        assert_eq!(methods, expected, "{method} {path}");
    }
    // Publishers know the member `error`.
    for refused in [problem(&asked("POST", "/v1/events"), 415), problem("GET /healthz HTTP/1.1\r\n\r\n", 400)] {
        assert_eq!(refused.json()["error"], refused.json()["detail"]);
    }
    assert!(problem("no request\r\n\r\n", 400).json()["error"].is_string());
}

#[test]
fn a_change_has_any_of_the_conditions_that_http_knows() {
    let daemon = Daemon::start(LOOPBACK);
    let table = |lanes: u32| json!({ "lanes": lanes, "sink": { "kind": "http", "url": "http://127.0.0.1:9/" } });
    let put = |condition: &str, lanes: u32| {
        let answer = ask_with(&daemon, &format!("{condition}\r\n"), "PUT", "/v1/hooks/a", &table(lanes));
        (answer.status, answer.header("etag").map(str::to_owned))
    };
    let tag = |revision: u32| Some(format!("\"{revision}\""));
    assert_eq!(put("if-match: *", 1).0, 412, "there is none");
    assert_eq!(put("if-none-match: \"1\"", 1), (201, tag(1)));
    assert_eq!(put("if-match: *", 2), (200, tag(2)));
    assert_eq!(put("if-match: \"1\", \"2\"", 3), (200, tag(3)));
    assert_eq!(put("if-match: \"1\"\r\nif-match: \"3\"", 4), (200, tag(4)));
    assert_eq!(put("if-match: \"\\\", \"4\"", 3), (200, tag(5)), "a backslash escapes nothing");
    for stale in
        ["if-match: \"4\"", "if-match: W/\"5\"", "if-match: \"x\"", "if-none-match: *", "if-none-match: W/\"5\""]
    {
        assert_eq!(put(stale, 1).0, 412, "{stale}");
    }
    for wrong in ["if-match: 5", "if-match:", "if-match: *, \"5\"", "if-none-match: \"5"] {
        assert_eq!(put(wrong, 1).0, 400, "{wrong}");
    }
    let rest =
        |method: &str, path: &str, condition: &str| ask_with(&daemon, condition, method, path, &json!({})).status;
    assert_eq!(rest("PATCH", "/v1/hooks/nobody", "if-match: \"1\"\r\n"), 404, "without a condition it would be, too");
    assert_eq!(rest("POST", "/v1/hooks/a/rotate-secret", "if-match: \"1\", \"5\"\r\n"), 200);
    assert_eq!(rest("DELETE", "/v1/hooks/a", "if-match: \"5\"\r\n"), 412);
    assert_eq!(rest("DELETE", "/v1/hooks/a", "if-match: *\r\n"), 200);
}

#[test]
fn a_body_means_the_same_to_all_who_read_it() {
    let daemon = Daemon::start(LOOPBACK);
    let put = |id: &str, body: &str| {
        let length = body.len();
        daemon.exchange(format!(
            "PUT /v1/hooks/{id} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    };
    let sink = r#""sink":{"kind":"http","url":"http://127.0.0.1:9/"}"#;
    let twice = put("a", &format!(r#"{{{sink},"tenant":"a","tenant":"b"}}"#));
    assert!(twice.status == 400 && twice.body.contains("`tenant` stands twice"), "{twice:?}");
    let deeper = put("a", r#"{"sink":{"kind":"http","url":"http://127.0.0.1:9/","url":"http://127.0.0.1:8/"}}"#);
    assert!(deeper.status == 400 && deeper.body.contains("`url` stands twice"), "{deeper:?}");
    // JSON Schema knows one kind of integers.
    let whole = put("a", &format!(r#"{{{sink},"lanes":2.0,"batch":{{"max_events":1e2}}}}"#));
    assert_eq!((whole.status, &whole.json()["settings"]["batch"]["max_events"]), (201, &json!(100)), "{whole:?}");
    assert_eq!(put("a", &format!(r#"{{{sink},"lanes":2.5}}"#)).status, 422);
    assert_eq!(whole.header("location"), Some("/v1/hooks/a"));
    let drop = ask(&daemon, "POST", "/v1/hooks/a/dead-letters/drop", &json!({ "ids": [7.0] }));
    assert_eq!(drop.json()["missing"], json!([7]), "{drop:?}");
}

/// Clients take `.` and `..` out of a URL before they ask, however these are written.
#[test]
fn no_hook_is_made_that_no_url_reaches() {
    let daemon = Daemon::start(LOOPBACK);
    let table = json!({ "sink": { "kind": "http", "url": "http://127.0.0.1:9/" } });
    for (id, status) in [(".", 400), ("..", 400), ("%2E%2e", 400), ("...", 201), (".a", 201)] {
        let answer = ask(&daemon, "PUT", &format!("/v1/hooks/{id}"), &table);
        assert_eq!(answer.status, status, "{id}: {answer:?}");
    }
    // One of the config file is shown.
    let daemon = Daemon::start("[[hooks]]\nid = '..'\nsink = { kind = 'file', path = '${CONFIG_DIR}/out' }\n");
    assert_eq!(ask(&daemon, "GET", "/v1/hooks/..", &Json::Null).status, 200);
}
