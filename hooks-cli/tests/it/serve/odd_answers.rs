//! Receivers that take events and answer oddly: each event arrives once, and what is odd is said.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::{Daemon, JSON, MEMORY};
use crate::command::{Place, event};

/// Answers every request with the same bytes, and then closes the connection or holds it.
struct Odd {
    address: SocketAddr,
    bodies: Receiver<String>,
}

impl Odd {
    fn start(answer: &[u8], holds: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, answer) = (listener.local_addr().unwrap(), answer.to_vec());
        let (arrived, bodies) = channel();
        std::thread::spawn(move || {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                held.extend(serve(stream, &answer, &arrived).filter(|_| holds));
            }
        });
        Self { address, bodies }
    }

    /// A hook that delivers to it, with more settings of the sink. Where an answer has no end, an attempt takes as long as it
    /// may: so it may not take long, but long enough for the answer to come on a busy machine, or it is made again.
    fn hook(&self, settings: &str) -> String {
        format!(
            "[[hooks]]\nid = 'a'\nsink = {{ kind = 'http', url = 'http://{}/' {settings} }}\n\
             retry = {{ initial = '1ms', max = '2ms', attempt_timeout = '4s' }}\n",
            self.address
        )
    }

    /// The body of the next request.
    fn next(&self) -> String {
        self.bodies.recv_timeout(Duration::from_secs(60)).unwrap()
    }
}

fn serve(stream: TcpStream, answer: &[u8], arrived: &Sender<String>) -> Option<TcpStream> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).ok()? > 2 {
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    reader.get_mut().write_all(answer).ok()?;
    arrived.send(String::from_utf8(body).unwrap()).ok()?;
    Some(reader.into_inner())
}

/// Each answer, whether the connection is held after it, and what is said of it.
const ODD: &[(&str, bool, &str)] = &[
    ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", false, "the answer broke off"),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{", false, "the answer broke off"),
    (
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\n\x1f\x01\x02",
        true,
        "the answer is encoded",
    ),
    ("HTTP/1.1 200 OK\r\ncontent-encoding: none\r\ncontent-length: 2\r\n\r\nok", true, "the answer is encoded"),
    ("HTTP/1.1 200 OK\r\n\r\n{\"endless\":", true, "the answer did not end"),
    ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}", true, "can't be read"),
    ("HTTP/1.1 200 OK\r\nx-endless: ", true, "the answer did not end"),
    ("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n", true, "the answer did not end"),
];

#[test]
fn an_event_whose_answer_is_odd_is_delivered_once_and_that_is_said_once() {
    for (answer, holds, said) in ODD {
        let receiver = Odd::start(answer.as_bytes(), *holds);
        let mut daemon = Daemon::start(&format!("{MEMORY}{}", receiver.hook("")));
        for number in 1..=2 {
            assert_eq!(daemon.post(JSON, event(number)).status, 202);
            assert!(receiver.next().contains(&format!("\"n\":{number}")), "{answer}: nothing comes again");
        }
        let line = daemon.running.wait_for("the receiver's answer is odd");
        assert!(line.contains(said) && line.contains("200 OK"), "{answer}: {line}");
        let ended = daemon.stop();
        assert_eq!(ended.code, Some(0), "{answer}: {}", ended.err);
        assert_eq!(ended.err.matches("answer is odd").count(), 1, "{answer}: {}", ended.err);
        assert!(receiver.bodies.try_recv().is_err(), "{answer}: nothing comes again");
    }
}

#[test]
fn a_long_answer_does_not_bring_the_batch_again() {
    let echo = format!("HTTP/1.1 200 OK\r\ncontent-length: 100002\r\n\r\n{{{}}}", " ".repeat(100_000));
    let receiver = Odd::start(echo.as_bytes(), true);
    let daemon = Daemon::start(&format!("{MEMORY}{}", receiver.hook("")));
    for number in 1..=2 {
        daemon.post(JSON, event(number));
        assert!(receiver.next().contains(&format!("\"n\":{number}")));
    }
    // The first is settled before the second begins.
    assert!(daemon.metric("hooks_odd_answers_total{hook=\"a\"}").unwrap() >= 1.0);
    assert_eq!(daemon.stop().code, Some(0));
}

/// If an answer that can't be read may name refused events, three more answers are looked at.
#[test]
fn a_receiver_that_names_refused_events_is_asked_three_times_more() {
    let receiver = Odd::start(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"batchItemFailures\":[", false);
    let daemon = Daemon::start(&format!("{MEMORY}{}", receiver.hook(", partial_answers = true")));
    daemon.post(JSON, event(1));
    let bodies: Vec<_> = (0..4).map(|_| receiver.next()).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "the same batch");
    let ended = daemon.stop();
    assert!(ended.code == Some(0) && ended.err.contains("may name refused events"), "{}", ended.err);
    assert!(receiver.bodies.try_recv().is_err(), "it counts then");
}

#[test]
fn a_test_says_what_is_odd_and_what_to_do() {
    for (answer, holds, _) in ODD {
        let receiver = Odd::start(answer.as_bytes(), *holds);
        let place = Place::new(&receiver.hook(""));
        let ended = place.run(&["test", "-c", "hooks.toml", "a"]);
        assert_eq!(ended.code, Some(0), "{answer}: {}", ended.out);
        assert!(ended.out.contains("200 OK") && ended.out.contains("\nadvice "), "{answer}: {}", ended.out);
        assert!(ended.out.contains("the 2xx counts"), "{answer}: {}", ended.out);
    }
}
