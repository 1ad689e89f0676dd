//! Just enough of HTTP to be a client of a daemon, and to receive what it delivers.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::record::PUBLISHERS;

/// A connection to a daemon.
pub(super) struct Client {
    writer: TcpStream,
    answers: BufReader<TcpStream>,
}

/// The status and the body of an answer.
pub(super) type Answer = (u16, String);

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        Some(Self { writer: stream.try_clone().ok()?, answers: BufReader::new(stream) })
    }

    /// Asks, and waits for the answer. `None` once the daemon is gone.
    pub(super) fn ask(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Option<Answer> {
        let length = body.len();
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {length}\r\n\r\n{body}");
        self.writer.write_all(request.as_bytes()).ok()?;
        let (line, body) = read_message(&mut self.answers)?;
        Some((line.split(' ').nth(1)?.parse().ok()?, body))
    }

    /// Publishes the events of these numbers.
    pub(super) fn publish(&mut self, numbers: &[u64]) -> Option<Answer> {
        let body: String = numbers.iter().map(|number| event(*number) + "\n").collect();
        self.ask("POST", "/v1/events", "content-type: application/x-ndjson\r\n", &body)
    }
}

/// The event of a number.
pub(super) fn event(number: u64) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{number}","source":"/crash","type":"crash.test","subject":"{}","time":"2026-11-23T10:00:00Z","data":{{"n":{number}}}}}"#,
        number % PUBLISHERS
    )
}

/// The first line and the body of a request or an answer.
pub(super) fn read_message(stream: &mut impl BufRead) -> Option<(String, String)> {
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
pub(super) fn numbers(text: &str) -> impl Iterator<Item = u64> {
    text.split("\"id\":\"").skip(1).filter_map(|rest| rest.split('"').next()?.parse().ok())
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
