//! Every route with the token of each right and of each tenant, against a table of what must come back.

use std::fmt::Write as _;

use hooks_test::http::Receiver;
use serde_json::json;

use super::super::managed::LOOPBACK;
use super::super::{Answer, Daemon, file_hook};
use super::{TOKENS, ask, make, tampered};

/// Its method, path and body. Then the status for nobody, for a token that is not good, for those that may `publish`,
/// `read`, `manage` and everything, and for those that may everything of tenant `acme` and of tenant `other`.
///
/// `a` is a hook of the config file, `shop` one that `acme` made, and there is no `x`.
type Row = (&'static str, &'static str, &'static str, [u16; 8]);

const TABLE: [Row; 62] = [
    ("GET", "/openapi.json", "", [401, 401, 403, 200, 403, 200, 200, 200]),
    ("GET", "/healthz", "", [200; 8]),
    ("GET", "/readyz", "", [200; 8]),
    ("GET", "/metrics", "", [401, 401, 403, 200, 403, 200, 403, 403]),
    ("GET", "/v1/nothing", "", [404; 8]),
    ("POST", "/v1/events", r#"{"type":"a"}"#, [401, 401, 202, 403, 403, 202, 202, 202]),
    ("POST", "/v1/events", r#"{"type":"a","tenant":"acme"}"#, [401, 401, 202, 403, 403, 202, 202, 403]),
    ("GET", "/v1/events", "", [401, 401, 403, 200, 403, 200, 200, 200]),
    ("GET", "/v1/events/0", "", [401, 401, 403, 200, 403, 200, 404, 404]),
    ("GET", "/v1/status", "", [401, 401, 403, 200, 403, 200, 403, 403]),
    ("GET", "/v1/overview", "", [401, 401, 403, 200, 403, 200, 200, 200]),
    // Of a stream there is no end.
    ("GET", "/v1/live?x", "", [401, 401, 403, 400, 403, 400, 400, 400]),
    ("PUT", "/v1/status", "", [401, 401, 403, 403, 405, 405, 405, 405]),
    ("GET", "/v1/log", "", [401, 401, 403, 200, 403, 200, 403, 403]),
    ("POST", "/v1/tokens", r#"{"may":["manage"]}"#, [401, 401, 403, 403, 200, 200, 200, 200]),
    ("POST", "/v1/tokens", r#"{"may":["manage"],"tenant":"acme"}"#, [401, 401, 403, 403, 200, 200, 200, 403]),
    ("GET", "/v1/tokens", "", [401, 401, 403, 405, 403, 405, 405, 405]),
    ("GET", "/v1/grants/x", "", [404; 8]),
    ("POST", "/v1/grants/x", "", [404; 8]),
    ("PUT", "/v1/grants/x", "", [405; 8]),
    ("POST", "/v1/secrets/rekey", "", [401, 401, 403, 403, 200, 200, 403, 403]),
    ("GET", "/v1/hooks", "", [401, 401, 403, 200, 403, 200, 200, 200]),
    ("POST", "/v1/hooks/match", r#"{"type":"a"}"#, [401, 401, 403, 200, 403, 200, 200, 200]),
    ("POST", "/v1/hooks", "{}", [401, 401, 403, 403, 405, 405, 405, 405]),
    ("GET", "/v1/hooks/a", "", [401, 401, 403, 200, 403, 200, 404, 404]),
    ("PUT", "/v1/hooks/a", "HOOK", [401, 401, 403, 403, 409, 409, 404, 404]),
    ("PATCH", "/v1/hooks/a", "{}", [401, 401, 403, 403, 409, 409, 404, 404]),
    ("DELETE", "/v1/hooks/a", "", [401, 401, 403, 403, 409, 409, 404, 404]),
    ("POST", "/v1/hooks/a/test", "", [401, 401, 403, 403, 200, 200, 404, 404]),
    ("POST", "/v1/hooks/a/rotate-secret", "{}", [401, 401, 403, 403, 409, 409, 404, 404]),
    ("POST", "/v1/hooks/a/disable", "", [401, 401, 403, 403, 200, 200, 404, 404]),
    ("POST", "/v1/hooks/a/enable", "", [401, 401, 403, 403, 200, 200, 404, 404]),
    ("POST", "/v1/hooks/a/seek", r#"{"to":"earliest"}"#, [401, 401, 403, 403, 200, 200, 404, 404]),
    ("GET", "/v1/hooks/a/dead-letters", "", [401, 401, 403, 200, 403, 200, 404, 404]),
    ("POST", "/v1/hooks/a/dead-letters/replay", "{}", [401, 401, 403, 403, 200, 200, 404, 404]),
    ("POST", "/v1/hooks/a/dead-letters/drop", "{}", [401, 401, 403, 403, 200, 200, 404, 404]),
    ("POST", "/v1/hooks/a/resend", r#"{"positions":[0]}"#, [401, 401, 403, 403, 200, 200, 404, 404]),
    ("POST", "/v1/hooks/shop/resend", r#"{"positions":[0]}"#, [401, 401, 403, 403, 200, 200, 200, 404]),
    ("GET", "/v1/hooks/shop", "", [401, 401, 403, 200, 403, 200, 200, 404]),
    ("PUT", "/v1/hooks/shop", "HOOK", [401, 401, 403, 403, 200, 200, 200, 404]),
    ("PATCH", "/v1/hooks/shop", "{}", [401, 401, 403, 403, 200, 200, 200, 404]),
    ("DELETE", "/v1/hooks/shop", "", [401, 401, 403, 403, 200, 200, 200, 404]),
    ("POST", "/v1/hooks/shop/test", "", [401, 401, 403, 403, 200, 200, 200, 404]),
    ("POST", "/v1/hooks/shop/rotate-secret", r#"{"overlap":"0s"}"#, [401, 401, 403, 403, 200, 200, 200, 404]),
    ("POST", "/v1/hooks/shop/disable", "", [401, 401, 403, 403, 200, 200, 200, 404]),
    ("POST", "/v1/hooks/shop/enable", "", [401, 401, 403, 403, 200, 200, 200, 404]),
    ("POST", "/v1/hooks/shop/seek", r#"{"to":"earliest"}"#, [401, 401, 403, 403, 200, 200, 200, 404]),
    ("GET", "/v1/hooks/shop/dead-letters", "", [401, 401, 403, 200, 403, 200, 200, 404]),
    ("POST", "/v1/hooks/shop/dead-letters/replay", "{}", [401, 401, 403, 403, 200, 200, 200, 404]),
    ("POST", "/v1/hooks/shop/dead-letters/drop", "{}", [401, 401, 403, 403, 200, 200, 200, 404]),
    ("GET", "/v1/attempts", "", [401, 401, 403, 200, 403, 200, 200, 200]),
    ("GET", "/v1/events/0/outcomes", "", [401, 401, 403, 200, 403, 200, 404, 404]),
    ("GET", "/v1/events/0/attempts", "", [401, 401, 403, 200, 403, 200, 200, 200]),
    ("GET", "/v1/hooks/a/attempts", "", [401, 401, 403, 200, 403, 200, 404, 404]),
    ("GET", "/v1/hooks/shop/attempts", "", [401, 401, 403, 200, 403, 200, 200, 404]),
    ("GET", "/v1/hooks/a/request", "", [401, 401, 403, 403, 403, 409, 404, 404]),
    ("GET", "/v1/hooks/shop/request", "", [401, 401, 403, 403, 403, 200, 200, 404]),
    ("GET", "/v1/hooks/x", "", [401, 401, 403, 404, 403, 404, 404, 404]),
    ("PATCH", "/v1/hooks/x", "{}", [401, 401, 403, 403, 404, 404, 404, 404]),
    ("DELETE", "/v1/hooks/x", "", [401, 401, 403, 403, 404, 404, 404, 404]),
    ("POST", "/v1/hooks/x/seek", r#"{"to":"earliest"}"#, [401, 401, 403, 403, 404, 404, 404, 404]),
    ("POST", "/v1/hooks/x/test", "", [401, 401, 403, 403, 404, 404, 404, 404]),
];

/// What `acme` has in its hook, for nobody else to see.
const OF_ACME: &str = "acme-alone";

/// Beside the tokens that all tests here have.
const OTHER: &str =
    "[[api.tokens]]\nname = 'other'\ntoken = 'token-other'\nmay = ['publish', 'read', 'manage']\ntenant = 'other'\n";
const GONE: &str = "[[api.tokens]]\nname = 'gone'\ntoken = 'token-gone'\nmay = ['publish', 'read', 'manage']\n";

/// A sender: its token, and its column.
type Sender = (Option<String>, usize);

/// Tokens of each kind. The daemon reads its config anew, without the token that is to be gone.
fn senders(daemon: &mut Daemon, config: &str) -> Vec<Sender> {
    let everything = json!({ "may": ["publish", "read", "manage"] });
    let of_gone = make(daemon, Some("token-gone"), &everything);
    daemon.reload(config);
    daemon.running.wait_for("was read again and applied");
    let all = Some("token-all");
    let [signed, of_acme, of_other] =
        [all, Some("token-acme"), Some("token-other")].map(|token| make(daemon, token, &everything));
    let [publish, read, manage] =
        ["publish", "read", "manage"].map(|right| make(daemon, all, &json!({ "may": [right] })));
    let for_acme = json!({ "may": ["publish", "read", "manage"], "tenant": "acme" });
    let ended = make(daemon, all, &json!({ "may": ["read"], "expires_in": "1s" }));
    while ask(daemon, Some(&ended), "GET", "/v1/status", "").status == 200 {}
    let wrong = ["token-wrong".to_owned(), "token-gone".to_owned(), "hst_e30.e30".to_owned(), tampered(&signed)];
    let wrong = wrong.into_iter().chain([format!("{signed}x"), ended]).map(|token| (token, 1));
    let named = ["publish", "read", "manage", "all", "acme", "other"].map(|name| format!("token-{name}"));
    let made = [
        (publish, 2),
        (read, 3),
        (manage, 4),
        (signed, 5),
        // It ends when it says, whatever becomes of the token that it was made with.
        (of_gone, 5),
        (make(daemon, all, &for_acme), 6),
        (of_acme, 6),
        (of_other, 7),
    ];
    let good = named.into_iter().zip(2..).chain(made);
    std::iter::once((None, 0)).chain(wrong.chain(good).map(|(token, column)| (Some(token), column))).collect()
}

/// What the routes are about, and the body `HOOK`.
struct Hooks {
    definition: String,
}

impl Hooks {
    fn make(&self, daemon: &Daemon) {
        let made = ask(daemon, Some("token-acme"), "PUT", "/v1/hooks/shop", &self.definition);
        assert_eq!(made.status, 201, "{made:?}");
    }

    fn ask(&self, daemon: &Daemon, token: Option<&str>, (method, path, body, _): Row) -> Answer {
        let body = if body == "HOOK" { &self.definition } else { body };
        let answer = ask(daemon, token, method, path, body);
        if method == "DELETE" && answer.status == 200 {
            self.make(daemon);
        }
        answer
    }
}

#[test]
fn every_route_answers_each_token_as_the_table_says_and_none_shows() {
    let receiver = Receiver::on_thread(|_| 200);
    let config = format!("{LOOPBACK}{TOKENS}{OTHER}{}", file_hook("a"));
    let mut daemon = Daemon::with(&format!("{config}{GONE}"), &["--log", "trace"]);
    let senders = senders(&mut daemon, &config);
    let definition = json!({ "tenant": "acme", "metadata": { "mark": OF_ACME },
        "sink": { "kind": "http", "url": receiver.url("/shop") } });
    let hooks = Hooks { definition: definition.to_string() };
    hooks.make(&daemon);
    let (mut answers, mut wrong) = (String::new(), String::new());
    for row in TABLE {
        let (method, path, _, statuses) = row;
        for (token, column) in &senders {
            let answer = hooks.ask(&daemon, token.as_deref(), row);
            let asked = format!("{method} {path} with {token:?}: {answer:?}");
            if answer.status != statuses[*column] {
                writeln!(wrong, "{} instead of {}: {asked}", answer.status, statuses[*column]).unwrap();
            }
            if answer.status == 401 {
                assert_eq!(answer.header("www-authenticate"), Some("bearer"), "{asked}");
            }
            // Whoever may not read it, or is another tenant, sees nothing of it.
            assert!(![0, 1, 2, 7].contains(column) || !answer.body.contains(OF_ACME), "{asked}");
            if path != "/v1/tokens" {
                write!(answers, "{answer:?}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let right = ask(&daemon, Some("token-read"), "POST", "/v1/hooks/a/enable", "");
    assert_eq!(right.header("content-type"), Some("application/problem+json"));
    assert!(right.body.contains("`manage`"), "{right:?}");
    let listed = ask(&daemon, Some("token-other"), "GET", "/v1/hooks", "").json();
    assert_eq!(listed, json!({ "hooks": [] }));
    none_shows(daemon, &senders, &answers);
}

/// No token, and not the key that signs them, is in an answer or in the log.
fn none_shows(daemon: Daemon, senders: &[Sender], answers: &str) {
    let key = daemon.place.read("hooks-data/secrets.key");
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    for secret in senders.iter().filter_map(|(token, _)| token.as_deref()).chain([key.trim()]) {
        assert!(!answers.contains(secret) && !ended.err.contains(secret), "{secret}");
    }
}

/// The document is made of the operations that are routed.
#[test]
fn no_route_is_missing_from_the_table() {
    let document = ask(&Daemon::start(&file_hook("a")), None, "GET", "/openapi.json", "").json();
    let paths = document["paths"].as_object().unwrap();
    let operations =
        paths.iter().flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |method| (method, path)));
    for (method, path) in operations {
        let of_hook = path.replace("{id}", "shop").replace("{secret}", "x").replace("{position}", "0");
        let is_there =
            TABLE.iter().any(|row| row.0.eq_ignore_ascii_case(method) && row.1.trim_end_matches("?x") == of_hook);
        assert!(is_there, "{method} {path}");
    }
}
