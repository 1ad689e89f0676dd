//! `hooks serve` from outside.

mod alerts;
mod answers;
mod apply;
mod attempts;
mod bounds;
mod clear;
mod contended;
mod crash_loop;
mod crowd;
mod dead_letters;
mod disabling;
mod duplicates;
mod durable;
mod files;
mod grants;
mod health;
mod hostile;
mod keys;
mod lifecycle;
mod load;
mod log;
mod logs;
pub(crate) mod managed;
#[cfg(feature = "nats")]
mod nats;
mod odd_answers;
mod openapi;
mod operators;
mod outcomes;
mod overview;
mod pages;
mod past;
#[cfg(feature = "postgres")]
mod postgres;
mod reload;
mod remote;
mod resends;
mod rights;
mod sealed;
mod seeks;
mod soak;
mod telemetry;
mod tenants;
mod verify;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use hooks_test::LATE;

use crate::command::{Ended, Place, Running};

/// A `hooks serve` that is ready, in a folder with its config file.
pub(crate) struct Daemon {
    pub(crate) place: Place,
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
}

impl Daemon {
    /// With this config, which says nothing of where to listen.
    pub(crate) fn start(config: &str) -> Self {
        Self::with(config, &[])
    }

    pub(crate) fn with(config: &str, arguments: &[&str]) -> Self {
        let place = Place::new(&listening(config));
        let mut command = place.hooks(&["serve", "-c", "hooks.toml"]);
        command.args(arguments);
        Self::of(place, Running::of(command))
    }

    pub(crate) fn in_environment(config: &str, variables: &[(&str, &str)]) -> Self {
        let place = Place::new(&listening(config));
        let mut command = place.hooks(&["serve", "-c", "hooks.toml"]);
        command.envs(variables.iter().copied());
        Self::of(place, Running::of(command))
    }

    pub(crate) fn of(place: Place, mut running: Running) -> Self {
        let line = running.wait_for("serving");
        let address = line.split(['=', ' ', '"']).find_map(|word| word.parse().ok()).unwrap();
        Self { place, running, address }
    }

    pub(crate) fn post(&self, content_type: &str, body: impl AsRef<[u8]>) -> Answer {
        self.post_with(&format!("content-type: {content_type}\r\n"), body)
    }

    pub(crate) fn post_with(&self, headers: &str, body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let head = format!("POST /v1/events HTTP/1.1\r\nhost: a\r\n{headers}content-length: {}\r\n\r\n", body.len());
        self.exchange([head.as_bytes(), body].concat())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.exchange(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
    }

    /// Sends these bytes on a connection of their own and reads one answer.
    pub(crate) fn exchange(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect();
        client.send(request);
        client.answer()
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Writes another config file and has it read.
    pub(crate) fn reload(&self, config: &str) {
        std::fs::write(self.place.path("hooks.toml"), listening(config)).unwrap();
        self.running.signal("HUP");
    }

    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let page = self.get("/metrics").body;
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        value.map(|value| value.parse().unwrap())
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(self) -> Place {
        self.running.signal("KILL");
        self.running.wait();
        self.place
    }

    /// Starts it again.
    pub(crate) fn again(place: Place) -> Self {
        let command = place.hooks(&["serve", "-c", "hooks.toml"]);
        Self::of(place, Running::of(command))
    }

    pub(crate) fn stop(self) -> Ended {
        self.running.signal("TERM");
        self.running.wait()
    }
}

/// Looks until it is so.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LATE, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

/// The config with a place to listen, unless it has one.
fn listening(config: &str) -> String {
    if config.contains("listen =") { config.to_owned() } else { format!("ingest.listen = '127.0.0.1:0'\n{config}") }
}

/// One event or many, as JSON.
pub(crate) const JSON: &str = "application/json";

/// An event a line.
pub(crate) const LINES: &str = "application/x-ndjson";

/// A line for a config: events stay in the process.
pub(crate) const MEMORY: &str = "bus.kind = 'memory'\n";

/// A hook that writes a file.
pub(crate) fn file_hook(id: &str) -> String {
    format!("[[hooks]]\nid = '{id}'\nsink = {{ kind = 'file', path = '${{CONFIG_DIR}}/{id}' }}\n")
}

/// A hook with a receiver.
pub(crate) fn http_hook(id: &str, url: &str) -> String {
    format!(
        "[[hooks]]\nid = '{id}'\nsink = {{ kind = 'http', url = '{url}' }}\nretry = {{ initial = '1ms', max = '2ms' }}\n"
    )
}

/// A connection.
pub(crate) struct Client<S = TcpStream> {
    stream: S,
    read: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { stream, read: Vec::new() }
    }

    pub(crate) fn end_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}

impl Client<UnixStream> {
    /// To the operators' socket of a daemon in this place.
    pub(crate) fn operator(place: &Place) -> Self {
        let stream = UnixStream::connect(place.path("hooks-data/operator.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { stream, read: Vec::new() }
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// True if the other side still took it.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer")
    }

    /// The next answer, or `None` when the connection is closed without one.
    pub(crate) fn try_answer(&mut self) -> Option<Answer> {
        loop {
            if let Some((answer, length)) = Answer::parse(&self.read) {
                self.read.drain(..length);
                return Some(answer);
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(length) => self.read.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no answer: {error}: {}", String::from_utf8_lossy(&self.read)),
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case, a line each.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let text = String::from_utf8_lossy(bytes);
        let (head, rest) = text.split_once("\r\n\r\n")?;
        let head = head.to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        let status = head.split(' ').nth(1)?.parse().unwrap();
        let body = rest.get(..length)?.to_owned();
        Some((Self { status, body, head: head.clone() }, head.len() + 4 + length))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}
