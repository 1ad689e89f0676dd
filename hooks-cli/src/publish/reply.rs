//! The meaning of an answer of `hooks serve`.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

/// An answer, or that there was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Every event is accepted: so many, where that is said. The bus had some already.
    Accepted { events: Option<u64>, duplicates: u64 },
    /// These are no events, and nothing was accepted.
    Faults(Vec<Fault>),
    /// More than the server takes at a time.
    TooLarge(String),
    /// Not now, or there was none. Waits at least so long, if the server asked for it. Where it is open, the events may
    /// have been accepted all the same.
    Later { after: Option<Duration>, why: String, is_open: bool },
    /// These events, from and to, counted from 1, were accepted; the rest was answered so.
    Partly { accepted: Vec<[usize; 2]>, rest: Box<Reply> },
    /// Never: repeating it changes nothing.
    Never(String),
}

/// The fault of an event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Fault {
    /// Line of the body, from 1.
    pub(crate) line: usize,
    pub(crate) reason: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Body {
    error: String,
    faults: Vec<Fault>,
    accepted: Option<u64>,
    duplicates: u64,
    accepted_events: Vec<[usize; 2]>,
}

/// Most characters of what a server says that are shown.
const SHOWN: usize = 500;

/// The longest pause that a server can ask for.
const LONGEST: Duration = Duration::from_secs(3600);

impl Reply {
    /// From a status (RFC 9110), the value of Retry-After, and the body.
    pub(crate) fn new(status: http::StatusCode, retry_after: Option<&str>, body: &[u8], now: SystemTime) -> Self {
        let body = serde_json::from_slice::<Body>(body).unwrap_or_default();
        let error = if body.error.is_empty() { String::new() } else { format!(": {}", shown(&body.error)) };
        let why = format!("{status}{error}");
        let (count, accepted) = (body.accepted, body.accepted_events);
        let rest = match status.as_u16() {
            202 => return Self::Accepted { events: count, duplicates: body.duplicates },
            // Whoever says so may have thrown the events away.
            200..=299 => Self::Never(format!("{why}: `hooks serve` answers 202: is this one?")),
            400 if !body.faults.is_empty() => Self::Faults(body.faults.into_iter().map(Fault::shown).collect()),
            413 => Self::TooLarge(why),
            408 | 425 | 429 | 500.. => {
                let after = retry_after.and_then(|value| pause(value, now));
                Self::Later { after, why, is_open: status.is_server_error() && status.as_u16() != 507 }
            }
            _ => Self::Never(why),
        };
        if accepted.is_empty() { rest } else { Self::Partly { accepted, rest: Box::new(rest) } }
    }
}

impl Fault {
    fn shown(self) -> Self {
        Self { reason: shown(&self.reason), ..self }
    }
}

/// As one line, and a short one, whatever the server says.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN).map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// Seconds, or a date (RFC 9110, 10.2.3). Anything else is as if it was not there.
fn pause(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds).min(LONGEST));
    }
    let seconds = jiff::fmt::rfc2822::parse(value).ok()?.timestamp().as_second();
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.try_into().ok()?);
    Some(date.duration_since(now).unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, retry_after: Option<&str>, body: &str) -> Reply {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        Reply::new(http::StatusCode::from_u16(status).unwrap(), retry_after, body.as_bytes(), now)
    }

    #[test]
    fn every_status_has_a_meaning() {
        assert_eq!(reply(202, None, r#"{"accepted":3}"#), Reply::Accepted { events: Some(3), duplicates: 0 });
        let twice = Reply::Accepted { events: Some(3), duplicates: 2 };
        assert_eq!(reply(202, None, r#"{"accepted":3,"duplicates":2}"#), twice);
        assert_eq!(reply(202, None, ""), Reply::Accepted { events: None, duplicates: 0 });
        let faults = r#"{"error":"x","faults":[{"line":2,"column":1,"reason":"no `type`"}]}"#;
        assert_eq!(reply(400, None, faults), Reply::Faults(vec![Fault { line: 2, reason: "no `type`".to_owned() }]));
        for status in [200, 201, 204] {
            let reply = reply(status, None, "<html>");
            assert!(matches!(&reply, Reply::Never(why) if why.ends_with("answers 202: is this one?")), "{reply:?}");
        }
        for status in [400, 301, 401, 403, 404, 405, 415] {
            let reply = reply(status, Some("1"), r#"{"error":"because"}"#);
            assert!(matches!(&reply, Reply::Never(why) if why.ends_with(": because")), "{reply:?}");
        }
        assert_eq!(reply(413, None, "<html>"), Reply::TooLarge("413 Payload Too Large".to_owned()));
        for (status, open) in
            [(408, false), (429, false), (507, false), (500, true), (502, true), (503, true), (504, true)]
        {
            let reply = reply(status, None, "");
            assert!(matches!(reply, Reply::Later { after: None, is_open, .. } if is_open == open), "{status}");
        }
    }

    #[test]
    fn what_a_server_says_is_shown_as_one_short_line() {
        let body =
            format!(r#"{{"error":"\u001b[31m\nno {}","faults":[{{"line":1,"reason":"a\rb"}}]}}"#, "x".repeat(9_000));
        let Reply::Never(why) = reply(401, None, &body) else { panic!("401 ends it") };
        assert!(why.starts_with("401 Unauthorized:  [31m no xxx") && why.len() < 600, "{why}");
        assert_eq!(reply(400, None, &body), Reply::Faults(vec![Fault { line: 1, reason: "a b".to_owned() }]));
    }

    #[test]
    fn what_was_accepted_in_part_is_known() {
        let body = r#"{"error":"full","accepted":3,"accepted_events":[[1,2],[4,4]]}"#;
        let rest =
            Box::new(Reply::Later { after: None, why: "507 Insufficient Storage: full".to_owned(), is_open: false });
        assert_eq!(reply(507, None, body), Reply::Partly { accepted: vec![[1, 2], [4, 4]], rest });
    }

    #[test]
    fn retry_after_in_every_form() {
        let after = |value| match reply(503, Some(value), "") {
            Reply::Later { after, .. } => after.map(|after| after.as_secs()),
            other => panic!("{other:?}"),
        };
        for (value, seconds) in [
            ("7", Some(7)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("999999", Some(3_600)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(after(value), seconds, "{value}");
        }
    }
}
