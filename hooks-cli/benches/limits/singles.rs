//! One event a request, as most receivers of webhooks want it: `hooks pipe` with `mode = "single"`, on one lane and on
//! eight, beside bare clients that send the same events and do nothing else.

use std::collections::VecDeque;
use std::fs;
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use hooks_core::BoxError;

use crate::contest::{Contestant, Results, Verdict};
use crate::events::{Events, SIZE};
use crate::inside::runtime;
use crate::pipe::{pipe, written};
use crate::process::{Clock, Cost, cost};
use crate::receiver::Receiver;
use crate::{Report, Setup};

/// A request costs about as much with one event as with a hundred: so many fewer are sent.
const FEWER: usize = 10;

const MEDIA_TYPE: &str = "application/cloudevents+json";

/// To a webhook: one event a request, one request at a time, and eight.
pub(crate) fn singles(setup: &Setup) -> Result<Report, BoxError> {
    let receiver = Receiver::start()?;
    let events = Events::prepare(&setup.folder, setup.events.count / FEWER, SIZE)?;
    let (mut text, mut verdicts) = (String::new(), Vec::new());
    for (lanes, most) in [(1, 1.0), (8, 0.7)] {
        let results = side_by_side(setup, &receiver, &events, lanes)?;
        let ratio = |other| results.ratio("hooks pipe", &[other]);
        let plural = if lanes == 1 { "" } else { "s" };
        verdicts.push(Verdict::at_most(
            format!("pipe → webhook, one event a request on {lanes} lane{plural}, by bare reqwest"),
            ratio("bare reqwest"),
            " ×",
            most,
        ));
        text.push_str(&format!(
            "{lanes} lane{plural}, so as many µs an event:\n\n{}\n`hooks pipe` by bare hyper: {:.2} ×, by a bare socket: {:.2} ×.\n\n",
            results.table(),
            ratio("bare hyper"),
            ratio("bare socket"),
        ));
    }
    Ok(Report { title: "memory bus → webhook, one event a request", text, verdicts })
}

fn side_by_side(setup: &Setup, receiver: &Receiver, events: &Events, lanes: usize) -> Result<Results, BoxError> {
    let config = config(&setup.folder, &receiver.url(), lanes)?;
    let (file, address, at_once) = (events.file.display().to_string(), receiver.address.to_string(), lanes.to_string());
    let role = |kind: &'static str| {
        let (file, address, at_once) = (file.clone(), address.clone(), at_once.clone());
        move || arrive(receiver, events, || cost(&["single", kind, &at_once, &address, &file]))
    };
    let contestants = vec![
        Contestant::new("bare socket", role("socket")),
        Contestant::new("bare hyper", role("hyper")),
        Contestant::new("bare reqwest", role("reqwest")),
        Contestant::new("hooks pipe", || arrive(receiver, events, || pipe(&config, &events.file))),
    ];
    Results::of(contestants, setup.rounds, events.millions())
}

fn config(folder: &Path, url: &str, lanes: usize) -> Result<PathBuf, BoxError> {
    let text = format!(
        "[[hooks]]\nid = \"bench\"\nlanes = {lanes}\nsink = {{ kind = \"http\", url = \"{url}\", mode = \"single\" }}\n"
    );
    written(folder.join(format!("single-{lanes}.toml")), &text)
}

/// Runs something and makes sure that it brought the receiver every event, each in a request of its own.
fn arrive(
    receiver: &Receiver,
    events: &Events,
    run: impl FnOnce() -> Result<Cost, BoxError>,
) -> Result<Cost, BoxError> {
    let before = receiver.arrived();
    let cost = run()?;
    let after = receiver.arrived();
    let arrived = (after.0 - before.0, after.1 - before.1);
    // The line ends are not sent.
    let sent = (events.count as u64, events.bytes - events.count as u64);
    if arrived != sent {
        return Err(format!("{arrived:?} requests and bytes arrived, {sent:?} were sent").into());
    }
    Ok(cost)
}

/// Requests that wait to be sent.
type Waiting = Arc<Mutex<VecDeque<Bytes>>>;

fn next(waiting: &Waiting) -> Option<Bytes> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// A bare client posts each line as a prebuilt body, so many at once, and reads each answer.
pub(crate) fn bare(kind: &str, at_once: &str, address: &str, file: &str) -> Result<Vec<f64>, BoxError> {
    let text = Bytes::from(fs::read(file)?);
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let waiting: Waiting = Arc::new(Mutex::new(lines.map(|line| text.slice_ref(line)).collect()));
    let at_once: usize = at_once.parse()?;
    match kind {
        "reqwest" => {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let client = reqwest::Client::builder().no_proxy().build()?;
            let url = format!("http://{address}/");
            together(at_once, || reqwest_lane(client.clone(), url.clone(), waiting.clone()))
        }
        "hyper" => together(at_once, || hyper_lane(address.to_owned(), waiting.clone())),
        "socket" => sockets(at_once, address, &waiting),
        _ => Err(format!("no such client: {kind}").into()),
    }
}

/// Runs so many of them on one thread.
fn together<F>(count: usize, lane: impl Fn() -> F) -> Result<Vec<f64>, BoxError>
where
    F: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    runtime()?.block_on(async {
        let clock = Clock::start();
        let lanes: Vec<_> = (0..count).map(|_| tokio::spawn(lane())).collect();
        for lane in lanes {
            lane.await??;
        }
        Ok(clock.stop())
    })
}

async fn reqwest_lane(client: reqwest::Client, url: String, waiting: Waiting) -> Result<(), BoxError> {
    while let Some(body) = next(&waiting) {
        let request = client.post(&url).header("content-type", MEDIA_TYPE).body(body);
        request.send().await?.error_for_status()?.bytes().await?;
    }
    Ok(())
}

async fn hyper_lane(address: String, waiting: Waiting) -> Result<(), BoxError> {
    let stream = tokio::net::TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    while let Some(body) = next(&waiting) {
        let request = hyper::Request::post("/")
            .header("host", &*address)
            .header("content-type", MEDIA_TYPE)
            .body(Full::new(body))?;
        sender.ready().await?;
        let answer = sender.send_request(request).await?;
        if !answer.status().is_success() {
            return Err(answer.status().to_string().into());
        }
        answer.into_body().collect().await?;
    }
    drop(sender);
    Ok(connection.await??)
}

/// Each in a thread of its own: what it waits for costs nothing.
fn sockets(count: usize, address: &str, waiting: &Waiting) -> Result<Vec<f64>, BoxError> {
    let clock = Clock::start();
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..count).map(|_| scope.spawn(|| socket_lane(address, waiting))).collect();
        lanes.into_iter().try_for_each(|lane| lane.join().map_err(|_| "a lane panicked")?)
    })?;
    Ok(clock.stop())
}

fn socket_lane(address: &str, waiting: &Waiting) -> Result<(), BoxError> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let (mut answer, mut request) = ([0; 256], Vec::new());
    while let Some(body) = next(waiting) {
        request.clear();
        write!(request, "POST / HTTP/1.1\r\nhost: {address}\r\ncontent-type: {MEDIA_TYPE}\r\n")?;
        write!(request, "content-length: {}\r\n\r\n", body.len())?;
        request.extend_from_slice(&body);
        stream.write_all(&request)?;
        if stream.read(&mut answer)? == 0 {
            return Err("the receiver hung up".into());
        }
    }
    Ok(())
}
