//! Reads one message of the stream by a request, without its headers: headers of another program's message may make
//! the client take its connection for broken.

use std::time::SystemTime;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::RawMessage;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hooks_core::BusError;
use serde::Deserialize;

use super::Inner;
use super::connect::{chain, unavailable};

/// A message as it came.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) seq: u64,
    pub(super) json: Bytes,
    pub(super) accepted: SystemTime,
}

#[derive(Deserialize)]
struct Found {
    message: RawMessage,
}

impl Inner {
    /// The first message that is not before this place and that one of these subjects lets through. Asks the leader of
    /// the stream.
    pub(super) async fn fetch(&self, from: u64, subjects: &[String]) -> Result<Option<Fetched>, BusError> {
        let mut first: Option<RawMessage> = None;
        for subject in subjects {
            let request = serde_json::json!({ "seq": from, "next_by_subj": subject });
            let answer = self.api.request(format!("STREAM.MSG.GET.{}", self.config.name), &request).await;
            match answer.map_err(|error| unavailable("read the stream", &error))? {
                Response::Ok(Found { message }) => {
                    first = Some(first.filter(|first| first.sequence < message.sequence).unwrap_or(message));
                }
                Response::Err { error } if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => {}
                Response::Err { error } => return Err(unavailable("read the stream", &error)),
            }
        }
        let decoded = |message: RawMessage| {
            let json = BASE64_STANDARD.decode(&message.payload);
            let json = json.map_err(|error| BusError::Unavailable(format!("read the stream: {}", chain(&error))))?;
            let (seq, accepted) = (message.sequence, message.time.into());
            Ok(Fetched { seq, json: json.into(), accepted })
        };
        first.map(decoded).transpose()
    }
}
