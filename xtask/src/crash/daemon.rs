//! Kills `hooks serve` while clients publish to it: what it answered with 202 arrives, at a webhook and in a
//! file.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::common::{NUMBERS, Random, STEP_TIMEOUT, clock};
use super::record::{Record, Totals, Wanted};

/// Clients that publish at the same time. Events with the same remainder are one client's, in rising order.
const CLIENTS: u64 = 4;

/// The events that the hooks receive.
const HOOKS: [(&str, Wanted); 2] = [("web", |_| true), ("file", |_| true)];

/// Several lives in one folder, each killed; then everything is delivered and checked.
pub(super) fn chain(program: &Path, lives: u64, random: &mut Random) -> Result<Totals, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("a folder for the files: {error}"))?;
    let receiver = Receiver::start()?;
    let place = Place { program: program.to_owned(), folder: folder.path().to_owned() };
    place.write_config(receiver.address)?;
    let mut record = Record::default();
    for life in 0..lives {
        let limit = Duration::from_micros(random.below(4) * random.below(60_000));
        live(&place, &receiver, life * NUMBERS, limit, &mut record)?;
    }
    let mut last = Daemon::start(&place)?;
    last.deliver(&record, &receiver)?;
    std::fs::write(place.folder.join("web.out"), receiver.lines()).map_err(|error| format!("web.out: {error}"))?;
    place.number_file()?;
    record.check(&place.folder, &HOOKS)
}

/// One life: clients publish until it is killed.
fn live(place: &Place, receiver: &Receiver, first: u64, limit: Duration, record: &mut Record) -> Result<(), String> {
    let mut daemon = Daemon::start(place)?;
    let (accepted, heard) = sync_channel(1024);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (accepted, address) = (accepted.clone(), daemon.address);
            std::thread::spawn(move || publish(address, first + client, &accepted))
        })
        .collect();
    drop(accepted);
    let until = Instant::now() + limit;
    loop {
        match heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(numbers) => record.accept(numbers),
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => return Err(format!("it ended by itself: {}", daemon.said())),
        }
    }
    daemon.kill()?;
    receiver.finish()?;
    record.killed(clock());
    // What it answered before it was killed counts.
    heard.iter().for_each(|numbers| record.accept(numbers));
    clients.into_iter().try_for_each(|client| client.join().map_err(|_| "a client has panicked".to_owned()))
}

/// Publishes numbers in rising order until the connection breaks; says which were accepted.
fn publish(address: SocketAddr, first: u64, accepted: &SyncSender<Vec<u64>>) {
    let Ok(stream) = TcpStream::connect(address) else { return };
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut answers = BufReader::new(stream);
    let mut next = first;
    loop {
        let count = 1 + next / CLIENTS % 7;
        let numbers: Vec<u64> = (0..count).map(|index| next + index * CLIENTS).collect();
        next += count * CLIENTS;
        let body: String = numbers.iter().map(|number| event(*number) + "\n").collect();
        let request = format!(
            "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if writer.write_all(request.as_bytes()).is_err()
            || read_message(&mut answers).is_none_or(|(line, _)| !line.contains(" 202 "))
        {
            return;
        }
        if accepted.send(numbers).is_err() {
            return;
        }
    }
}

fn event(number: u64) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{number}","source":"/crash","type":"crash.test","subject":"{}","time":"2026-11-23T10:00:00Z","data":{{"n":{number}}}}}"#,
        number % CLIENTS
    )
}

/// The first line and the body of a request or an answer.
fn read_message(stream: &mut impl std::io::BufRead) -> Option<(String, String)> {
    let mut head = String::new();
    let mut length = 0;
    let mut first = String::new();
    loop {
        head.clear();
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
        let line = head.trim_end();
        if line.is_empty() {
            break;
        }
        if first.is_empty() {
            line.clone_into(&mut first);
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((first, String::from_utf8(body).ok()?))
}

/// The numbers in a text of events, in order.
fn numbers(text: &str) -> impl Iterator<Item = u64> {
    text.split("\"id\":\"").skip(1).filter_map(|rest| rest.split('"').next()?.parse().ok())
}

/// A webhook receiver that takes everything and remembers when.
struct Receiver {
    address: SocketAddr,
    arrived: Arc<Mutex<Vec<(Duration, u64)>>>,
    open: Arc<Open>,
}

/// The number of open connections.
#[derive(Default)]
struct Open {
    count: Mutex<usize>,
    closed: Condvar,
}

impl Receiver {
    fn start() -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| format!("a receiver: {error}"))?;
        let address = listener.local_addr().map_err(|error| format!("a receiver: {error}"))?;
        let arrived: Arc<Mutex<Vec<_>>> = Arc::default();
        let (list, open) = (arrived.clone(), Arc::<Open>::default());
        let opened = open.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (list, opened) = (list.clone(), opened.clone());
                opened.count.lock().iter_mut().for_each(|count| **count += 1);
                std::thread::spawn(move || {
                    receive(stream, &list);
                    opened.count.lock().iter_mut().for_each(|count| **count -= 1);
                    opened.closed.notify_all();
                });
            }
        });
        Ok(Self { address, arrived, open })
    }

    /// Waits until everything is written down that a daemon sent before it was killed.
    fn finish(&self) -> Result<(), String> {
        let failed = |error| format!("the receiver: {error}");
        // Connections are taken in their order: when this one is answered, all from before are counted.
        let mut last = TcpStream::connect(self.address).map_err(failed)?;
        last.write_all(b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n").map_err(failed)?;
        read_message(&mut BufReader::new(last)).ok_or("the receiver does not answer")?;
        let count = self.open.count.lock().map_err(|_| "the receiver has panicked")?;
        let waited = self.open.closed.wait_timeout_while(count, STEP_TIMEOUT, |count| *count > 0);
        match waited {
            Ok((_, waited)) if !waited.timed_out() => Ok(()),
            _ => Err("connections stay open after a kill".to_owned()),
        }
    }

    fn lines(&self) -> String {
        let mut text = String::new();
        for (at, number) in self.arrived.lock().iter().flat_map(|list| list.iter()) {
            let _ = writeln!(text, "{} {number}", at.as_millis());
        }
        text
    }

    fn has(&self, record: &Record) -> bool {
        let there: BTreeSet<u64> =
            self.arrived.lock().iter().flat_map(|list| list.iter().map(|(_, number)| *number)).collect();
        record.accepted().is_subset(&there)
    }
}

fn receive(stream: TcpStream, arrived: &Mutex<Vec<(Duration, u64)>>) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some((_, body)) = read_message(&mut reader) {
        let at = clock();
        if let Ok(mut list) = arrived.lock() {
            list.extend(numbers(&body).map(|number| (at, number)));
        }
        if writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

/// The program and the folder of a daemon.
struct Place {
    program: PathBuf,
    folder: PathBuf,
}

impl Place {
    fn write_config(&self, receiver: SocketAddr) -> Result<(), String> {
        let config = format!(
            "ingest.listen = '127.0.0.1:0'\nbus = {{ kind = 'durable', segment_size = '64KiB', max_bytes = '1GiB' }}\n\
             [[hooks]]\nid = 'web'\nfrom = 'earliest'\nbatch = {{ max_age = '1ms' }}\nsink = {{ kind = 'http', url = 'http://{receiver}/' }}\n\
             retry = {{ initial = '1ms', max = '5ms' }}\n\
             [[hooks]]\nid = 'file'\nfrom = 'earliest'\nsink = {{ kind = 'file', path = '${{CONFIG_DIR}}/file.jsonl' }}\n"
        );
        std::fs::write(self.folder.join("hooks.toml"), config).map_err(|error| format!("hooks.toml: {error}"))
    }

    /// The file's content, as the record wants it: whole lines, each an event.
    fn number_file(&self) -> Result<(), String> {
        let written =
            std::fs::read_to_string(self.folder.join("file.jsonl")).map_err(|error| format!("file.jsonl: {error}"))?;
        let mut lines = String::new();
        for line in written.lines() {
            let number = numbers(line).next().filter(|number| line == event(*number));
            let number = number.ok_or_else(|| format!("hook file: `{line}` is no event"))?;
            let _ = writeln!(lines, "- {number}");
        }
        std::fs::write(self.folder.join("file.out"), lines).map_err(|error| format!("file.out: {error}"))
    }
}

/// A daemon that runs.
struct Daemon {
    child: Child,
    address: SocketAddr,
    said: Arc<Mutex<String>>,
}

impl Daemon {
    fn start(place: &Place) -> Result<Self, String> {
        let mut command = Command::new(&place.program);
        command.args(["serve", "-c"]).arg(place.folder.join("hooks.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("can't start hooks: {error}"))?;
        let stderr = child.stderr.take().ok_or("it has no stderr")?;
        let (ready, listening) = sync_channel(1);
        let said: Arc<Mutex<String>> = Arc::default();
        let heard = said.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let address = line
                    .contains("serving address=")
                    .then(|| line.split(['=', ' ']).find_map(|word| word.parse().ok()));
                if let Some(address) = address.flatten() {
                    let _ = ready.try_send(address);
                }
                heard.lock().iter_mut().for_each(|said| **said += &(line.clone() + "\n"));
            }
        });
        let address = listening.recv_timeout(STEP_TIMEOUT);
        let mut daemon = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), said };
        match address {
            Ok(address) => daemon.address = address,
            Err(_) => {
                let _ = daemon.kill();
                return Err(format!("it did not start:\n{}", daemon.said()));
            }
        }
        Ok(daemon)
    }

    fn said(&self) -> String {
        self.said.lock().map(|said| said.clone()).unwrap_or_default()
    }

    fn kill(&mut self) -> Result<(), String> {
        self.child.kill().map_err(|error| format!("can't kill it: {error}"))?;
        self.child.wait().map(drop).map_err(|error| format!("can't wait for it: {error}"))
    }

    /// Waits until everything has arrived at the receiver, then stops it in order.
    fn deliver(&mut self, record: &Record, receiver: &Receiver) -> Result<(), String> {
        let begin = Instant::now();
        while !receiver.has(record) {
            if begin.elapsed() > STEP_TIMEOUT {
                return Err(format!("not everything arrived:\n{}", self.said()));
            }
            std::thread::yield_now();
        }
        let mut kill = Command::new("kill");
        kill.arg("-TERM").arg(self.child.id().to_string());
        crate::workspace::output(&mut kill)?;
        let status = self.child.wait().map_err(|error| format!("can't wait for it: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("it ended with {status}:\n{}", self.said())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found() {
        let text = format!("[{},{}]", event(4), event(17));
        assert_eq!(numbers(&text).collect::<Vec<_>>(), [4, 17]);
    }

    #[test]
    fn a_message_is_read_to_its_end() {
        let mut stream = &b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nokPOST"[..];
        assert_eq!(read_message(&mut stream), Some(("HTTP/1.1 202 Accepted".to_owned(), "ok".to_owned())));
        assert_eq!(read_message(&mut stream), None);
    }
}
