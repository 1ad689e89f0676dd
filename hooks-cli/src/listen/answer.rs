//! The answer to a request.

use std::time::Duration;

use http::StatusCode;

use super::fault::Fault;

/// An answer, before it is written, well or badly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// The time that it is held back.
    pub(crate) after: Duration,
    /// The fault with which it is given.
    pub(crate) fault: Option<Fault>,
}

impl Answer {
    /// An answer with this status and nothing else.
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), after: Duration::ZERO, fault: None }
    }

    /// A status and a line of text that says why.
    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self { body: format!("{text}\n").into_bytes(), ..Self::status(status) }.header("content-type", "text/plain")
    }

    /// 200 with the events that were refused.
    pub(crate) fn failures<'a>(ids: impl IntoIterator<Item = &'a str>) -> Self {
        let body = hooks_verify::refused(ids).into_bytes();
        Self { body, ..Self::status(200) }.header("content-type", "application/json")
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The status line and the headers, without the line that ends them.
    pub(crate) fn head(&self) -> String {
        let reason = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason.unwrap_or_default());
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head
    }

    /// The bytes of the answer, as they are written when all goes well.
    pub(crate) fn bytes(&self, keeps_alive: bool) -> Vec<u8> {
        let mut head = self.head();
        // These statuses have no body, and so no length (RFC 9110, 8.6).
        if !matches!(self.status, 204 | 304) {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        if !keeps_alive {
            head.push_str("connection: close\r\n");
        }
        head.push_str("\r\n");
        let body: &[u8] = if matches!(self.status, 204 | 304) { b"" } else { &self.body };
        [head.as_bytes(), body].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(answer: &Answer, keeps_alive: bool) -> String {
        String::from_utf8(answer.bytes(keeps_alive)).unwrap()
    }

    #[test]
    fn answers_are_written_whole() {
        let answer = Answer::text(503, "later").header("retry-after", "7");
        assert_eq!(
            written(&answer, true),
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nretry-after: 7\r\ncontent-length: 6\r\n\r\nlater\n"
        );
        assert_eq!(
            written(&Answer::status(299), false),
            "HTTP/1.1 299 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        assert_eq!(
            written(&Answer { body: b"x".to_vec(), ..Answer::status(204) }, true),
            "HTTP/1.1 204 No Content\r\n\r\n"
        );
    }

    #[test]
    fn refused_events_are_named() {
        let answer = Answer::failures(["a", "\"b\""]);
        assert!(answer.is_success());
        assert_eq!(
            String::from_utf8(answer.body).unwrap(),
            r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"\"b\""}]}"#
        );
    }
}
