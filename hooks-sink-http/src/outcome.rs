//! The meaning of a receiver's answer. No I/O and no clock: an answer goes in, a result comes out.

use std::time::SystemTime;

use hooks_core::sink::{Answer, Batch, Delivered, DeliveryError, FailureClass, Odd, Unread};
use http::StatusCode;
use http::header::RETRY_AFTER;

use crate::body::Body;
use crate::config::{AnswerMeaning, Answers};
use crate::failures::{self, Reading};
use crate::mask::Mask;
use crate::received::{End, Received};
use crate::retry_after;

/// Most bytes of an answer's body that are kept for people to read.
const DETAIL: usize = 1024;

/// The parts of the request that the answer's meaning depends on.
pub(crate) struct AnswerContext<'a> {
    /// For errors, for example `POST https://example.com/…`.
    pub(crate) request: &'a str,
    /// The batch that was sent.
    pub(crate) batch: &'a Batch,
    /// The secrets that must not be printed.
    pub(crate) mask: &'a Mask,
    /// The time that a date in `Retry-After` counts from.
    pub(crate) now: SystemTime,
    /// True if the receiver is known to name refused events.
    pub(crate) partial_answers: bool,
    /// What its answers mean, where it is not the usual.
    pub(crate) answers: &'a Answers,
    /// True if the events decide headers of the request.
    pub(crate) has_own_headers: bool,
    /// Most bytes of a body that are read, also of one that was compressed.
    pub(crate) max_bytes: usize,
}

/// The meaning of an answer, and advice if it is odd.
pub(crate) struct Judged {
    pub(crate) result: Result<Delivered, DeliveryError>,
    pub(crate) advice: Option<&'static str>,
}

/// Judges an answer: by its status and headers. The body of most is for people; that of a 2xx may name refused
/// events, if it came whole. If it did not, or can't be read, the batch has been delivered all the same, and
/// [`Odd`] says whether that may be wrong.
pub(crate) fn judge(context: &AnswerContext<'_>, received: &Received) -> Judged {
    let wait = received.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let wait = wait.and_then(|value| retry_after::parse(value, context.now));
    let body = Body::of(received, context.max_bytes);
    let answer = answer(context.mask, received.status, body.text());
    let class = match context.answers.meaning(received.status.as_u16()) {
        Some(meaning) => class_of(meaning),
        // Headers that are too long are those of an event.
        None if received.status.as_u16() == 431 && context.has_own_headers => Some(FailureClass::Rejected),
        None => classify(received.status, wait.is_some()),
    };
    let failed = match class {
        None => return success(context, &body, &received.end, answer),
        Some(class) => DeliveryError::new(class, doing(context, &answer, advice(received.status))),
    };
    Judged { result: Err(failed.retry_after(wait).answer(answer)), advice: None }
}

/// The class of a meaning that was set; `None` for success.
fn class_of(meaning: AnswerMeaning) -> Option<FailureClass> {
    match meaning {
        AnswerMeaning::Delivered => None,
        AnswerMeaning::Rejected => Some(FailureClass::Rejected),
        AnswerMeaning::TooLarge => Some(FailureClass::TooLarge),
        AnswerMeaning::Retry => Some(FailureClass::Retry),
        AnswerMeaning::Throttle => Some(FailureClass::Throttle),
        AnswerMeaning::Endpoint => Some(FailureClass::Endpoint),
        AnswerMeaning::Gone => Some(FailureClass::Gone),
    }
}

/// The meaning of a status, as docs/http.md has it; `None` for success.
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

fn success(context: &AnswerContext<'_>, body: &Body<'_>, end: &End, answer: Answer) -> Judged {
    let whole = matches!(end, End::Whole) && body.is_whole();
    let reading =
        if body.is_readable() { failures::read(body.text(), whole, context.batch) } else { Reading::Unfinished };
    if let Reading::Ambiguous = reading {
        // Split, each identifier comes to stand for one event.
        let why = ", but its batchItemFailures name an id that events of several sources have: sent in smaller batches";
        let split = DeliveryError::rejected(doing(context, &answer, why)).answer(answer);
        return Judged { result: Err(split), advice: None };
    }
    let oddity = oddity(&reading, end, body);
    let unread = match &reading {
        Reading::None | Reading::Refused(_) => Unread::Nothing,
        Reading::Unfinished if context.partial_answers => Unread::Refusals,
        Reading::Unfinished => Unread::RefusalsIfBefore,
        Reading::Unclear { .. } | Reading::Ambiguous => Unread::Refusals,
    };
    let items = match reading {
        Reading::None | Reading::Unfinished | Reading::Ambiguous => Vec::new(),
        Reading::Refused(items) | Reading::Unclear { items, .. } => items,
    };
    let reason = |item: &str| format!("{}: {}", answer.summary, context.mask.excerpt(item.as_bytes(), DETAIL));
    let refused = items.into_iter().map(|(index, item)| (index, reason(item).into())).collect();
    let (what, advice) = oddity.unzip();
    let odd = what.map(|what| Odd { what: doing(context, &answer, &format!(", but {what}")).into(), unread });
    Judged { result: Ok(Delivered { refused, answer, odd }), advice }
}

/// The oddity of a success, with advice.
fn oddity(reading: &Reading<'_>, end: &End, body: &Body<'_>) -> Option<(String, &'static str)> {
    let odd = match (reading, end) {
        (Reading::Unclear { why, .. }, _) => (
            format!("its batchItemFailures are unclear: {why}"),
            "each entry of `batchItemFailures` is `{\"itemIdentifier\": \"<an event's id>\"}`, with ids of this batch alone",
        ),
        (_, End::Broken(cause)) => (
            format!("the answer broke off: {cause}"),
            "the 2xx counts. Have the receiver end what it sends: as long as `content-length` says or chunked, and over \
             TLS with close_notify",
        ),
        (_, End::Unread(cause)) => (
            format!("the rest of the answer can't be read: {cause}"),
            "the 2xx counts. See what the receiver, or a proxy before it, sends as headers: a wrong `content-length` or \
             `transfer-encoding`, or very many of them",
        ),
        (_, End::Late | End::Begun) => (
            "the answer did not end within the attempt's time".to_owned(),
            "the 2xx counts, but each attempt takes its whole time: have the receiver end its answers",
        ),
        (Reading::Unfinished, End::Limit) => (
            "the answer is longer than max_response_bytes".to_owned(),
            "the 2xx counts. Have the receiver answer with less, or raise `max_response_bytes` if it names refused events",
        ),
        _ if body.is_encoded() => (
            "the answer is encoded, which was not asked for".to_owned(),
            "the 2xx counts. Have the receiver, or a proxy before it, answer without `content-encoding`",
        ),
        _ => return None,
    };
    Some(odd)
}

fn answer(mask: &Mask, status: StatusCode, body: &[u8]) -> Answer {
    // Those that are nearly all answers cost nothing.
    let summary = match (status, status.canonical_reason()) {
        (StatusCode::OK, _) => "200 OK".into(),
        (_, Some(reason)) => format!("{} {reason}", status.as_u16()).into(),
        (_, None) => status.as_u16().to_string().into(),
    };
    Answer { summary, detail: mask.excerpt(body, DETAIL) }
}

fn doing(context: &AnswerContext<'_>, answer: &Answer, more: &str) -> String {
    format!("{}: {}{more}", context.request, answer.summary)
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => " (a proxy's answer, not the receiver's)",
        StatusCode::NOT_MODIFIED => "",
        _ if status.is_redirection() => " (redirects are not followed)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn received(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Received {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let status = StatusCode::from_u16(status).unwrap();
        Received { status, headers, body: body.as_bytes().to_vec(), end: End::Whole, is_reused: false }
    }

    fn judged(received: Received) -> Result<Delivered, DeliveryError> {
        judged_by(&Answers::default(), received)
    }

    fn judged_by(answers: &Answers, received: Received) -> Result<Delivered, DeliveryError> {
        let batch = crate::fuzz::batch(&["a", "b"]);
        let mask = Mask::default();
        let (now, max_bytes) = (SystemTime::UNIX_EPOCH, 64 << 10);
        let context = AnswerContext {
            request: "POST http://h/p",
            batch: &batch,
            mask: &mask,
            now,
            partial_answers: false,
            answers,
            has_own_headers: false,
            max_bytes,
        };
        judge(&context, &received).result
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
    fn a_meaning_that_is_set_counts_before_the_usual_one() {
        use AnswerMeaning::*;
        let failures = [
            (Rejected, FailureClass::Rejected),
            (TooLarge, FailureClass::TooLarge),
            (Retry, FailureClass::Retry),
            (Throttle, FailureClass::Throttle),
            (Endpoint, FailureClass::Endpoint),
            (Gone, FailureClass::Gone),
        ];
        for status in 200..600 {
            for (meaning, class) in failures {
                let error =
                    judged_by(&Answers::from_iter([(status, meaning)]), received(status, &[("retry-after", "7")], ""));
                let error = error.unwrap_err();
                assert_eq!((error.class, error.retry_after), (class, Some(Duration::from_secs(7))), "{status}");
            }
            let body = r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#;
            let delivered = judged_by(&Answers::from_iter([(status, Delivered)]), received(status, &[], body)).unwrap();
            assert_eq!(delivered.refused.len(), 1, "{status}");
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

    /// The oddity of a success; `None`: nothing is odd.
    fn odd(received: Received) -> Option<(String, Unread)> {
        let delivered = judged(received).expect("the status decides");
        delivered
            .odd
            .map(|odd| (odd.what.strip_prefix("POST http://h/p: 200 OK, but ").unwrap().to_owned(), odd.unread))
    }

    #[test]
    fn unclear_refusals_are_tried_again_and_count_for_what_can_be_read() {
        let body = r#"{"batchItemFailures":[{"itemIdentifier":"zzz"},{"itemIdentifier":"b"}]}"#;
        let delivered = judged(received(200, &[], body)).unwrap();
        assert_eq!(delivered.refused.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1]);
        let what = "its batchItemFailures are unclear: an identifier is not in the batch".to_owned();
        assert_eq!(odd(received(200, &[], body)), Some((what, Unread::Refusals)));
    }

    #[test]
    fn a_success_whose_body_broke_off_counts() {
        let broken = |body| Received { end: End::Broken("reset".into()), ..received(200, &[], body) };
        let what = "the answer broke off: reset".to_owned();
        assert_eq!(odd(broken("ok")), Some((what.clone(), Unread::Nothing)), "it can't name events");
        assert_eq!(odd(broken("{}")), Some((what.clone(), Unread::Nothing)), "all of the JSON is there");
        for body in ["", "{", r#"{"batchItemFailures":[{"itemIdentifier":"a"}]"#] {
            assert_eq!(odd(broken(body)), Some((what.clone(), Unread::RefusalsIfBefore)), "{body}");
        }
        let named = judged(broken(r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#)).unwrap();
        assert_eq!(named.refused.len(), 1, "what is named counts");
    }

    #[test]
    fn a_failure_whose_body_broke_off_is_judged_by_its_status() {
        for end in [End::Broken("reset".into()), End::Late, End::Limit] {
            let broken = Received { end, ..received(410, &[], "go") };
            assert_eq!(judged(broken).unwrap_err().class, FailureClass::Gone);
        }
    }

    #[test]
    fn a_success_beyond_the_limit_is_odd_only_if_it_can_name_refused_events() {
        let cut = |body| odd(Received { end: End::Limit, ..received(200, &[], body) });
        assert_eq!(cut("<html>endless"), None);
        assert_eq!(cut("[1, 2, 3"), None);
        assert_eq!(cut("{{ not json"), None);
        for body in ["", "   ", "{", r#"{"ok":true, "text": "endle"#, r#"{"batchItemFailures":[]"#] {
            let (what, unread) = cut(body).unwrap();
            assert!(what.contains("longer than max_response_bytes") && unread == Unread::RefusalsIfBefore, "{body}");
        }
    }

    #[test]
    fn the_encoding_of_a_success_does_not_matter() {
        for encoding in ["gzip", "br", "zstd", "deflate", "utf-8", "none", "aws-chunked", "", "gzip, gzip"] {
            let headers = [("content-encoding", encoding)];
            let (what, unread) = odd(received(200, &headers, "ok")).unwrap();
            assert!(what.contains("encoded") && unread == Unread::Nothing, "{encoding}: {what}");
            let named = received(200, &headers, r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#);
            assert_eq!(judged(named).unwrap().refused.len(), 1, "{encoding}: not compressed at all");
            assert_eq!(odd(received(200, &headers, "")), None, "{encoding}");
        }
        assert_eq!(odd(received(200, &[("content-encoding", "Identity")], "ok")), None);
        let opaque = Received { body: vec![0x8b, 0xff, 0x80], ..received(200, &[("content-encoding", "br")], "") };
        assert_eq!(odd(opaque).unwrap().1, Unread::RefusalsIfBefore);
    }

    #[test]
    fn what_was_compressed_is_read() {
        let json = br#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#;
        for name in ["gzip", "zstd"] {
            let Some(encoding) = crate::Encoding::of(name) else { continue };
            let body = encoding.compress(json).unwrap();
            let whole = |body| Received { body, ..received(200, &[("content-encoding", name)], "") };
            let delivered = judged(whole(body.clone())).unwrap();
            assert_eq!(delivered.refused.len(), 1, "{name}");
            assert!(delivered.answer.detail.starts_with("{\"batchItemFailures"), "{}", delivered.answer.detail);
            let cut = odd(whole(body[..body.len() / 2].to_vec())).unwrap();
            assert_eq!(cut.1, Unread::RefusalsIfBefore, "{name}");
            let bomb = encoding.compress(&[b'{'].repeat(10 << 20)).unwrap();
            let delivered = judged(whole(bomb)).unwrap();
            assert!(delivered.answer.detail.len() < 1100, "{name}");
        }
    }
}
