//! The durable bus and `hooks serve`, beside the memory bus and `hooks pipe`.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use hooks_core::BoxError;

use crate::bare::bodies;
use crate::contest::{Contestant, Results, Verdict};
use crate::events::Events;
use crate::peers::free_port;
use crate::pipe::{arrive, pipe, webhook_config, written};
use crate::process::{Cost, Running, cost};
use crate::receiver::Receiver;
use crate::{Report, Setup};

/// `hooks pipe` on the durable bus, to a webhook, beside the memory bus and a bare loop that keeps events safe.
pub(crate) fn durable(setup: &Setup) -> Result<Report, BoxError> {
    let (receiver, events) = (Receiver::start()?, &setup.events);
    let memory = webhook_config(&setup.folder, &receiver.url())?;
    let log = setup.folder.join("log");
    let text = format!("[bus]\nkind = \"durable\"\ndir = \"{}\"\n\n{}", log.display(), fs::read_to_string(&memory)?);
    let durable = written(setup.folder.join("durable.toml"), &text)?;
    let (to, from) = (setup.folder.join("bare.log").display().to_string(), events.file.display().to_string());
    let contestants = vec![
        Contestant::new("bare log", || cost(&["log", &to, &from])),
        Contestant::new("memory bus", || arrive(&receiver, events, || pipe(&memory, &events.file))),
        Contestant::new("durable bus", || {
            if log.exists() {
                fs::remove_dir_all(&log)?;
            }
            arrive(&receiver, events, || pipe(&durable, &events.file))
        }),
    ];
    let results = Results::of(contestants, setup.rounds, events.millions())?;
    let ratio = results.ratio("durable bus", &["memory bus"]);
    let verdicts = vec![Verdict::at_most("durable bus → webhook, by the memory bus", ratio, " ×", 1.6)];
    let beside = results.ratio("durable bus", &["memory bus", "bare log"]);
    let note = format!("By the memory bus and the bare log together: {beside:.2} ×.");
    Ok(Report { title: "durable bus → webhook", text: format!("{}\n{note}\n", results.table()), verdicts })
}

/// `hooks serve`: HTTP ingest of arrays of 100 to a webhook.
pub(crate) fn serve(setup: &Setup) -> Result<Report, BoxError> {
    let (receiver, events) = (Receiver::start()?, &setup.events);
    let config = webhook_config(&setup.folder, &receiver.url())?;
    let hook = fs::read_to_string(&config)?.replace("sink =", "queue = { overflow = \"block\" }\nsink =");
    let contestants = vec![
        Contestant::new("hooks pipe", || arrive(&receiver, events, || pipe(&config, &events.file))),
        Contestant::new("hooks serve", || arrive(&receiver, events, || serve_once(setup, &hook, &receiver))),
    ];
    let results = Results::of(contestants, setup.rounds, events.millions())?;
    let ratio = results.ratio("hooks serve", &["hooks pipe"]);
    let verdicts = vec![Verdict::at_most("serve → webhook, by pipe", ratio, " ×", 1.5)];
    Ok(Report { title: "HTTP ingest → webhook", text: results.table(), verdicts })
}

fn serve_once(setup: &Setup, hook: &str, receiver: &Receiver) -> Result<Cost, BoxError> {
    let (port, events) = (free_port()?, &setup.events);
    let text = format!("[bus]\nkind = \"memory\"\n\n[ingest]\nlisten = \"127.0.0.1:{port}\"\n\n{hook}");
    let config = written(setup.folder.join("serve.toml"), &text)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_hooks"));
    command.args([OsStr::new("serve"), OsStr::new("-c"), config.as_os_str()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let before = receiver.arrived();
    let mut sender: Option<JoinHandle<io::Result<()>>> = None;
    let cost = Running::start(&mut command)?.finish(|elapsed| {
        if elapsed > Duration::from_secs(120) {
            return Err("it took too long".into());
        }
        if let Some(stream) = sender.is_none().then(|| TcpStream::connect(("127.0.0.1", port)).ok()).flatten() {
            sender = Some(send(stream, &events.file)?);
        }
        let after = receiver.arrived();
        Ok(sender.is_some() && has_all(events, after.0 - before.0, after.1 - before.1))
    })?;
    match sender.map(JoinHandle::join) {
        Some(Ok(sent)) => sent.map(|()| cost).map_err(BoxError::from),
        _ => Err("it never listened".into()),
    }
}

fn has_all(events: &Events, requests: u64, bytes: u64) -> bool {
    bytes >= events.body_bytes(requests)
}

/// Posts everything over one connection, one array after the other.
pub(crate) fn send(mut stream: TcpStream, file: &Path) -> io::Result<JoinHandle<io::Result<()>>> {
    let bodies = bodies(&fs::read(file)?);
    stream.set_nodelay(true)?;
    Ok(std::thread::spawn(move || {
        for body in bodies {
            request(&mut stream, "POST", "/v1/events", "application/cloudevents-batch+json", &body)?;
            accepted(&mut stream)?;
        }
        Ok(())
    }))
}

/// Sends a request.
pub(crate) fn request(
    stream: &mut TcpStream,
    method: &str,
    path: &str,
    media_type: &str,
    body: &[u8],
) -> io::Result<()> {
    stream.write_all(&[head(method, path, media_type, body.len()).as_bytes(), body].concat())
}

/// The head of a request.
pub(crate) fn head(method: &str, path: &str, media_type: &str, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// Reads an answer, which has to be a good one.
pub(crate) fn accepted(stream: &mut TcpStream) -> io::Result<()> {
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut piece)?;
        text.extend_from_slice(&piece[..count]);
        let answer = String::from_utf8_lossy(&text).to_ascii_lowercase();
        let Some((head, body)) = answer.split_once("\r\n\r\n").filter(|_| count > 0) else {
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            continue;
        };
        if !head.starts_with("http/1.1 20") {
            return Err(io::Error::other(answer));
        }
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Ok(());
        }
    }
}
