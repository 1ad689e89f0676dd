//! Kills `hooks serve` while clients publish to it: what it answered with 202 arrives, at a webhook and in a
//! file.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::common::{NUMBERS, Random, clock};
use super::http::{Client, event, numbers};
use super::process::Daemon;
use super::receiver::Receiver;
use super::record::{PUBLISHERS, Record, Totals, Wanted};

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
    let mut last = place.start()?;
    let path: Arc<str> = "/".into();
    let due = record.accepted().iter().map(|number| (path.clone(), *number)).collect();
    receiver.wait_for(due).map_err(|why| format!("{why}:\n{}", last.said()))?;
    last.stop()?;
    std::fs::write(place.folder.join("web.out"), web_lines(&receiver)).map_err(|error| format!("web.out: {error}"))?;
    place.number_file()?;
    record.check(&place.folder, &HOOKS)
}

/// One life: clients publish until it is killed.
fn live(place: &Place, receiver: &Receiver, first: u64, limit: Duration, record: &mut Record) -> Result<(), String> {
    let mut daemon = place.start()?;
    let (accepted, heard) = sync_channel(1024);
    let clients: Vec<_> = (0..PUBLISHERS)
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
    let sent = clock();
    daemon.kill()?;
    receiver.finish()?;
    record.killed(sent);
    // What it answered before it was killed counts.
    heard.iter().for_each(|numbers| record.accept(numbers));
    clients.into_iter().try_for_each(|client| client.join().map_err(|_| "a client has panicked".to_owned()))
}

/// Publishes numbers in rising order until the connection breaks; says which were accepted.
fn publish(address: SocketAddr, first: u64, accepted: &SyncSender<Vec<u64>>) {
    let Some(mut client) = Client::connect(address) else { return };
    let mut next = first;
    loop {
        let count = 1 + next / PUBLISHERS % 7;
        let numbers: Vec<u64> = (0..count).map(|index| next + index * PUBLISHERS).collect();
        next += count * PUBLISHERS;
        if client.publish(&numbers).is_none_or(|(status, _)| status != 202) || accepted.send(numbers).is_err() {
            return;
        }
    }
}

/// What came over HTTP, as the record wants it.
pub(super) fn web_lines(receiver: &Receiver) -> String {
    let mut lines = String::new();
    for arrival in receiver.arrived() {
        let _ = writeln!(lines, "{} {}", arrival.at.as_millis(), arrival.number);
    }
    lines
}

/// The program and the folder of a daemon.
pub(super) struct Place {
    pub(super) program: PathBuf,
    pub(super) folder: PathBuf,
}

impl Place {
    pub(super) fn start(&self) -> Result<Daemon, String> {
        Daemon::start(&self.program, &self.folder.join("hooks.toml"))
    }

    fn write_config(&self, receiver: SocketAddr) -> Result<(), String> {
        let config = format!(
            "ingest.listen = '127.0.0.1:0'\nbus = {{ kind = 'durable', segment_size = '64KiB', max_bytes = '1GiB' }}\n\
             [[hooks]]\nid = 'web'\nfrom = 'earliest'\nbatch = {{ max_age = '1ms' }}\nsink = {{ kind = 'http', url = 'http://{receiver}/' }}\n\
             retry = {{ initial = '1ms', max = '5ms' }}\n\
             [[hooks]]\nid = 'file'\nfrom = 'earliest'\nsink = {{ kind = 'file', path = '${{CONFIG_DIR}}/file.jsonl' }}\n"
        );
        self.write(&config)
    }

    pub(super) fn write(&self, config: &str) -> Result<(), String> {
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
