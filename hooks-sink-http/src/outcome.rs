//! What a receiver's answer means. No I/O and no clock: an answer goes in, a result comes out.

use std::time::SystemTime;

use hooks_core::{Answer, Batch, BoxError, Delivered, DeliveryError, FailureClass};
use http::header::{CONTENT_ENCODING, RETRY_AFTER};
use http::{HeaderMap, StatusCode};

use crate::failures::{self, Reading};
use crate::mask::Mask;
use crate::retry_after;

/// Most bytes of an answer's body that are kept for people to read.
const DETAIL: usize = 1024;

/// What was asked, as far as the answer's meaning depends on it.
pub(crate) struct Asked<'a> {
    /// For errors, for example `POST https://example.com/hooks`.
    pub(crate) request: &'a str,
    /// What was sent.
    pub(crate) batch: &'a Batch,
    /// What must not be printed.
    pub(crate) mask: &'a Mask,
    /// What a date in `Retry-After` counts from.
    pub(crate) now: SystemTime,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Received {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body, up to the limit.
    pub(crate) body: Vec<u8>,
    /// Where the body ended.
    pub(crate) end: End,
}

/// How a body ended.
#[derive(Debug)]
pub(crate) enum End {
    /// All of it was read.
    Whole,
    /// There is more; reading stopped at the limit.
    Limit,
    /// The connection broke.
    Broken(BoxError),
}

/// Judges an answer.
///
/// A 2xx counts as delivered only when it is certain which events were refused: when its body broke off,
/// is compressed although that was not asked for, or goes on beyond the limit and may still name refused
/// events, the batch is tried again. All other answers are judged by status and headers alone; their body
/// is for people.
pub(crate) fn judge(asked: &Asked<'_>, received: Received) -> Result<Delivered, DeliveryError> {
    let wait = received.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let wait = wait.and_then(|value| retry_after::parse(value, asked.now));
    let answer = answer(asked.mask, &received);
    let outcome = match classify(received.status, wait.is_some()) {
        None => success(asked, received, &answer),
        Some(class) => Err(DeliveryError::new(class, doing(asked, &answer, advice(received.status)))),
    };
    match outcome {
        Ok(delivered) => Ok(delivered.answer(answer)),
        Err(error) => Err(error.retry_after(wait).answer(answer)),
    }
}

/// What a status means, in the order of precedence that ARCHITECTURE.md has; `None` for success.
fn classify(status: StatusCode, has_retry_after: bool) -> Option<FailureClass> {
    match status.as_u16() {
        200..=299 => None,
        410 => Some(FailureClass::Gone),
        413 => Some(FailureClass::TooLarge),
        400 | 415 | 422 => Some(FailureClass::Rejected),
        429 | 502 | 504 => Some(FailureClass::Throttle),
        501 | 505 => Some(FailureClass::Endpoint),
        // What is above 599 is no status; RFC 9110 has it treated like a 5xx.
        408 | 425 | 500.. if has_retry_after => Some(FailureClass::Throttle),
        408 | 425 | 500.. => Some(FailureClass::Retry),
        _ => Some(FailureClass::Endpoint),
    }
}

fn success(asked: &Asked<'_>, received: Received, answer: &Answer) -> Result<Delivered, DeliveryError> {
    let uncertain = |why: &str| DeliveryError::retry(doing(asked, answer, why));
    let whole = match received.end {
        End::Whole => true,
        End::Limit => false,
        End::Broken(cause) => return Err(uncertain(", but the answer broke off").because(cause)),
    };
    if is_encoded(&received) {
        return Err(uncertain(", but the answer is compressed, which was not asked for, and may name refused events"));
    }
    match failures::read(&received.body, whole, asked.batch) {
        Reading::None => Ok(Delivered::all()),
        Reading::Refused(items) => {
            let reason = |item: &str| format!("{}: {}", answer.summary, asked.mask.excerpt(item.as_bytes(), DETAIL));
            let refused = items.into_iter().map(|(index, item)| (index, reason(item).into())).collect();
            Ok(Delivered { refused, ..Delivered::default() })
        }
        Reading::Unfinished => {
            Err(uncertain(", but the answer is longer than max_response_bytes and may name refused events"))
        }
        Reading::Unclear(why) => Err(uncertain(&format!(", but its batchItemFailures are unclear: {why}"))),
    }
}

fn is_encoded(received: &Received) -> bool {
    let mut encodings = received.headers.get_all(CONTENT_ENCODING).iter();
    !received.body.is_empty() && encodings.any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn answer(mask: &Mask, received: &Received) -> Answer {
    let status = received.status;
    let summary = match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    };
    Answer { summary: summary.into(), detail: mask.excerpt(&received.body, DETAIL) }
}

fn doing(asked: &Asked<'_>, answer: &Answer, more: &str) -> String {
    format!("{}: {}{more}", asked.request, answer.summary)
}

fn advice(status: StatusCode) -> &'static str {
    if status.is_redirection() { " (redirects are not followed)" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn received(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Received {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let status = StatusCode::from_u16(status).unwrap();
        Received { status, headers, body: body.as_bytes().to_vec(), end: End::Whole }
    }

    fn judged(received: Received) -> Result<Delivered, DeliveryError> {
        let batch = crate::fuzz::batch(&["a", "b"]);
        let mask = Mask::default();
        let asked = Asked { request: "POST http://h/p", batch: &batch, mask: &mask, now: SystemTime::UNIX_EPOCH };
        judge(&asked, received)
    }

    /// DESIGN, section 8, row by row.
    fn class_of_the_table(status: u16, has_retry_after: bool) -> Option<FailureClass> {
        use FailureClass::*;
        let rows: [(&[u16], FailureClass); 7] = [
            (&[410], Gone),
            (&[400, 415, 422], Rejected),
            (&[413], TooLarge),
            (&[401, 403, 404, 405, 501, 505], Endpoint),
            (&[429, 502, 504], Throttle),
            (&[408, 425], if has_retry_after { Throttle } else { Retry }),
            (&[500, 503], if has_retry_after { Throttle } else { Retry }),
        ];
        if let Some((_, class)) = rows.iter().find(|(statuses, _)| statuses.contains(&status)) {
            return Some(*class);
        }
        match status / 100 {
            2 => None,
            1 | 3 | 4 => Some(Endpoint),
            _ if has_retry_after => Some(Throttle),
            _ => Some(Retry),
        }
    }

    #[test]
    fn every_status() {
        for status in 100..=599 {
            for wait in [None, Some("7"), Some("soon")] {
                let headers: Vec<_> = wait.map(|wait| ("retry-after", wait)).into_iter().collect();
                let result = judged(received(status, &headers, "sorry"));
                let seconds = wait.filter(|wait| *wait == "7").map(|_| Duration::from_secs(7));
                match (result, class_of_the_table(status, seconds.is_some())) {
                    (Ok(delivered), None) => {
                        assert!(delivered.refused.is_empty() && delivered.answer.detail == "sorry", "{status}");
                    }
                    (Err(error), Some(class)) => {
                        assert_eq!((error.class, error.retry_after), (class, seconds), "{status} {wait:?}");
                        assert_eq!(error.answer.as_ref().unwrap().detail, "sorry");
                        assert!(error.doing.starts_with(&format!("POST http://h/p: {status}")), "{}", error.doing);
                    }
                    (result, class) => panic!("{status} {wait:?}: {class:?} became {result:?}"),
                }
            }
        }
    }

    #[test]
    fn what_is_no_status_is_like_a_5xx() {
        assert_eq!(judged(received(799, &[], "")).unwrap_err().class, FailureClass::Retry);
    }

    #[test]
    fn errors_read_well() {
        let error = judged(received(503, &[], "<h1>over\ncapacity</h1>")).unwrap_err();
        assert_eq!(error.chain(), "POST http://h/p: 503 Service Unavailable");
        assert_eq!(error.answer.unwrap().detail, "<h1>over capacity</h1>");
        let error = judged(received(302, &[("location", "http://other/")], "")).unwrap_err();
        assert_eq!(error.chain(), "POST http://h/p: 302 Found (redirects are not followed)");
    }

    #[test]
    fn a_long_answer_is_cut() {
        let error = judged(received(400, &[], &"x".repeat(5_000))).unwrap_err();
        assert_eq!(error.answer.unwrap().detail, format!("{}…", "x".repeat(1024)));
    }

    #[test]
    fn refused_events_have_the_receivers_words() {
        let body = r#"{"batchItemFailures":[{"itemIdentifier":"b","why":"no amount"}]}"#;
        let delivered = judged(received(202, &[], body)).unwrap();
        let reason = r#"202 Accepted: {"itemIdentifier":"b","why":"no amount"}"#;
        assert_eq!(delivered.refused, [(1, reason.into())]);
        assert_eq!(delivered.answer.summary, "202 Accepted");
    }

    #[test]
    fn batch_item_failures_count_only_in_a_success() {
        let body = r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#;
        assert_eq!(judged(received(500, &[], body)).unwrap_err().class, FailureClass::Retry);
        assert_eq!(judged(received(400, &[], body)).unwrap_err().class, FailureClass::Rejected);
    }

    /// `Ok` for a 2xx, or that it has to be tried again and why.
    fn uncertain(received: Received) -> Option<String> {
        let error = judged(received).err()?;
        assert_eq!(error.class, FailureClass::Retry);
        Some(error.chain())
    }

    #[test]
    fn an_unknown_identifier_retries_the_batch() {
        let body = r#"{"batchItemFailures":[{"itemIdentifier":"zzz"}]}"#;
        let error = uncertain(received(200, &[], body)).unwrap();
        assert_eq!(
            error,
            "POST http://h/p: 200 OK, but its batchItemFailures are unclear: an identifier is not in the batch"
        );
    }

    #[test]
    fn a_success_whose_body_broke_off_is_none() {
        let broken = Received { end: End::Broken("reset".into()), ..received(200, &[], "{}") };
        assert_eq!(uncertain(broken).unwrap(), "POST http://h/p: 200 OK, but the answer broke off: reset");
    }

    #[test]
    fn a_failure_whose_body_broke_off_is_judged_by_its_status() {
        let broken = Received { end: End::Broken("reset".into()), ..received(410, &[], "go") };
        assert_eq!(judged(broken).unwrap_err().class, FailureClass::Gone);
    }

    #[test]
    fn a_success_beyond_the_limit_counts_only_if_it_can_name_no_refused_event() {
        let cut = |body| uncertain(Received { end: End::Limit, ..received(200, &[], body) });
        assert_eq!(cut("<html>endless"), None);
        assert_eq!(cut("[1, 2, 3"), None);
        assert_eq!(cut("{{ not json"), None);
        for body in ["", "   ", "{", r#"{"ok":true, "text": "endle"#, r#"{"batchItemFailures":[]"#] {
            let error = cut(body).unwrap();
            assert!(error.contains("longer than max_response_bytes"), "{body}: {error}");
        }
    }

    #[test]
    fn a_compressed_success_is_uncertain() {
        let gzip = [("content-encoding", "gzip")];
        assert!(uncertain(received(200, &gzip, "\u{1f}\u{8b}")).unwrap().contains("compressed"));
        assert_eq!(uncertain(received(204, &gzip, "")), None);
        assert_eq!(uncertain(received(200, &[("content-encoding", "Identity")], "ok")), None);
    }
}
