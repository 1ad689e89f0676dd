//! Streams and bucket: created where they don't exist, checked where they do, never changed.

use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, RetentionPolicy, Stream};
use async_nats::jetstream::{Context, ErrorCode, kv};
use hooks_core::BusError;
use uuid::Uuid;

use super::config::NatsConfig;
use super::connect::{chain, unavailable};
use super::subject;

/// What the stream keeps where nothing else is set.
const DEFAULT_MAX_BYTES: i64 = 10 << 30;

/// How long the stream remembers ids where nothing else is set.
const DEFAULT_DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// What is kept on the server.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) events: Stream,
    pub(super) letters: Stream,
    pub(super) bucket: kv::Store,
}

/// Each hook that is read has a consumer. Since 2.15, servers allow only 1,000 of them where a stream
/// does not say how many (<https://github.com/nats-io/nats-server/pull/8337>).
const MAX_CONSUMERS: i32 = 100_000;

/// Finds or makes everything.
pub(super) async fn open(context: &Context, config: &NatsConfig) -> Result<Kept, BusError> {
    let events = find_or_create(context, config.create, events(config)).await?;
    let wrong = wrong_settings(&events.cached_info().config, config);
    if !wrong.is_empty() {
        let text = format!(
            "the stream `{}` is not as it should be: {}; change the stream or the settings",
            config.name,
            wrong.join(", ")
        );
        return Err(BusError::Unavailable(text));
    }
    let letters = find_or_create(context, config.create, letters(config)).await?;
    let subjects = &letters.cached_info().config.subjects;
    if *subjects != [format!("{}.dead.>", config.name)] {
        let text =
            format!("the stream `{}-dead` has the subjects {subjects:?}, not {}.dead.>", config.name, config.name);
        return Err(BusError::Unavailable(text));
    }
    Ok(Kept { events, letters, bucket: bucket(context, config).await? })
}

/// Names the stream: one that was deleted and made again is another.
pub(super) fn log_id(info: &Info) -> Uuid {
    let name = format!("{} {}", info.config.name, info.created.unix_timestamp_nanos());
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}

fn events(config: &NatsConfig) -> Config {
    Config {
        name: config.name.clone(),
        subjects: vec![subject::of_all(&config.name)],
        description: Some("events for hooks".to_owned()),
        discard: DiscardPolicy::New,
        num_replicas: config.replicas.unwrap_or(1),
        max_bytes: config.max_bytes.map_or(DEFAULT_MAX_BYTES, |bytes| i64::try_from(bytes.0).unwrap_or(i64::MAX)),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_age: config.max_age.map(|age| age.0).unwrap_or_default(),
        // It can't be longer than the events are kept.
        duplicate_window: config.duplicate_window.map_or_else(
            || config.max_age.map_or(DEFAULT_DUPLICATE_WINDOW, |age| age.0.min(DEFAULT_DUPLICATE_WINDOW)),
            |window| window.0,
        ),
        allow_direct: true,
        max_consumers: MAX_CONSUMERS,
        ..Config::default()
    }
}

fn letters(config: &NatsConfig) -> Config {
    Config {
        name: format!("{}-dead", config.name),
        subjects: vec![format!("{}.dead.>", config.name)],
        description: Some("dead letters of hooks, one subject each".to_owned()),
        num_replicas: config.replicas.unwrap_or(1),
        max_messages: -1,
        max_bytes: -1,
        // A letter of the same position replaces the one before.
        max_messages_per_subject: 1,
        allow_direct: true,
        ..Config::default()
    }
}

async fn find_or_create(context: &Context, create: bool, wanted: Config) -> Result<Stream, BusError> {
    let name = wanted.name.clone();
    let missing = match context.get_stream(&name).await {
        Ok(stream) => return Ok(stream),
        Err(error) => error,
    };
    match missing.kind() {
        GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND && create => {}
        GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            let text = format!("there is no stream `{name}`: nobody that may create it (`create`) was here yet");
            return Err(BusError::Unavailable(text));
        }
        _ => return Err(unavailable(&format!("look for the stream `{name}`"), &missing)),
    }
    match context.create_stream(wanted).await {
        Ok(stream) => Ok(stream),
        // Another instance was faster, with other settings maybe: they are checked.
        Err(error) if code(error.kind()) == Some(ErrorCode::STREAM_NAME_EXIST) => context
            .get_stream(&name)
            .await
            .map_err(|error| unavailable(&format!("look for the stream `{name}`"), &error)),
        Err(error) => {
            let advice = match code(error.kind()) {
                Some(ErrorCode::STORAGE_RESOURCES_EXCEEDED) => {
                    ": the server reserves `max_bytes`; set less, or give it more room"
                }
                _ => "",
            };
            Err(BusError::Unavailable(format!("create the stream `{name}`: {}{advice}", chain(&error))))
        }
    }
}

fn code(kind: CreateStreamErrorKind) -> Option<ErrorCode> {
    match kind {
        CreateStreamErrorKind::JetStream(error) => Some(error.error_code()),
        _ => None,
    }
}

/// What of an existing stream contradicts the settings, or what a bus needs.
fn wrong_settings(found: &Config, config: &NatsConfig) -> Vec<String> {
    let mut wrong = Vec::new();
    let wanted = events(config);
    if found.subjects != wanted.subjects {
        wrong.push(format!("its subjects are {:?}, not {:?}", found.subjects, wanted.subjects));
    }
    if found.retention != RetentionPolicy::Limits {
        wrong.push(format!(
            "its retention is {:?}, which deletes what one hook has read; it must be Limits",
            found.retention
        ));
    }
    if found.max_messages_per_subject > 0 {
        wrong.push(format!(
            "it keeps only {} event(s) of each type (max_msgs_per_subject)",
            found.max_messages_per_subject
        ));
    }
    if found.no_ack {
        wrong.push("it acknowledges nothing (no_ack)".to_owned());
    }
    if config.replicas.is_some_and(|replicas| replicas != found.num_replicas) {
        wrong.push(format!("replicas is {}, set is {}", found.num_replicas, wanted.num_replicas));
    }
    if config.max_bytes.is_some() && found.max_bytes != wanted.max_bytes {
        wrong.push(format!("max_bytes is {}, set is {}", found.max_bytes, wanted.max_bytes));
    }
    if config.max_age.is_some() && found.max_age != wanted.max_age {
        wrong.push(format!("max_age is {:?}, set is {:?}", found.max_age, wanted.max_age));
    }
    if config.duplicate_window.is_some() && found.duplicate_window != wanted.duplicate_window {
        wrong.push(format!("duplicate_window is {:?}, set is {:?}", found.duplicate_window, wanted.duplicate_window));
    }
    wrong
}

/// The bucket is made as its stream: making it as a bucket asks what servers before 2.10 don't answer.
async fn bucket(context: &Context, config: &NatsConfig) -> Result<kv::Store, BusError> {
    let name = format!("{}-hooks", config.name);
    let stream = Config {
        name: format!("KV_{name}"),
        subjects: vec![format!("$KV.{name}.>")],
        description: Some("owners and positions of hooks".to_owned()),
        discard: DiscardPolicy::New,
        num_replicas: config.replicas.unwrap_or(1),
        max_messages_per_subject: 1,
        max_messages: -1,
        max_bytes: -1,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        ..Config::default()
    };
    find_or_create(context, config.create, stream).await?;
    context
        .get_key_value(&name)
        .await
        .map_err(|error| unavailable(&format!("open the key-value bucket `{name}`"), &error))
}
