//! Which hooks an event reaches: `hooks check --event`, and `POST /v1/hooks/match`.

use serde_json::{Value as Json, json};

use crate::command::Place;
use crate::serve::managed::{LOOPBACK, TENANTS, as_tenant, ask, to};
use crate::serve::{Client, Daemon, MEMORY, file_hook};

const HOOKS: &str = "[events]\nsource = '/shop'\n
[[hooks]]\nid = 'all'\nsink = { kind = 'file', path = '${CONFIG_DIR}/all' }
[[hooks]]\nid = 'acme'\ntenant = 'acme'\nsink = { kind = 'file', path = '${CONFIG_DIR}/acme' }
[[hooks]]\nid = 'eu'\nattributes = { region = ['eu-*'] }\nsink = { kind = 'file', path = '${CONFIG_DIR}/eu' }
[[hooks]]\nid = 'shop'\nenabled = false\nsources = ['/shop*']\nsources_except = ['/shop/test']\nsink = { kind = 'file', path = '${CONFIG_DIR}/shop' }
";

#[test]
fn check_says_which_hooks_an_event_reaches_and_what_keeps_it_from_the_others() {
    let place = Place::new(HOOKS);
    let check = |event: &[u8]| place.run_with(&["check", "-c", "hooks.toml", "--event", "-"], event);
    let ended = check(br#"{"type":"order.paid","region":"us-1"}"#);
    let table = "event  hook  receives it     kept away by\n1      all   yes\n1      acme  no              `tenant`\n1      eu    no              `attributes.region`\n1      shop  yes (disabled)\n";
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(0), table, ""));
    let two = "{\"type\":\"a\",\"region\":\"eu-1\"}\n{\"type\":\"a\",\"source\":\"/shop/test\"}\n";
    let lines = check(two.as_bytes());
    assert!(
        lines.out.contains("1      eu    yes") && lines.out.contains("2      shop  no              `sources_except`"),
        "{}",
        lines.out
    );
    let array = format!("[{}]", two.trim().replace('\n', ","));
    std::fs::write(place.path("events.json"), array).unwrap();
    let from_file = place.run(&["check", "-c", "hooks.toml", "--event", "events.json"]);
    assert_eq!((from_file.code, from_file.out), (Some(0), lines.out));
    for (wrong, why) in [
        (&b"{\"type\":\"a\"}\n{}"[..], "event 2: attribute `type` is missing"),
        (b"[{\"type\":1}]", "event 1: "),
        (b"{", "event 1: "),
        (b"", "has no event"),
    ] {
        let ended = check(wrong);
        assert!(ended.code == Some(1) && ended.out.is_empty() && ended.err.contains(why), "{why}: {ended:?}");
    }
    assert_eq!(place.run(&["check", "-c", "hooks.toml", "--event", "nowhere"]).code, Some(1));
    assert_eq!(place.run(&["check", "--event", "events.json"]).code, Some(2));
    assert_eq!(place.run(&["check", "-c", "hooks.toml", "--dir", "hooks-data"]).code, Some(2));
}

#[test]
fn check_warns_of_patterns_that_nothing_is_left_of() {
    let place = Place::new(&format!("{}types = ['a.b', 'c']\ntypes_except = ['a.*']\n", file_hook("a")));
    let ended = place.run(&["check", "-c", "hooks.toml"]);
    assert_eq!(ended.code, Some(0));
    let warning = "hooks.toml: warning: hook `a`: types[0]: `a.b` matches nothing: the exception `a.*` takes out all that it would";
    assert!(ended.err.contains(warning), "{}", ended.err);
    let place = Place::new(&format!("{}attributes = {{ type = ['a.b'] }}\n", file_hook("a")));
    let ended = place.run(&["check", "-c", "hooks.toml"]);
    assert!(ended.code == Some(78) && ended.err.contains("`type` is no extension attribute"), "{}", ended.err);
}

/// The names of the hooks, whether each receives it, and the part that keeps it away.
fn matched(answer: &Json) -> Vec<(String, bool, Json)> {
    let hook = |hook: &Json| {
        (hook["hook"].as_str().unwrap().to_owned(), hook["receives"].as_bool().unwrap(), hook["mismatch"].clone())
    };
    answer["hooks"].as_array().unwrap().iter().map(hook).collect()
}

#[test]
fn a_daemon_says_it_of_the_hooks_that_it_has() {
    let daemon = Daemon::start(HOOKS);
    let event = json!({ "type": "order.paid", "region": "us-1" });
    let answer = ask(&daemon, "POST", "/v1/hooks/match", &event);
    let expected = [
        ("acme", false, json!({ "setting": "tenant" })),
        ("all", true, Json::Null),
        ("eu", false, json!({ "setting": "attributes", "attribute": "region" })),
        ("shop", true, Json::Null),
    ];
    assert_eq!(
        (answer.status, matched(&answer.json())),
        (200, expected.map(|(hook, receives, part)| (hook.to_owned(), receives, part)).to_vec())
    );
    // Page by page, and those alone that receive it.
    let page = |query: &str| ask(&daemon, "POST", &format!("/v1/hooks/match?{query}"), &event).json();
    let first = page("limit=3");
    assert_eq!((matched(&first).len(), &first["next"]), (3, &json!("eu")));
    assert_eq!(matched(&page("limit=3&after=eu")), [("shop".to_owned(), true, Json::Null)]);
    assert!(page("limit=4")["next"].is_null());
    let names = |answer: &Json| matched(answer).into_iter().map(|(hook, ..)| hook).collect::<Vec<_>>();
    assert_eq!(
        (names(&page("receives=true")), names(&page("receives=false"))),
        (vec!["all".into(), "shop".into()], vec!["acme".into(), "eu".into()])
    );
    for wrong in ["limit=0", "limit=1001", "receives=maybe", "x=1", "after=a%20b"] {
        assert_eq!(page(wrong)["status"], 400, "{wrong}");
    }
    // The same from the command line, over the socket and at its address.
    std::fs::write(daemon.place.path("event.json"), event.to_string()).unwrap();
    let url = format!("http://{}", daemon.address);
    for whom in [["--dir", "hooks-data"], ["--url", &url]] {
        let ended = daemon.place.run(&[&["check", "--event", "event.json"], &whom[..]].concat());
        assert!(
            ended.code == Some(0) && ended.out.contains("1      eu    no           `attributes.region`"),
            "{ended:?}"
        );
    }
    let mut operator = Client::operator(&daemon.place);
    let mut post = |media: &str| {
        operator.send(format!(
            "POST /v1/hooks/match HTTP/1.1\r\nhost: a\r\ncontent-type: {media}\r\ncontent-length: 2\r\n\r\n{{}}"
        ));
        operator.answer()
    };
    assert!(post("application/cloudevents+json").body.contains("`type` is missing"));
    assert_eq!(post("text/plain").status, 415);
    // Nothing was published, and a source that is set anew counts.
    assert_eq!(ask(&daemon, "GET", "/v1/events", &Json::Null).json()["events"], json!([]));
    daemon.reload(&HOOKS.replace("'/shop'\n", "'/other'\n"));
    while matched(&ask(&daemon, "POST", "/v1/hooks/match", &event).json())[3].1 {}
}

#[test]
fn a_body_that_is_no_event_is_refused() {
    let daemon = Daemon::start(&format!("{MEMORY}{}", file_hook("other")));
    for (body, status) in [
        (json!({}), 400),
        (json!([{ "type": "a" }]), 400),
        (json!({ "type": "a", "Region": 1 }), 400),
        (json!({ "type": "hooks.endpoint.held" }), 200),
    ] {
        assert_eq!(ask(&daemon, "POST", "/v1/hooks/match", &body).status, status, "{body}");
    }
    // No hook has that name.
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/match", &json!({})).status, 405);
    assert_eq!(ask(&daemon, "POST", "/v1/hooks/other", &json!({ "type": "a" })).status, 405);
}

#[test]
fn a_tenant_asks_about_its_own_hooks_with_its_own_event() {
    let receiver = hooks_test::http::Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(&format!("{TENANTS}{LOOPBACK}{}", file_hook("operators")));
    for tenant in ["acme", "other"] {
        let made = as_tenant(&daemon, tenant, "PUT", &format!("/v1/hooks/of-{tenant}"), &to(&receiver, "/"));
        assert_eq!(made.status, 201, "{made:?}");
    }
    let asked = |token: &str, event: Json| as_tenant(&daemon, token, "POST", "/v1/hooks/match", &event);
    for event in [json!({ "type": "a" }), json!({ "type": "a", "tenant": "acme" })] {
        assert_eq!(matched(&asked("acme", event).json()), [("of-acme".to_owned(), true, Json::Null)]);
    }
    let others = asked("acme", json!({ "type": "a", "tenant": "other" }));
    assert_eq!(others.status, 403, "{others:?}");
    let all = matched(&asked("all", json!({ "type": "a", "tenant": "other" })).json());
    assert_eq!(all.into_iter().map(|(_, receives, _)| receives).collect::<Vec<_>>(), [false, true, true]);
}
