//! Receivers that misbehave, behind a whole dispatcher: attempts end, nothing is lost, nothing counts twice,
//! and a hook beside them is not held up.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{
    BatchLimits, Bus, Dispatcher, EndpointState, Envelope, Hook, HookStatus, HumanDuration, RetryPolicy, SliceBuilder,
};
use hooks_sink_http::HttpConfig;
use hooks_test::http::{Receiver, Seen};
use hooks_test::model::ModelBus;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::raw::{read_head, read_request, write_endlessly};

const EVENTS: usize = 60;

/// The way in which a receiver treats a connection.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// Leaves it in the kernel's queue.
    NeverAccept,
    /// Takes it and says nothing.
    Stall,
    /// Sends one byte a second of an answer that would be fine.
    Drip,
    /// Sends this and closes the connection.
    Answer(&'static str),
    /// Sends the first, and then the second until nobody takes it any more.
    Flood(&'static str, &'static str),
    /// Sends this and then nothing, and holds the connection.
    Hang(&'static str),
    /// Sends half an answer and breaks the connection off.
    Reset,
    /// Reads none of the body, of which there is more than the kernel takes.
    ReadNothing,
    /// Takes one request, answers it, and closes the connection as soon as it is idle.
    CloseIdle,
}

/// Misbehaves until it is healed.
struct Bad {
    address: SocketAddr,
    healed: watch::Sender<bool>,
    events: watch::Receiver<BTreeSet<String>>,
    /// The number of connections that it treated badly.
    bad: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Bad {
    async fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (healed, mut is_healed) = watch::channel(false);
        let (events, seen) = watch::channel(BTreeSet::new());
        let (count, bad) = watch::channel(0);
        let task = tokio::spawn(async move {
            let events = Arc::new(events);
            if matches!(does, Does::NeverAccept) {
                count.send_replace(1);
                is_healed.wait_for(|healed| *healed).await.unwrap();
            }
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                if *is_healed.borrow() {
                    tokio::spawn(serve(stream, events.clone(), usize::MAX));
                } else {
                    count.send_modify(|count| *count += 1);
                    held.push(tokio::spawn(misbehave(stream, does, events.clone())));
                }
            }
        });
        Self { address, healed, events: seen, bad, task }
    }
}

impl Drop for Bad {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Events = Arc<watch::Sender<BTreeSet<String>>>;

/// Answers so many requests as it should, and closes the connection.
async fn serve(mut stream: TcpStream, events: Events, requests: usize) {
    for _ in 0..requests {
        if stream.peek(&mut [0]).await.unwrap_or(0) == 0 {
            return;
        }
        let request = read_request(&mut stream).await;
        let body = &request[request.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4..];
        let ids: Vec<serde_json::Value> = serde_json::from_slice(body).unwrap();
        events.send_modify(|events| events.extend(ids.iter().map(|event| event["id"].as_str().unwrap().to_owned())));
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
            return;
        }
    }
}

async fn misbehave(mut stream: TcpStream, does: Does, events: Events) {
    match does {
        Does::NeverAccept => unreachable!("it accepts nothing"),
        Does::Stall => std::future::pending().await,
        Does::Drip => {
            let mut seconds = tokio::time::interval(Duration::from_secs(1));
            for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" {
                seconds.tick().await;
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
            }
        }
        Does::Answer(text) => {
            read_request(&mut stream).await;
            let _ = stream.write_all(text.as_bytes()).await;
        }
        Does::Hang(text) => {
            read_request(&mut stream).await;
            let _ = stream.write_all(text.as_bytes()).await;
            std::future::pending().await
        }
        Does::Flood(head, piece) => {
            read_request(&mut stream).await;
            let _ = stream.write_all(head.as_bytes()).await;
            write_endlessly(&mut stream, piece.repeat(1_000).as_bytes()).await;
        }
        Does::Reset => {
            read_request(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{").await;
            stream.set_zero_linger().unwrap();
        }
        Does::ReadNothing => {
            read_head(&mut stream).await;
            std::future::pending().await
        }
        Does::CloseIdle => serve(stream, events, 1).await,
    }
}

/// An attempt that the receiver ends takes as long as it takes.
fn retry(does: Does) -> RetryPolicy {
    let ends = matches!(does, Does::Answer(_) | Does::Reset | Does::CloseIdle);
    RetryPolicy::default()
        .initial(HumanDuration::new(Duration::from_millis(1)))
        .max(HumanDuration::new(Duration::from_millis(20)))
        .attempt_timeout(HumanDuration::new(Duration::from_secs(if ends { 60 } else { 2 })))
}

fn event(number: usize, length: usize) -> Envelope {
    let json = format!(r#"{{"id":"{number:03}","type":"t","source":"/s","data":"{}"}}"#, "x".repeat(length));
    Envelope::from_json(json.as_bytes()).unwrap()
}

/// Delivers through two hooks, one of which goes to a receiver that misbehaves until the other has
/// everything. Returns how the first one stands at the end.
async fn run(does: Does) -> (HookStatus, BTreeSet<String>) {
    let bad = Bad::start(does).await;
    let (count, mut arrived) = watch::channel(0);
    let good = Receiver::start(move |seen: &Seen| {
        let events: Vec<serde_json::Value> = serde_json::from_slice(&seen.body).unwrap();
        count.send_modify(|count| *count += events.len());
        http::Response::default()
    })
    .await;
    let bus = Arc::new(ModelBus::alone());
    let dispatcher = Dispatcher::new(bus.clone());
    let batch = BatchLimits::immediate().max_events(10.try_into().unwrap());
    let hook = |id, url: String| Hook::new(id, HttpConfig::new(url)).unwrap().batch(batch);
    dispatcher.add(hook("bad", format!("http://{}/", bad.address)).retry(retry(does))).await.unwrap();
    dispatcher.add(hook("good", good.url("/"))).await.unwrap();
    let length = if matches!(does, Does::ReadNothing) { 100_000 } else { 10 };
    let mut slice = SliceBuilder::new("/test");
    (0..EVENTS).for_each(|number| slice.push_envelope(&event(number, length)).unwrap());
    bus.publish(slice.finish()).await.unwrap();

    let mut treated = bad.bad.clone();
    treated.wait_for(|treated| *treated > 0).await.unwrap();
    // While the other one is as bad as it can be.
    arrived.wait_for(|count| *count == EVENTS).await.unwrap();
    bad.healed.send_replace(true);
    let report = dispatcher.shutdown(None).await;
    assert!(report.is_complete(), "{does:?}: {report:?}");
    let status = |id: &str| report.hooks.iter().find(|hook| hook.id.as_str() == id).unwrap().clone();
    assert_eq!(status("good").counts.delivered, EVENTS as u64);
    assert_eq!(
        good.seen().len(),
        status("good").attempts as usize,
        "{does:?}: an attempt of the good one was repeated"
    );
    let seen = bad.events.borrow().clone();
    (status("bad"), seen)
}

/// The attempts fail, all is delivered once the receiver is well, and nothing counts twice.
async fn recovers(does: Does) {
    let (status, seen) = tokio::time::timeout(Duration::from_secs(60), run(does)).await.expect("it ends");
    let counts = status.counts;
    assert_eq!((counts.taken, counts.delivered), (EVENTS as u64, EVENTS as u64), "{does:?}: {counts:?}");
    assert_eq!((counts.dropped(), counts.dead_lettered, counts.in_flight), (0, 0, 0), "{does:?}: {counts:?}");
    assert_eq!(seen.len(), EVENTS, "{does:?}: what counts as delivered arrived");
    assert_eq!(status.state, EndpointState::Healthy, "{does:?}");
}

/// The status decides: each batch counts at its first attempt.
async fn counts(does: Does) {
    let (status, _) = tokio::time::timeout(Duration::from_secs(60), run(does)).await.expect("it ends");
    assert_eq!((status.counts.delivered, status.attempts), (EVENTS as u64, EVENTS as u64 / 10), "{does:?}");
    assert_eq!(status.state, EndpointState::Healthy, "{does:?}");
}

#[tokio::test]
async fn never_accepting() {
    recovers(Does::NeverAccept).await;
}

#[tokio::test]
async fn accepting_and_stalling() {
    recovers(Does::Stall).await;
}

#[tokio::test]
async fn a_byte_a_second() {
    recovers(Does::Drip).await;
}

#[tokio::test]
async fn reset_in_the_middle_of_an_answer() {
    counts(Does::Reset).await;
}

#[tokio::test]
async fn endless_headers() {
    counts(Does::Flood("HTTP/1.1 200 OK\r\n", "x-more: and more\r\n")).await;
    counts(Does::Flood("HTTP/1.1 200 OK\r\nx-more: ", "and more")).await;
}

#[tokio::test]
async fn endless_bodies() {
    recovers(Does::Flood("HTTP/1.1 500 Oops\r\n\r\n", "0123456789")).await;
    counts(Does::Flood("HTTP/1.1 200 OK\r\n\r\n{\"all\": \"", "fine ")).await;
}

/// As long as an attempt may take, and then the status counts.
#[tokio::test]
async fn bodies_that_never_end() {
    counts(Does::Hang("HTTP/1.1 200 OK\r\n\r\n")).await;
    counts(Does::Hang("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")).await;
    counts(Does::Hang("HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")).await;
    recovers(Does::Hang("HTTP/1.1 503 Not Now\r\n\r\nwait")).await;
}

#[tokio::test]
async fn endless_interim_answers() {
    recovers(Does::Flood("", "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")).await;
}

#[tokio::test]
async fn wrong_lengths() {
    counts(Does::Answer("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}")).await;
    counts(Does::Answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}\n")).await;
    counts(Does::Answer("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}")).await;
    counts(Does::Answer("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n{}")).await;
}

#[tokio::test]
async fn truncated_chunks() {
    counts(Does::Answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel")).await;
    counts(Does::Answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nhello")).await;
    counts(Does::Answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")).await;
}

/// A body that would be gigabytes is never unpacked.
#[tokio::test]
async fn compressed_bombs() {
    counts(Does::Answer("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n\u{1f}\u{8b}\u{8}\0\0\0\0\0")).await;
}

#[tokio::test]
async fn no_http_at_all() {
    recovers(Does::Answer("SSH-2.0-OpenSSH_9.2\r\n")).await;
    recovers(Does::Answer("")).await;
}

#[tokio::test]
async fn slow_reading() {
    recovers(Does::ReadNothing).await;
}

#[tokio::test]
async fn closing_idle_connections() {
    recovers(Does::CloseIdle).await;
}

/// Garbage in a success that can't name refused events is a success.
#[tokio::test]
async fn success_with_garbage() {
    let garbage = Does::Answer("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n\u{0}<{[\u{7f}\"\u{1} and more");
    let (status, _) = run(garbage).await;
    assert_eq!((status.counts.delivered, status.attempts), (EVENTS as u64, EVENTS as u64 / 10));
}
