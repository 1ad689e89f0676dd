//! Hooks that daemons share are moved by the one that has them, or in the bucket where none runs.

use hooks_test::http::Receiver;
use serde_json::Value as Json;

use super::managed::ask;
use super::{SHORT, Server, operate, until};
use crate::command::event;
use crate::serve::{Daemon, LINES, http_hook};

fn has(daemon: &Daemon, receiver: &Receiver, events: usize) {
    while receiver.events("/a").len() < events {
        daemon.get("/healthz");
    }
}

fn numbers(receiver: &Receiver, from: usize) -> Vec<usize> {
    let number = |event: &String| -> usize {
        let event: Json = serde_json::from_str(event).unwrap();
        event["id"].as_str().unwrap().parse().unwrap()
    };
    receiver.events("/a")[from..].iter().map(number).collect()
}

#[test]
fn the_owner_moves_a_hook_and_the_next_one_goes_on_there() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let config = server.with_lease(SHORT, &http_hook("a", &receiver.url("/a")));
    let (one, other) = (Daemon::start(&config), Daemon::start(&config));
    assert_eq!(one.post(LINES, (0..10).map(|number| event(number) + "\n").collect::<String>()).status, 202);
    has(&one, &receiver, 10);
    let hooks = until(&one.place, |hooks| hooks[0]["position"] == 10 && hooks[0]["owner"].is_string());
    let owner = hooks[0]["owner"].as_str().unwrap().to_owned();
    let is_one = owner.contains(&format!("-{}-", one.running.id()));
    let (owning, waiting) = if is_one { (one, other) } else { (other, one) };
    // Over HTTP only the one that has it.
    let refused = ask(&waiting, "POST", "/v1/hooks/a/seek", r#"{"to":"earliest"}"#);
    assert!(refused.status == 409 && refused.body.contains(&owner), "{refused:?}");
    let (code, would) = operate(&waiting.place, "seek a --to earliest --dry-run");
    assert_eq!(
        (code, would.as_str()),
        (Some(0), "hook `a` would go back from position 11 to 1: 10 events would come again\n")
    );
    let (code, went) = operate(&waiting.place, "seek a --to 4");
    assert_eq!((code, went.as_str()), (Some(0), "hook `a` goes back from position 11 to 4: 7 events come again\n"));
    has(&waiting, &receiver, 17);
    assert_eq!(numbers(&receiver, 10), (3..10).collect::<Vec<_>>());
    until(&waiting.place, |hooks| hooks[0]["position"] == 10 && hooks[0]["counts"]["delivered"] == 17);
    // What was answered holds, whoever goes on.
    let moved = ask(&owning, "POST", "/v1/hooks/a/seek", r#"{"to":9}"#);
    assert_eq!((moved.status, &moved.json()["again"]), (200, &2.into()), "{moved:?}");
    let _ = owning.kill();
    until(&waiting.place, |hooks| {
        hooks[0]["owner"].is_string() && hooks[0]["owner"] != owner.as_str() && hooks[0]["position"] == 10
    });
    assert_eq!(*numbers(&receiver, 17).last().unwrap(), 9);
}

#[test]
fn a_hook_is_moved_where_no_daemon_runs() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(&server.config(&http_hook("a", &receiver.url("/a"))));
    assert_eq!(daemon.post(LINES, (0..10).map(|number| event(number) + "\n").collect::<String>()).status, 202);
    has(&daemon, &receiver, 10);
    until(&daemon.place, |hooks| hooks[0]["position"] == 10);
    daemon.running.signal("TERM");
    daemon.running.wait();
    let place = daemon.place;
    let (code, went) = operate(&place, "seek a --to 1h");
    assert_eq!((code, went.as_str()), (Some(0), "hook `a` goes back from position 11 to 1: 10 events come again\n"));
    let (code, refused) = operate(&place, "seek a --to 9");
    assert!(code == Some(1) && refused.contains("`--skip`"), "{refused}");
    let (code, went) = operate(&place, "seek a --to 9 --skip");
    assert_eq!((code, went.as_str()), (Some(0), "hook `a` goes ahead from position 1 to 9: 8 events are skipped\n"));
    let daemon = Daemon::again(place);
    has(&daemon, &receiver, 12);
    assert_eq!(numbers(&receiver, 10), [8, 9]);
}
