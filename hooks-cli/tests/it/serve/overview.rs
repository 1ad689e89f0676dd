//! How it stands, and the page that shows it: who sees what, as it changes, and what a browser is told.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use hooks_test::http::Receiver;
use serde_json::{Value as Json, json};

use super::managed::{LOOPBACK, TENANTS, as_tenant, ask, to, until};
use super::{Daemon, JSON, MEMORY, file_hook, http_hook};
use crate::command::event;

/// Server-sent events, as they come.
struct Live(BufReader<TcpStream>);

impl Live {
    fn follow(daemon: &Daemon, token: &str, query: &str) -> Self {
        let mut stream = TcpStream::connect(daemon.address).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        write!(
            stream,
            "GET /v1/live?{query} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer token-{token}\r\n\r\n"
        )
        .unwrap();
        Self(BufReader::new(stream))
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.0.read_line(&mut line).unwrap() > 0).then(|| line.trim_end().to_owned())
    }

    fn status(&mut self) -> String {
        self.line().unwrap()
    }

    /// The next event of this name that fits.
    fn until(&mut self, name: &str, mut fits: impl FnMut(&Json) -> bool) -> Json {
        loop {
            if self.line().expect("an event") != format!("event: {name}") {
                continue;
            }
            let data: Json = serde_json::from_str(self.line().unwrap().strip_prefix("data: ").unwrap()).unwrap();
            if fits(&data) {
                return data;
            }
        }
    }
}

#[test]
fn the_overview_has_all_and_for_a_tenant_its_own_alone() {
    let receiver = Receiver::on_thread(|request| if request.path() == "/bad" { 500 } else { 200 });
    let daemon = Daemon::start(&format!("{TENANTS}{LOOPBACK}{}", file_hook("audit")));
    for (tenant, path) in [("acme", "/good"), ("other", "/bad")] {
        let made = as_tenant(&daemon, tenant, "PUT", &format!("/v1/hooks/{tenant}"), &to(&receiver, path));
        assert_eq!(made.status, 201, "{made:?}");
    }
    let mut all = Live::follow(&daemon, "all", "");
    let of_other = json!({ "type": "a", "tenant": "other" });
    assert_eq!(as_tenant(&daemon, "other", "POST", "/v1/events", &of_other).status, 202);
    until(&daemon, &receiver, "/bad", 1);
    all.until("overview", |now| now["states"]["backing_off"] == 1 && now["failed"].as_u64() > Some(0));

    let overview = |tenant: &str| as_tenant(&daemon, tenant, "GET", "/v1/overview", &Json::Null).json();
    let (all, acme, other) = (overview("all"), overview("acme"), overview("other"));
    assert_eq!((&all["now"]["hooks"], &all["now"]["accepted"], &all["interval"]), (&json!(3), &json!(1), &json!(15)));
    assert!(all["now"]["log"]["bytes"].as_u64() > Some(0) && all["now"]["pending"] == 1, "{all}");
    assert_eq!(all["access"], json!({ "may": ["publish", "read", "manage"] }));
    assert_eq!(acme["access"], json!({ "may": ["publish", "read", "manage"], "tenant": "acme" }));
    assert_eq!(
        (&acme["now"]["hooks"], &acme["now"]["pending"], &acme["now"]["failed"]),
        (&json!(1), &json!(0), &json!(0))
    );
    assert_eq!((&other["now"]["hooks"], &other["now"]["pending"]), (&json!(1), &json!(1)), "{other}");
    for hidden in ["accepted", "log", "trouble", "reload"] {
        assert!(acme["now"].get(hidden).is_none(), "{hidden}: {acme}");
    }
    assert_eq!(as_tenant(&daemon, "all", "GET", "/v1/overview?x", &Json::Null).status, 400);
}

#[test]
fn what_changes_comes_as_events_to_whoever_may_see_it() {
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(&format!("{TENANTS}{LOOPBACK}{}", file_hook("audit")));
    let made = as_tenant(&daemon, "acme", "PUT", "/v1/hooks/shop", &to(&receiver, "/a"));
    assert_eq!(made.status, 201, "{made:?}");
    let mut live = Live::follow(&daemon, "acme", "hook=shop&hook=audit");
    assert!(live.status().contains("200"));
    assert_eq!(live.until("hook", |_| true)["id"], "shop", "another's is not there");
    let mine = json!({ "type": "a" });
    assert_eq!(as_tenant(&daemon, "acme", "POST", "/v1/events", &mine).status, 202);
    // Whatever is told at once, the overview comes first.
    live.until("overview", |now| now["delivered"] == 1);
    live.until("hook", |hook| {
        assert_eq!(hook["id"], "shop");
        hook["counts"]["delivered"] == 1
    });
    assert_eq!(as_tenant(&daemon, "acme", "DELETE", "/v1/hooks/shop", &Json::Null).status, 200);
    assert_eq!(live.until("gone", |_| true), json!({ "id": "shop" }));
    // A tenant has so many, and whoever goes leaves his place to others.
    let mut more: Vec<_> = (0..3).map(|_| Live::follow(&daemon, "acme", "")).collect();
    more.iter_mut().for_each(|live| assert!(live.status().contains("200")));
    assert!(Live::follow(&daemon, "acme", "").status().contains("429"));
    assert!(Live::follow(&daemon, "other", "").status().contains("200"));
    more.clear();
    while !Live::follow(&daemon, "acme", "").status().contains("200") {}
    for (query, part) in
        [("x=1", "`x` is not known"), ("hook=%20", "hook: "), (&"hook=a&".repeat(101), "101 are named")]
    {
        let answer = as_tenant(&daemon, "all", "GET", &format!("/v1/live?{query}"), &Json::Null);
        assert!(answer.status == 400 && answer.body.contains(part), "{answer:?}");
    }
    assert_eq!(daemon.stop().code, Some(0));
    while live.line().is_some() {}
}

#[test]
fn a_stream_ends_with_the_token_that_it_was_asked_with() {
    let daemon = Daemon::start(&format!("{MEMORY}{TENANTS}{}", file_hook("audit")));
    let wanted = json!({ "may": ["read"], "expires_in": "2s" });
    let token = as_tenant(&daemon, "all", "POST", "/v1/tokens", &wanted).json()["token"].as_str().unwrap().to_owned();
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    write!(
        stream,
        "GET /v1/live HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut live = Live(BufReader::new(stream));
    assert!(live.status().contains("200"));
    while live.line().is_some() {}
}

#[test]
fn the_request_of_a_hook_is_shown_with_events_of_its_tenant() {
    let receiver = Receiver::on_thread(|_| 200);
    let daemon =
        Daemon::start(&format!("{TENANTS}{LOOPBACK}{}{}", file_hook("file"), http_hook("all", &receiver.url("/"))));
    assert_eq!(as_tenant(&daemon, "acme", "PUT", "/v1/hooks/shop", &to(&receiver, "/a")).status, 201);
    for tenant in ["acme", "other"] {
        let event = json!({ "type": "paid", "data": { "by": tenant } });
        assert_eq!(as_tenant(&daemon, tenant, "POST", "/v1/events", &event).status, 202);
    }
    let shown = |token: &str, path: &str| as_tenant(&daemon, token, "GET", &format!("/v1/hooks/{path}"), &Json::Null);
    let request = shown("acme", "shop/request?position=0").json()["requests"][0].as_str().unwrap().to_owned();
    assert!(request.starts_with("POST http") && request.contains(r#""by":"acme""#), "{request}");
    let batch = shown("all", "all/request?position=0&position=1").json();
    assert!(batch["requests"].to_string().contains(r#"\"by\":\"other\""#), "{batch}");
    assert!(shown("acme", "shop/request").body.contains("hooks.test"), "without an event that of a test");
    let statuses = [
        ("acme", "shop/request?position=1", 404),
        ("all", "shop/request?position=1", 404),
        ("all", "all/request?position=9", 404),
        ("all", "file/request?position=0", 409),
        ("all", "all/request?position=x", 400),
        ("all", "all/request?at=0", 400),
    ];
    for (token, path, status) in statuses {
        assert_eq!(shown(token, path).status, status, "{token} {path}");
    }
    assert_eq!(daemon.stop().code, Some(0));
    assert_eq!(receiver.events("/a").len() + receiver.events("/").len(), 3, "and none was sent for that");
}

#[test]
fn an_event_is_found_by_a_text_in_it() {
    let daemon = Daemon::start(&file_hook("a"));
    (0..20).for_each(|number| assert_eq!(daemon.post(JSON, event(number)).status, 202));
    let answer = |text: &str| ask(&daemon, "GET", &format!("/v1/events?text={text}"), &Json::Null);
    let events = |text: &str| answer(text).json()["events"].as_array().unwrap().len();
    assert_eq!((events("%22n%22%3A13"), events("nowhere")), (1, 0));
    assert_eq!(answer(&"a".repeat(257)).status, 400);
}

#[test]
fn the_page_is_there_for_everybody_and_loads_nothing_from_elsewhere() {
    let daemon =
        Daemon::start(&format!("{MEMORY}api.frame_ancestors = ['https://*.example.com']\n{TENANTS}{}", file_hook("a")));
    assert_eq!(daemon.get("/ui").header("location"), Some("ui/"));
    for (path, media_type) in [("/ui/", "text/html"), ("/ui/app.js", "text/javascript"), ("/ui/style.css", "text/css")]
    {
        let answer = daemon.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-type").unwrap().starts_with(media_type), "{answer:?}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.ends_with("frame-ancestors https://*.example.com"), "{policy}");
    }
    assert_eq!(daemon.get("/ui/nothing.js").status, 404);
    daemon.reload(&format!("{MEMORY}{TENANTS}{}", file_hook("a")));
    while !daemon.get("/ui/").header("content-security-policy").unwrap().ends_with("frame-ancestors 'none'") {}
}

#[test]
fn top_shows_what_is_accepted_and_which_hooks_are_in_trouble() {
    let receiver = Receiver::on_thread(|_| 500);
    let daemon = Daemon::start(&format!("{}{}", file_hook("good"), http_hook("bad", &receiver.url("/"))));
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    let state = "hooks_endpoint_state{hook=\"bad\",state=\"backing_off\"}";
    super::until("the hook backs off", || daemon.metric(state) == Some(1.0));
    let url = format!("http://{}", daemon.address);
    for place in [["-c", "hooks.toml"], ["--url", &url]] {
        let ended = daemon.place.run(&[&["top", "--once"], &place[..]].concat());
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{place:?}");
        let lines: Vec<Vec<&str>> = ended.out.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(ended.out.contains(", 2 hooks: 1 backing_off, 1 healthy"), "{}", ended.out);
        assert!(lines.contains(&vec!["accepted", "1", "-"]), "{}", ended.out);
        let bad = lines.iter().find(|line| line.starts_with(&["bad", "backing_off", "1"])).expect("the hook");
        assert!(bad.len() > 4 && ended.out.contains("500"), "{}", ended.out);
        assert!(!ended.out.contains('\u{1b}'), "no terminal, nothing to clear");
    }
    // It goes on for as long as somebody reads.
    let mut command = daemon.place.hooks(&["top", "-c", "hooks.toml"]);
    let mut live = command.stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(live.stdout.take().unwrap().read(&mut [0]).unwrap(), 1);
    let live = RefCell::new(live);
    super::until("top ends", || live.borrow_mut().try_wait().unwrap().is_some());
    assert_eq!(live.borrow_mut().wait().unwrap().code(), Some(0));
    let gone = daemon.kill();
    assert_eq!(gone.run(&["top", "-c", "hooks.toml", "--once"]).code, Some(1));
}
