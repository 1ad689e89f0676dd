//! Several resends at a time.

use std::sync::mpsc::sync_channel;

use hooks_test::http::Receiver;

use super::{Answer, Daemon, JSON, http_hook};

const TOKENS: &str = "[[api.tokens]]\nname = 'acme'\ntoken = 'token-acme'\nmay = ['publish', 'manage']\ntenant = 'acme'
[[api.tokens]]\nname = 'other'\ntoken = 'token-other'\nmay = ['publish', 'manage']\ntenant = 'other'
";

fn of_tenant(tenant: &str, receiver: &Receiver) -> String {
    format!("{}tenant = '{tenant}'\n", http_hook(tenant, &receiver.url(&format!("/{tenant}"))))
}

fn publish(daemon: &Daemon, tenant: &str) {
    let headers = format!("authorization: Bearer token-{tenant}\r\ncontent-type: {JSON}\r\n");
    assert_eq!(daemon.post_with(&headers, r#"{"type":"a","id":"1"}"#).status, 202);
}

/// Asks as this tenant, with its hook.
fn ask(address: std::net::SocketAddr, tenant: &str, what: &str, body: &str) -> Answer {
    let length = body.len();
    let mut client = super::Client::connect(address);
    client.send(format!(
        "POST /v1/hooks/{tenant}/{what} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer token-{tenant}\r\ncontent-type: {JSON}\r\ncontent-length: {length}\r\n\r\n{body}"
    ));
    client.answer()
}

/// Their events wait in memory for the receiver.
#[test]
fn a_tenant_has_so_many_at_a_time_and_others_have_theirs() {
    let receiver = Receiver::closed();
    let hooks = [of_tenant("acme", &receiver), of_tenant("other", &receiver)].concat();
    let daemon = Daemon::start(&format!("{TOKENS}{hooks}"));
    publish(&daemon, "acme");
    publish(&daemon, "other");
    let (answered, answers) = sync_channel(5);
    let address = daemon.address;
    let resend = |tenant: &'static str| {
        let answered = answered.clone();
        std::thread::spawn(move || answered.send(ask(address, tenant, "resend", r#"{"from":0}"#)).unwrap())
    };
    let resends: Vec<_> = (0..5).map(|_| resend("acme")).collect();
    // The receiver answers nothing, so whoever is answered was refused.
    let refused = answers.recv().unwrap();
    let why = "there are 4 resends and replays of tenant `acme` already";
    assert!(refused.status == 429 && refused.body.contains(why), "{refused:?}");
    assert_eq!(ask(address, "acme", "dead-letters/replay", "{}").status, 429);
    assert_eq!(ask(address, "acme", "seek", r#"{"to":"earliest","dry_run":true}"#).status, 200, "it is no resend");
    assert_eq!(ask(address, "other", "resend", r#"{"from":0,"dry_run":true}"#).json()["matched"], 1);
    assert_eq!(ask(address, "other", "dead-letters/replay", "{}").status, 200);
    receiver.open();
    for _ in 0..4 {
        let answer = answers.recv().unwrap();
        assert_eq!((answer.status, &answer.json()["delivered"]), (200, &1.into()), "{answer:?}");
    }
    assert_eq!(ask(address, "acme", "resend", r#"{"from":0}"#).status, 200);
    resends.into_iter().for_each(|resend| resend.join().unwrap());
    // The live one had its turn among them.
    while receiver.events("/acme").len() < 6 {
        std::thread::yield_now();
    }
}

/// Neither which ids there are, nor how many events.
#[test]
fn a_tenant_learns_nothing_of_others_events_by_sending_its_own_again() {
    let receiver = Receiver::on_thread(|_| 200);
    let hooks = [of_tenant("acme", &receiver), of_tenant("other", &receiver)].concat();
    let daemon = Daemon::start(&format!("{TOKENS}{hooks}"));
    publish(&daemon, "acme");
    publish(&daemon, "other");
    let headers = format!("authorization: Bearer token-other\r\ncontent-type: {JSON}\r\n");
    assert_eq!(daemon.post_with(&headers, r#"{"type":"a","id":"secret"}"#).status, 202);
    let asked = |body: &str| ask(daemon.address, "acme", "resend", body).json();
    let id = asked(r#"{"ids":["secret"],"unmatched":true,"dry_run":true}"#);
    assert_eq!((&id["matched"], &id["unmatched"], &id["missing"]["ids"][0]), (&0.into(), &0.into(), &"secret".into()));
    let position = asked(r#"{"positions":[0,1,2],"dry_run":true}"#);
    assert_eq!((&position["matched"], &position["unmatched"]), (&1.into(), &0.into()), "{position}");
    assert_eq!(position["missing"]["positions"], serde_json::json!([1, 2]));
    let all = asked(r#"{"from":0,"unmatched":true}"#);
    assert_eq!((&all["delivered"], &all["unmatched"]), (&1.into(), &0.into()), "{all}");
}
