//! One event a request: `hooks serve` on the memory bus and on the durable one, to a file, beside a bare hyper server
//! that reads the body and answers.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use hooks_core::BoxError;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use crate::contest::{Contestant, Results, Verdict};
use crate::events::{Events, SIZE};
use crate::keeping::head;
use crate::peers::free_port;
use crate::pipe::written;
use crate::process::{Clock, Cost, Running, role};
use crate::{Report, Setup};

/// Connections that each have one request on its way.
const CONNECTIONS: usize = 64;

/// A request is dearer than an event of a batch: this part of the events is enough.
const PART: usize = 10;

const MEDIA_TYPE: &str = "application/cloudevents+json";

/// The longest time that a run may take.
const LIMIT: Duration = Duration::from_secs(120);

/// One event a request, from 64 connections, to a file.
pub(crate) fn requests(setup: &Setup) -> Result<Report, BoxError> {
    let events = Events::prepare(&setup.folder, setup.events.count / PART, SIZE)?;
    let text = fs::read(&events.file)?;
    let mut sent: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    sent.sort_unstable();
    let contestants = vec![
        Contestant::new("bare hyper", || {
            let port = free_port()?;
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["--role", "answer", &port.to_string()]);
            ask(command, port, &events, || Ok(true))
        }),
        Contestant::new("memory bus", || serve(setup, &events, &sent, false)),
        Contestant::new("durable bus", || serve(setup, &events, &sent, true)),
    ];
    let results = Results::of(contestants, setup.rounds, events.millions())?;
    let what = "serve → file, one event a request,";
    let by_bare = |name, goal| {
        let ratio = results.ratio(name, &["bare hyper"]);
        Verdict::at_most(format!("{what} {name}, by bare hyper"), ratio, " ×", goal)
    };
    let speed = 1.0 / results.ratio_of("durable bus", "memory bus", |cost| cost.wall);
    let verdicts = vec![
        by_bare("memory bus", 1.4),
        by_bare("durable bus", 1.8),
        Verdict::at_least(format!("{what} durable bus, requests/s by memory bus"), speed, " ×", 0.9),
    ];
    let text = format!("{}\nA million is one of requests, so CPU is µs a request.\n", results.table());
    Ok(Report { title: "HTTP ingest → file, one event a request, 64 connections", text, verdicts })
}

/// `hooks serve`, until the file has every event.
fn serve(setup: &Setup, events: &Events, sent: &[&[u8]], is_durable: bool) -> Result<Cost, BoxError> {
    let (port, folder) = (free_port()?, setup.folder.join("requests"));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let to = folder.join("out.jsonl");
    // The durable bus keeps what a hook has not received, and has no queue that could be full.
    let (bus, queue) = if is_durable {
        (format!("kind = \"durable\"\ndir = \"{}\"", folder.join("log").display()), "")
    } else {
        ("kind = \"memory\"".to_owned(), "queue = { overflow = \"block\" }\n")
    };
    let text = format!(
        "[bus]\n{bus}\n\n[ingest]\nlisten = \"127.0.0.1:{port}\"\n\n[[hooks]]\nid = \"bench\"\n{queue}sink = {{ kind = \"file\", path = \"{}\" }}\n",
        to.display()
    );
    let config = written(folder.join("hooks.toml"), &text)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_hooks"));
    command.args([OsStr::new("serve"), OsStr::new("-c"), config.as_os_str()]);
    let cost = ask(command, port, events, || Ok(length(&to) >= events.bytes))?;
    // Which of two requests at the same time comes first is nobody's promise.
    let text = fs::read(&to)?;
    let mut arrived: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    arrived.sort_unstable();
    if arrived == sent { Ok(cost) } else { Err("the file does not hold what was sent".into()) }
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |found| found.len())
}

/// Runs a server while another process asks it, and until all is done. Its wall time is that of the requests.
fn ask(
    mut server: Command,
    port: u16,
    events: &Events,
    mut is_done: impl FnMut() -> Result<bool, BoxError>,
) -> Result<Cost, BoxError> {
    server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut client: Option<JoinHandle<Result<Vec<f64>, String>>> = None;
    let cost = Running::start(&mut server)?.finish(|elapsed| {
        if elapsed > LIMIT {
            return Err("it took too long".into());
        }
        if client.is_none() && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            let (port, file) = (port.to_string(), events.file.display().to_string());
            client = Some(std::thread::spawn(move || role(&["ask", &port, &file]).map_err(|error| error.to_string())));
        }
        Ok(client.as_ref().is_some_and(JoinHandle::is_finished) && is_done()?)
    })?;
    match client.map(JoinHandle::join) {
        Some(Ok(Ok(figures))) => Ok(Cost { wall: figures[1], ..cost }),
        Some(Ok(Err(error))) => Err(error.into()),
        _ => Err("it never listened".into()),
    }
}

/// Posts each line of a file by itself, over so many connections, each the next one when it has an answer.
pub(crate) fn client(port: &str, file: &str) -> Result<Vec<f64>, BoxError> {
    let (text, port) = (fs::read(file)?, port.parse::<u16>()?);
    let request = |line: &[u8]| [head("POST", "/v1/events", MEDIA_TYPE, line.len()).as_bytes(), line].concat();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let requests: Rc<Vec<Vec<u8>>> = Rc::new(lines.map(request).collect());
    let next = Rc::new(Cell::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let clock = Clock::start();
        let post = |stream| tokio::task::spawn_local(post(stream, requests.clone(), next.clone()));
        let posting: Vec<_> = streams.into_iter().map(post).collect();
        for done in posting {
            done.await??;
        }
        Ok(clock.stop())
    })
}

async fn post(
    mut stream: tokio::net::TcpStream,
    requests: Rc<Vec<Vec<u8>>>,
    next: Rc<Cell<usize>>,
) -> Result<(), BoxError> {
    let mut answer = [0; 4096];
    while let Some(request) = requests.get(next.replace(next.get() + 1)) {
        stream.write_all(request).await?;
        let mut filled = 0;
        while !is_whole(&answer[..filled])? {
            match stream.read(&mut answer[filled..]).await? {
                0 => return Err("the server hung up".into()),
                more => filled += more,
            }
        }
    }
    Ok(())
}

/// True if this is an answer with its body, which has to be that one event was taken.
fn is_whole(answer: &[u8]) -> Result<bool, BoxError> {
    let whole = answer.starts_with(b"HTTP/1.1 202 Accepted\r\n") && answer.ends_with(ANSWER.as_bytes());
    if !whole && answer.ends_with(b"}") {
        return Err(String::from_utf8_lossy(answer).into());
    }
    Ok(whole)
}

const ANSWER: &str = r#"{"accepted":1}"#;

/// The least that a server on hyper can do: it reads each body and says the same as `hooks serve`, with hyper's own limit
/// of time for heads.
pub(crate) fn answer(port: &str) -> Result<Vec<f64>, BoxError> {
    let port = port.parse::<u16>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service_fn(taken));
            tokio::task::spawn_local(async move { connection.await.is_ok() });
        }
    })
}

async fn taken(request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    let body = request.into_body().collect().await?.to_bytes();
    std::hint::black_box(body);
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
