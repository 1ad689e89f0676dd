//! A running `hooks serve`, and just enough of HTTP to talk to it and to others.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use super::bench::{Bench, write};
use crate::workspace::Done;

/// Longest wait for anything.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// Pause between two looks at something that tells nobody when it is done.
const PAUSE: Duration = Duration::from_millis(50);

/// A program that runs until this is dropped.
pub(super) struct Running(Child);

impl Running {
    pub(super) fn start(command: &mut Command) -> Result<Self, String> {
        Self::start_printing(command, Stdio::null())
    }

    pub(super) fn start_printing(command: &mut Command, out: Stdio) -> Result<Self, String> {
        command.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped());
        command.spawn().map(Self).map_err(|error| format!("can't run {command:?}: {error}"))
    }

    /// Reads what it says until a line with this text, and gives that.
    pub(super) fn wait_for(&mut self, text: &str) -> Result<String, String> {
        let mut stderr = BufReader::new(self.0.stderr.take().ok_or("nothing is to be read")?);
        let mut seen = String::new();
        loop {
            let begin = seen.len();
            match stderr.read_line(&mut seen) {
                Ok(0) => return Err(format!("it ended without `{text}`:\n{seen}")),
                Ok(_) if seen[begin..].contains(text) => break,
                Ok(_) => {}
                Err(error) => return Err(format!("can't read what it says: {error}")),
            }
        }
        let line = seen.lines().next_back().unwrap_or_default().to_owned();
        // What it says from now on is read, so that it does not wait for that.
        std::thread::spawn(move || drain(stderr));
        Ok(line)
    }
}

fn drain(mut stderr: BufReader<ChildStderr>) {
    let _ = std::io::copy(&mut stderr, &mut std::io::sink());
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A `hooks serve`.
pub(super) struct Server {
    running: Running,
    pub(super) address: SocketAddr,
}

impl Server {
    /// Starts a daemon with these hooks, listening anywhere.
    pub(super) fn start(bench: &Bench, hooks: &str) -> Result<Self, String> {
        let file = bench.path("hooks.toml");
        write(&file, &format!("ingest.listen = '127.0.0.1:0'\n{hooks}"))?;
        let mut running = Running::start(Command::new(&bench.hooks).arg("serve").arg("-c").arg(&file))?;
        let line = running.wait_for("serving address=")?;
        let address = line.split(['=', ' ']).find_map(|word| word.parse().ok());
        Ok(Self { running, address: address.ok_or_else(|| format!("no address in `{line}`"))? })
    }

    /// Publishes events, a line each.
    pub(super) fn publish(&self, lines: &str) -> Done {
        let head = "content-type: application/x-ndjson\r\n";
        let answer = exchange(self.address, "POST", "/v1/events", head, lines)?;
        if answer.starts_with("{\"accepted\":") { Ok(()) } else { Err(format!("hooks did not accept: {answer}")) }
    }

    /// Has it deliver everything and end.
    pub(super) fn stop(mut self) -> Done {
        let id = self.running.0.id().to_string();
        let sent = Command::new("kill").arg("-TERM").arg(id).status();
        sent.map_err(|error| format!("can't run kill: {error}"))?;
        let status = self.running.0.wait().map_err(|error| format!("wait for hooks: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("hooks ended with {status}")) }
    }
}

/// One event, with its number in it.
pub(super) fn event(number: usize) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{number}","source":"/integration","type":"test.counted","time":"2026-11-23T10:00:00Z","data":{{"n":{number}}}}}"#
    )
}

/// The body of what is answered.
pub(super) fn get(address: SocketAddr, path: &str, head: &str) -> Result<String, String> {
    exchange(address, "GET", path, head, "")
}

/// The body of what is answered to a request with these lines in its head.
pub(super) fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    head: &str,
    body: &str,
) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{method} http://{address}{path}: {error}");
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(STEP_TIMEOUT)).map_err(failed)?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{head}content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    body.ok_or_else(|| format!("{method} http://{address}{path}: no answer"))
}

/// Looks again and again until there is something.
pub(super) fn wait_until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>, String>) -> Result<T, String> {
    let begin = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if begin.elapsed() > STEP_TIMEOUT {
            return Err(format!("{what}: not so after {} s", STEP_TIMEOUT.as_secs()));
        }
        // tidy-allow(thread-sleep): other people's programs tell nobody when they are done
        std::thread::sleep(PAUSE);
    }
}
