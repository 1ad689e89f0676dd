//! NATS goes away, and comes back or not.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hooks_test::http::Receiver;

use super::{Server, until};
use crate::command::{Place, event};
use crate::serve::health::health;
use crate::serve::{Daemon, JSON, http_hook};

fn pipe_config(server: &Server, receiver: &Receiver) -> String {
    let config = server.config(&http_hook("a", &receiver.url("/a")));
    config.replace("[ingest]\nlisten = '127.0.0.1:0'\n", "")
}

#[test]
fn a_pipe_goes_on_when_the_server_is_back() {
    let Some(mut server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let mut pipe = Place::new(&pipe_config(&server, &receiver)).start();
    for number in 0..10 {
        pipe.write(&(event(number) + "\n"));
    }
    while receiver.events("/a").len() < 10 {
        std::thread::yield_now();
    }
    server.kill();
    for number in 10..130 {
        pipe.write(&(event(number) + "\n"));
    }
    pipe.wait_for("reading waits: ");
    server.again();
    let ended = pipe.end();
    assert!(ended.code == Some(0) && ended.err.contains("130 lines read: 130 events"), "{}", ended.err);
    let arrived: BTreeSet<String> = receiver.events("/a").into_iter().collect();
    assert_eq!(arrived, (0..130).map(event).collect());
}

#[test]
fn a_pipe_that_does_not_go_on_says_from_which_line() {
    let Some(mut server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let mut pipe = Place::new(&pipe_config(&server, &receiver)).start();
    pipe.write(&format!("{}\n\n{}\n", event(0), event(1)));
    while receiver.events("/a").len() < 2 {
        std::thread::yield_now();
    }
    server.kill();
    pipe.write(&format!("\n{}\n{}\n", event(2), event(3)));
    pipe.wait_for("reading waits: ");
    pipe.signal("TERM");
    pipe.wait_for("once more to stop at once");
    pipe.signal("TERM");
    let ended = pipe.wait();
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("2 events read and not delivered to every hook: go on from line 5"), "{}", ended.err);
}

#[test]
fn the_grace_is_the_whole_when_nats_is_down() {
    let Some(mut server) = Server::start() else { return };
    let receiver = Receiver::closed();
    let daemon = Daemon::with(&server.config(&http_hook("a", &receiver.url("/a"))), &["--grace", "2s"]);
    until(&daemon.place, |hooks| hooks[0]["owner"].is_string());
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    receiver.wait();
    server.kill();
    while daemon.get("/readyz").status != 503 {
        std::thread::yield_now();
    }
    let (code, said) = health(&daemon.place, &["--url", &format!("http://{}", daemon.address)]);
    assert!(code == Some(1) && said.contains("its bus can't be used now"), "{said}");
    let begin = Instant::now();
    let ended = daemon.stop();
    // It took 10 s more, for answers that could not come.
    assert!(begin.elapsed() < Duration::from_secs(11), "{:?}: {}", begin.elapsed(), ended.err);
}

/// Others go on delivering, and so does this one after a restart: whoever asks has to know.
#[test]
fn what_nats_can_t_be_told_of_a_hook_is_answered_so() {
    let Some(mut server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(&server.config(&http_hook("a", &receiver.url("/a"))));
    until(&daemon.place, |hooks| hooks[0]["owner"].is_string());
    server.kill();
    while daemon.get("/readyz").status != 503 {
        std::thread::yield_now();
    }
    for change in ["disable", "enable"] {
        let answer = daemon.exchange(format!("POST /v1/hooks/a/{change} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
        assert!(answer.status == 503 && answer.body.contains("in this process alone, until it ends"), "{answer:?}");
    }
}
