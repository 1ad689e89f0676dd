//! Streams and bucket: created where they don't exist, checked where they do, never changed.

use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, Stream};
use async_nats::jetstream::{Context, ErrorCode, kv};
use hooks_core::BusError;
use uuid::Uuid;

use super::config::NatsConfig;
use super::connect::{chain, unavailable};
use super::{refusal, settings, subject};

/// The stream's limit if none is set.
const DEFAULT_MAX_BYTES: i64 = 10 << 30;

/// The time for which the stream remembers ids if none is set.
const DEFAULT_DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// Streams and bucket on the server.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    pub(super) events: Stream,
    pub(super) dead_letters: Stream,
    pub(super) bucket: kv::Store,
}

/// Each hook that is read has a consumer. Since 2.15, servers allow only 1,000 of them where a stream
/// does not say how many (<https://github.com/nats-io/nats-server/pull/8337>).
const MAX_CONSUMERS: i32 = 100_000;

/// Finds or creates streams and bucket.
pub(super) async fn open(context: &Context, config: &NatsConfig) -> Result<Storage, BusError> {
    let stream = find_or_create(context, config.create, events(config)).await?;
    check(&events_name(config), wrong_events(&stream.cached_info().config, config))?;
    let dead_letters = open_dead_letters(context, config).await?;
    Ok(Storage { events: stream, dead_letters, bucket: open_bucket(context, config).await? })
}

pub(super) async fn open_dead_letters(context: &Context, config: &NatsConfig) -> Result<Stream, BusError> {
    let stream = find_or_create(context, config.create, dead_letters(config)).await?;
    check(&dead_letters_name(config), wrong_dead_letters(&stream.cached_info().config, config))?;
    Ok(stream)
}

/// The bucket is made as its stream: making it as a bucket asks what servers before 2.10 don't answer.
pub(super) async fn open_bucket(context: &Context, config: &NatsConfig) -> Result<kv::Store, BusError> {
    let stream = find_or_create(context, config.create, bucket(config)).await?;
    check(&bucket_name(config), wrong_bucket(&stream.cached_info().config, config))?;
    let name = format!("{}-hooks", config.name);
    let opened = context.get_key_value(&name).await;
    opened.map_err(|error| unavailable(&format!("open the key-value bucket `{name}`"), &error))
}

/// The stream of events, as messages name it.
pub(super) fn events_name(config: &NatsConfig) -> String {
    format!("the stream `{}`", config.name)
}

pub(super) fn dead_letters_name(config: &NatsConfig) -> String {
    format!("the stream `{}-dead`", config.name)
}

pub(super) fn bucket_name(config: &NatsConfig) -> String {
    format!("the key-value bucket `{0}-hooks` (stream `KV_{0}-hooks`)", config.name)
}

/// One error for all faults of a stream.
fn check(what: &str, wrong: Vec<String>) -> Result<(), BusError> {
    let wrong = as_one(what, &wrong);
    wrong.map_or(Ok(()), |text| Err(BusError::Unavailable(text)))
}

/// All faults of a stream as one text.
pub(super) fn as_one(what: &str, wrong: &[String]) -> Option<String> {
    let text = || format!("{what} is not as it should be: {}; change it or the settings", wrong.join(", "));
    (!wrong.is_empty()).then(text)
}

pub(super) fn wrong_dead_letters(found: &Config, config: &NatsConfig) -> Vec<String> {
    settings::of_dead_letters(found, &format!("{}.dead.>", config.name))
}

pub(super) fn wrong_bucket(found: &Config, config: &NatsConfig) -> Vec<String> {
    settings::of_bucket(found, &format!("$KV.{}-hooks.>", config.name))
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
        max_bytes: config.max_bytes.map_or(DEFAULT_MAX_BYTES, |bytes| i64::try_from(bytes.bytes()).unwrap_or(i64::MAX)),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_age: config.max_age.map(|age| age.get()).unwrap_or_default(),
        // The server refuses a window longer than max_age.
        duplicate_window: config.duplicate_window.map_or_else(
            || config.max_age.map_or(DEFAULT_DUPLICATE_WINDOW, |age| age.get().min(DEFAULT_DUPLICATE_WINDOW)),
            |window| window.get(),
        ),
        allow_direct: true,
        max_consumers: MAX_CONSUMERS,
        ..Config::default()
    }
}

fn dead_letters(config: &NatsConfig) -> Config {
    Config {
        name: format!("{}-dead", config.name),
        subjects: vec![format!("{}.dead.>", config.name)],
        description: Some("dead letters of hooks, one subject each".to_owned()),
        num_replicas: config.replicas.unwrap_or(1),
        max_messages: -1,
        max_bytes: -1,
        // A dead letter replaces the one of the same position.
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
            let text = format!("there is no stream `{name}`: no instance that may create it (`create`) was here yet");
            return Err(BusError::Unavailable(text));
        }
        GetStreamErrorKind::JetStream(error) => {
            return Err(BusError::Unavailable(format!("look for the stream `{name}`: {}", refusal::text(&error))));
        }
        // Nothing listens where JetStream would.
        _ if chain(&missing).contains("resource does not exist") => {
            return Err(BusError::Unavailable(format!("look for the stream `{name}`: {}", refusal::NO_JETSTREAM)));
        }
        _ => return Err(unavailable(&format!("look for the stream `{name}`"), &missing)),
    }
    let made = context.create_stream(wanted).await;
    match made.map_err(|error| (refused(error.kind()), error)) {
        Ok(stream) => Ok(stream),
        // Another instance was faster, with other settings maybe: they are checked.
        Err((Some(refused), _)) if refused.error_code() == ErrorCode::STREAM_NAME_EXIST => context
            .get_stream(&name)
            .await
            .map_err(|error| unavailable(&format!("look for the stream `{name}`"), &error)),
        Err((Some(refused), _)) if refused.error_code() == ErrorCode::STORAGE_RESOURCES_EXCEEDED => {
            let advice = "the server reserves `max_bytes`; set less, or give it more room";
            Err(BusError::Unavailable(format!("create the stream `{name}`: {refused}: {advice}")))
        }
        Err((Some(refused), _)) => {
            Err(BusError::Unavailable(format!("create the stream `{name}`: {}", refusal::text(&refused))))
        }
        Err((None, error)) => Err(unavailable(&format!("create the stream `{name}`"), &error)),
    }
}

fn refused(kind: CreateStreamErrorKind) -> Option<async_nats::jetstream::Error> {
    match kind {
        CreateStreamErrorKind::JetStream(error) => Some(error),
        _ => None,
    }
}

/// The settings of an existing stream that contradict the configured ones, or a promise of the bus.
pub(super) fn wrong_events(found: &Config, config: &NatsConfig) -> Vec<String> {
    let wanted = events(config);
    let mut wrong = settings::of_events(found, &subject::of_all(&config.name));
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

fn bucket(config: &NatsConfig) -> Config {
    Config {
        name: format!("KV_{}-hooks", config.name),
        subjects: vec![format!("$KV.{}-hooks.>", config.name)],
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
    }
}
