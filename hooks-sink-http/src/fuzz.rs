//! Entries for fuzzing what reads answers and for measuring what makes requests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hooks_core::{
    BoxError, Envelope, HookId,
    sink::{Batch, SinkConfig as _, SinkContext},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::HttpConfig;
use crate::config::Answers;
use crate::mask::Mask;
use crate::outcome::{AnswerContext, judge};
use crate::received::{End, Received};

/// Judges an answer to a batch of the events `a`, `b`, `c` and `c`, and checks what holds for every
/// answer. For cargo-fuzz and property tests; not part of the interface.
///
/// # Panics
/// When something does not hold.
pub fn fuzz_outcome(status: u16, headers: &[(&[u8], &[u8])], body: &[u8], whole: bool) {
    let Ok(status) = StatusCode::from_u16(status) else { return };
    let legal = |(name, value): &(&[u8], &[u8])| {
        Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
    };
    let headers: HeaderMap = headers.iter().filter_map(legal).collect();
    let end = if whole { End::Whole } else { End::Limit };
    let batch = batch(&["a", "b", "c", "c"]);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let (mask, answers, max_bytes) = (Mask::default(), Answers::default(), 64 << 10);
    let context = AnswerContext {
        request: "POST",
        batch: &batch,
        mask: &mask,
        now,
        partial_answers: false,
        answers: &answers,
        has_own_headers: false,
        max_bytes,
    };
    match judge(&context, &Received { status, headers, body: body.to_vec(), end, is_reused: false }).result {
        Ok(delivered) => {
            assert!(status.is_success(), "{status} was taken for a success");
            assert!(delivered.refused.is_sorted_by(|a, b| a.0 < b.0), "an event was refused twice");
            assert!(delivered.refused.iter().all(|(index, _)| *index < 2), "an ambiguous event was refused");
        }
        Err(error) => assert!(error.answer.is_some_and(|answer| answer.detail.len() <= 1_100), "a long detail"),
    }
}

/// Makes requests of batches as an attempt does, and says how long their bodies are. For counting what
/// that costs; not part of the interface.
///
/// # Errors
/// When the settings are wrong.
pub fn measured_request(config: &HttpConfig) -> Result<impl FnMut(&Batch) -> usize + use<>, BoxError> {
    let sink = config.build(&SinkContext::new(HookId::new("measured")?, Arc::default()))?;
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    Ok(move |batch: &Batch| sink.body_length(batch, now))
}

/// Events with these ids. The same id again is from another source.
pub(crate) fn batch(ids: &[&str]) -> Batch {
    let event = |(at, id): (usize, &&str)| {
        let source = ids[..at].iter().filter(|before| *before == id).count();
        let id = serde_json::Value::from(*id);
        let json = format!(
            r#"{{"specversion":"1.0","id":{id},"source":"/s/{source}","type":"t","time":"2026-11-23T10:00:00Z"}}"#
        );
        Envelope::from_json(json.as_bytes()).expect("a legal event")
    };
    Batch::for_test(ids.iter().enumerate().map(event))
}
