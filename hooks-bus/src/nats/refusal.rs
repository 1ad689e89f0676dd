//! The meaning of JetStream's error codes, for publishers and for the bus. No I/O.
//!
//! | class | answer of the daemon | codes |
//! |---|---|---|
//! | [`TooLarge`](Class::TooLarge) | 413 | longer than the stream or a server takes |
//! | [`Full`](Class::Full) | 507 | limits of the stream, of the account, of the server's memory or disk |
//! | [`Conflict`](Class::Conflict) | none: another instance wrote the entry | wrong last sequence |
//! | [`Setting`](Class::Setting) | 503, until a setting is changed | not enabled, sealed, of another kind |
//! | [`Passing`](Class::Passing) | 503, until the servers have sorted themselves out | everything else |

use std::error::Error;

use async_nats::jetstream::{self, ErrorCode};
use hooks_core::BusError;

/// The meaning of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    TooLarge,
    Full,
    Conflict,
    Setting,
    Passing,
}

/// A code, its meaning, and what to do about it.
type Row = (ErrorCode, Class, &'static str);

/// Codes that mean more than a passing failure.
const TABLE: &[Row] = &[
    (
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM,
        Class::TooLarge,
        "raise the stream's max_msg_size, or send shorter events",
    ),
    (ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM, Class::TooLarge, ""),
    (ErrorCode::INSUFFICIENT_RESOURCES, Class::Full, SERVER_FULL),
    (ErrorCode::STORAGE_RESOURCES_EXCEEDED, Class::Full, SERVER_FULL),
    (ErrorCode::MEMORY_RESOURCES_EXCEEDED, Class::Full, SERVER_FULL),
    (ErrorCode::TEMP_STORAGE_FAILED, Class::Full, SERVER_FULL),
    (ErrorCode::ACCOUNT_RESOURCES_EXCEEDED, Class::Full, ACCOUNT_FULL),
    (ErrorCode::STREAM_LIMITS, Class::Full, ACCOUNT_FULL),
    (
        ErrorCode::STREAM_MAX_STREAM_BYTES_EXCEEDED,
        Class::Full,
        "set the bus's `max_bytes` to what the account allows a stream",
    ),
    (
        ErrorCode::MAXIMUM_STREAMS_LIMIT,
        Class::Setting,
        "the account has to allow three streams for each `name` of a bus",
    ),
    (
        ErrorCode::STREAM_MAX_BYTES_REQUIRED,
        Class::Setting,
        "the account insists on a limit for every stream: make the streams `NAME-dead` and `KV_NAME-hooks` yourself, with max_bytes and discard new",
    ),
    (ErrorCode::STREAM_WRONG_LAST_SEQUENCE, Class::Conflict, ""),
    (ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT, Class::Conflict, ""),
    (ErrorCode::JETSTREAM_NOT_ENABLED, Class::Setting, NO_JETSTREAM),
    (
        ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT,
        Class::Setting,
        "give the account JetStream (`jetstream: enabled`), or use another user",
    ),
    (ErrorCode::NO_ACCOUNT, Class::Setting, "use a user of an account that the server knows"),
    (ErrorCode::STREAM_SEALED, Class::Setting, "the stream takes nothing any more: use another `name` for the bus"),
    (
        ErrorCode::STREAM_SUBJECT_OVERLAP,
        Class::Setting,
        "another stream has these subjects: remove it, or set another `name` for the bus",
    ),
    (ErrorCode::MESSAGE_INCR_MISSING, Class::Setting, "the stream takes nothing but numbers (allow_msg_counter)"),
    (
        ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED,
        Class::Setting,
        "one server alone keeps one copy: set the bus's `replicas` to 1",
    ),
    (
        ErrorCode::CLUSTER_NO_PEERS,
        Class::Setting,
        "the cluster has too few servers with room for as many copies as the bus's `replicas`",
    ),
    (ErrorCode::STREAM_OFFLINE_REASON, Class::Setting, "the stream was made for a newer server"),
    (ErrorCode::REQUIRED_API_LEVEL, Class::Setting, "the stream was made for a newer server"),
    (
        ErrorCode::MAXIMUM_CONSUMERS_LIMIT,
        Class::Setting,
        "each hook needs a consumer: raise the stream's max_consumers, or the server's default_max_consumers",
    ),
];

const SERVER_FULL: &str = "give the server more room (max_file_store, disk), or remove what other streams keep";
const ACCOUNT_FULL: &str = "raise the account's JetStream limits, or remove what other streams keep";
pub(super) const NO_JETSTREAM: &str =
    "JetStream is not enabled there: start nats-server with `-js`, or with a `jetstream` section in its config";

/// A refusal's meaning, and what to do about it.
pub(super) fn class(error: &jetstream::Error) -> (Class, &'static str) {
    let code = error.error_code();
    if code == ErrorCode::STREAM_STORE_FAILED {
        return (of_store(&error.to_string()), "");
    }
    let row = TABLE.iter().find(|(known, ..)| *known == code);
    row.map_or((Class::Passing, ""), |(_, class, advice)| (*class, advice))
}

/// The meaning of a store's error: one code stands for all of them, so the text decides.
fn of_store(text: &str) -> Class {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["message to large", "message too large"]) {
        Class::TooLarge
    } else if says(&["maximum bytes", "maximum messages", "no space", "resource", "quota"]) {
        Class::Full
    } else {
        Class::Passing
    }
}

/// The server's refusal, if it is among the causes of an error.
pub(super) fn said(error: &dyn Error) -> Option<&jetstream::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref() {
            return Some(refused);
        }
        cause = error.source();
    }
    None
}

/// True if a write failed because the entry has another revision than expected.
pub(super) fn is_conflict(error: &dyn Error) -> bool {
    said(error).is_some_and(|refused| class(refused).0 == Class::Conflict)
}

/// The server's text, with what to do about it.
pub(super) fn text(refused: &jetstream::Error) -> String {
    match class(refused).1 {
        "" => refused.to_string(),
        advice => format!("{refused}: {advice}"),
    }
}

/// A refusal as an error of the bus.
pub(super) fn explain(refused: &jetstream::Error) -> BusError {
    let text = format!("NATS: {}", text(refused));
    match class(refused).0 {
        Class::TooLarge => BusError::TooLarge(text),
        Class::Full => BusError::Full(text),
        Class::Conflict | Class::Setting | Class::Passing => BusError::Unavailable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u64, text: &str) -> jetstream::Error {
        serde_json::from_value(serde_json::json!({ "code": 400, "err_code": code, "description": text })).unwrap()
    }

    #[test]
    fn every_code_that_means_something_has_its_answer() {
        for (code, class) in [
            (10054, Class::TooLarge),
            (10097, Class::TooLarge),
            (10023, Class::Full),
            (10047, Class::Full),
            (10028, Class::Full),
            (10002, Class::Full),
            (10072, Class::Full),
            (10122, Class::Full),
            (10071, Class::Conflict),
            (10164, Class::Conflict),
            (10076, Class::Setting),
            (10039, Class::Setting),
            (10109, Class::Setting),
            (10065, Class::Setting),
            (10169, Class::Setting),
            // No leader, a cluster that is not complete, too many requests, unknown codes.
            (10008, Class::Passing),
            (10009, Class::Passing),
            (10004, Class::Passing),
            (10167, Class::Passing),
            (10118, Class::Passing),
            (19999, Class::Passing),
        ] {
            assert_eq!(super::class(&refused(code, "x")).0, class, "{code}");
        }
        for (text, class) in [
            ("maximum bytes exceeded", Class::Full),
            ("maximum messages exceeded", Class::Full),
            ("maximum messages per subject exceeded", Class::Full),
            ("write /js/1.blk: no space left on device", Class::Full),
            ("message to large", Class::TooLarge),
            ("store is closed", Class::Passing),
        ] {
            assert_eq!(super::class(&refused(10077, text)).0, class, "{text}");
        }
    }

    #[test]
    fn the_server_is_quoted_with_what_to_do() {
        let explained = explain(&refused(10023, "insufficient resources"));
        assert!(
            matches!(&explained, BusError::Full(text) if text.contains("insufficient") && text.contains("max_file_store"))
        );
        let wrapped = async_nats::jetstream::context::PublishError::with_source(
            async_nats::jetstream::context::PublishErrorKind::Other,
            refused(10164, "wrong last sequence"),
        );
        assert!(is_conflict(&wrapped) && said(&std::io::Error::other("x")).is_none());
    }
}
