//! Past events are sent again by the daemon that has the hook, or by the command where none runs.

use hooks_test::http::Receiver;
use serde_json::Value as Json;

use super::gone::by_ownership;
use super::managed::ask;
use super::{SHORT, Server, operate, until};
use crate::command::event;
use crate::serve::{Daemon, LINES, http_hook};

const EVENTS: usize = 10;

/// The numbers of the events that came after so many, and whether each is marked.
fn again(receiver: &Receiver, from: usize) -> Vec<(usize, bool)> {
    let read = |event: &String| {
        let event: Json = serde_json::from_str(event).unwrap();
        (event["id"].as_str().unwrap().parse().unwrap(), event["hooksreplay"] == true)
    };
    receiver.events("/a")[from..].iter().map(read).collect()
}

fn marked(numbers: impl IntoIterator<Item = usize>) -> Vec<(usize, bool)> {
    numbers.into_iter().map(|number| (number, true)).collect()
}

#[test]
fn the_owner_sends_past_events_again_whoever_is_asked() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let config = server.with_lease(SHORT, &http_hook("a", &receiver.url("/a")));
    let daemons = [Daemon::start(&config), Daemon::start(&config)];
    assert_eq!(daemons[0].post(LINES, (0..EVENTS).map(|number| event(number) + "\n").collect::<String>()).status, 202);
    until(&daemons[0].place, |hooks| hooks[0]["position"] == EVENTS && hooks[0]["owner"].is_string());
    let (owning, waiting, owner) = by_ownership(daemons);
    let resend = |options: &str| operate(&waiting.place, &format!("resend a {options}"));
    let would = (Some(0), "4 events would be sent again\n".to_owned());
    assert_eq!(resend("--from 2 --to 6 --dry-run"), would);
    assert_eq!(again(&receiver, EVENTS), []);
    // Positions are those of the stream, from 1.
    assert_eq!(resend("--position 3 --position 5"), (Some(0), "2 delivered, 0 refused, 0 not tried\n".to_owned()));
    assert_eq!(again(&receiver, EVENTS), marked([2, 4]));
    let (code, said) = resend("--event 7 --event nobody");
    assert!(code == Some(1) && said.contains("1 delivered") && said.contains("no such event: `nobody`"), "{said}");
    assert_eq!(resend("--since 1h").1, "10 delivered, 0 refused, 0 not tried\n");
    assert_eq!(again(&receiver, EVENTS + 3), marked(0..EVENTS));
    // Over HTTP the one that has it does, and another one says where it ended.
    let sent = EVENTS * 2 + 3;
    let elsewhere = ask(&waiting, "POST", "/v1/hooks/a/resend", r#"{"from":9}"#).json();
    assert!(elsewhere["error"].as_str().unwrap().contains("another instance has the hook"), "{elsewhere}");
    assert_eq!((&elsewhere["delivered"], &elsewhere["next"]), (&0.into(), &9.into()), "{elsewhere}");
    assert_eq!(ask(&owning, "POST", "/v1/hooks/a/resend", r#"{"from":9}"#).json()["delivered"], 2);
    assert_eq!(again(&receiver, sent), marked([8, 9]));
    // The next one that has it goes on with that.
    let _ = owning.kill();
    until(&waiting.place, |hooks| hooks[0]["owner"].as_str().is_some_and(|now| now != owner));
    assert_eq!(resend("--position 1").1, "1 delivered, 0 refused, 0 not tried\n");
    assert_eq!(again(&receiver, sent + 2), marked([0]));
    // The live position is where it was.
    until(&waiting.place, |hooks| hooks[0]["position"] == EVENTS);
}

#[test]
fn past_events_are_sent_again_where_no_daemon_runs() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(&server.config(&http_hook("a", &receiver.url("/a"))));
    assert_eq!(daemon.post(LINES, (0..EVENTS).map(|number| event(number) + "\n").collect::<String>()).status, 202);
    until(&daemon.place, |hooks| hooks[0]["position"] == EVENTS);
    let Daemon { place, running, .. } = daemon;
    running.signal("TERM");
    running.wait();
    assert_eq!(operate(&place, "resend a --from 9 --dry-run"), (Some(0), "2 events would be sent again\n".to_owned()));
    assert_eq!(operate(&place, "resend a --from 9"), (Some(0), "2 delivered, 0 refused, 0 not tried\n".to_owned()));
    assert_eq!(again(&receiver, EVENTS), marked([8, 9]));
}
