//! Settings of a server: of its HTTP side, of its publishers, and of events.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{ByteSize, ConfigProblem, HumanDuration, SliceBuilder, TenantId, envelope::DEFAULT_MAX_EVENT_BYTES};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{ApiSettings, Signer, Tokens};

/// Settings with which `hooks serve` takes events over HTTP. Other commands don't use them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IngestSettings {
    /// The address and port to listen at. Port 0 takes any that is free. Changing it takes a restart.
    #[serde(deserialize_with = "address")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// A file with the token that clients have to send (`Authorization: Bearer …`) to publish, or several, a line
    /// each. Read again on SIGHUP. A relative path begins at the folder of this file. This or `api.tokens` is needed to
    /// listen beyond loopback.
    pub token_file: Option<PathBuf>,
    /// The longest request body.
    pub max_body: ByteSize,
    /// Most events in one request.
    pub max_events: NonZeroUsize,
    /// Most bytes of bodies of all requests that are being read or published. Changing it takes a restart.
    pub max_in_flight: ByteSize,
    /// Most connections. Beyond them, health and metrics are still answered; a client that publishes gets the place
    /// of an idle one, or waits for `publish_timeout`. Changing it takes a restart.
    pub max_connections: NonZeroUsize,
    /// The longest request head: the line and all headers.
    pub max_head: ByteSize,
    /// A connection that has not sent a whole request head this long after it was opened, or after its
    /// last answer, is closed.
    pub head_timeout: HumanDuration,
    /// The longest time that a client may take for a request body, or leave an answer unread.
    pub body_timeout: HumanDuration,
    /// The longest time that a request waits for room before it is answered with 503.
    pub publish_timeout: HumanDuration,
}

impl Default for IngestSettings {
    fn default() -> Self {
        let seconds = |seconds| HumanDuration::new(Duration::from_secs(seconds));
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            token_file: None,
            max_body: ByteSize::new(8 << 20),
            max_events: NonZeroUsize::MIN.saturating_add(9_999),
            max_in_flight: ByteSize::new(64 << 20),
            max_connections: NonZeroUsize::MIN.saturating_add(1_023),
            max_head: ByteSize::new(16 << 10),
            head_timeout: seconds(30),
            body_timeout: seconds(30),
            publish_timeout: seconds(5),
        }
    }
}

/// The limits of a request head, least and most.
const HEADS: (ByteSize, ByteSize) = (ByteSize::new(8 << 10), ByteSize::new(1 << 20));

/// Longest `max_body` and `max_in_flight`: what one request becomes stays below what a slice can hold.
const LARGEST: ByteSize = ByteSize::new(1 << 30);

/// The most bytes that filled-in attributes add to an event, beside its source.
const FILLED_IN: u64 = 240;

impl IngestSettings {
    /// Bytes of events that one request can become, where `source` is filled in.
    pub fn largest_request(&self, source: &str) -> u64 {
        let each = FILLED_IN + source.len() as u64;
        self.max_body.bytes().saturating_add(each.saturating_mul(self.max_events.get() as u64))
    }

    /// The fields that differ and can't change while a server runs.
    pub(crate) fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let changed = [
            ("listen", self.listen != new.listen),
            ("max_in_flight", self.max_in_flight != new.max_in_flight),
            ("max_connections", self.max_connections != new.max_connections),
        ];
        changed.iter().filter(|(_, changed)| *changed).map(|(name, _)| *name).collect()
    }

    /// Everything that makes no sense: the name of a field, and what is wrong with its value. `has_tokens`: there are
    /// tokens beside those of `token_file`.
    pub fn problems(&self, has_tokens: bool) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if !self.listen.ip().is_loopback() && self.token_file.is_none() && !has_tokens {
            let message = "is not a loopback address, so others could publish: set ingest.token_file, or api.tokens";
            problems.push(ConfigProblem::new("listen", format!("{} {message}", self.listen.ip())));
        }
        if self.token_file.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
            problems.push(ConfigProblem::new("token_file", "expected the path of a file".to_owned()));
        }
        for (name, limit) in [
            ("head_timeout", self.head_timeout),
            ("body_timeout", self.body_timeout),
            ("publish_timeout", self.publish_timeout),
        ] {
            if limit.get().is_zero() {
                problems.push(ConfigProblem::new(name, "must be longer than 0s".to_owned()));
            }
        }
        self.sizes(&mut problems);
        problems
    }

    fn sizes(&self, problems: &mut Vec<ConfigProblem>) {
        let &Self { max_body, max_in_flight, max_head, .. } = self;
        if max_head < HEADS.0 || max_head > HEADS.1 {
            problems
                .push(ConfigProblem::new("max_head", format!("{max_head} is not between {} and {}", HEADS.0, HEADS.1)));
        }
        if max_body.bytes() == 0 {
            problems.push(ConfigProblem::new("max_body", "0 bytes hold no event: set at least 1".to_owned()));
        } else if max_body > LARGEST {
            problems.push(ConfigProblem::new("max_body", format!("{max_body} is more than {LARGEST}")));
        }
        if max_in_flight < max_body {
            let message = format!("a body of max_body, {max_body}, never fits into {max_in_flight}");
            problems.push(ConfigProblem::new("max_in_flight", message));
        }
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let expected = "expected an IP address and a port, for example \"127.0.0.1:8080\" or \"[::1]:8080\"";
    let text = String::deserialize(deserializer).map_err(|_| serde::de::Error::custom(expected))?;
    text.parse().map_err(|_| serde::de::Error::custom(expected))
}

/// Everything that a running server can be given anew.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Limits of requests and connections.
    pub ingest: IngestSettings,
    /// The tokens, and what each allows. Without any, everybody who reaches the server may do everything.
    pub tokens: Option<Tokens>,
    /// Makes tokens and knows them. The default makes none.
    pub signer: Signer,
    /// Most bytes of events of one tenant that its hooks may be behind while it publishes with its own token.
    pub max_pending: ByteSize,
    /// The most of the log that a tenant's events may take before it publishes nothing more, on a bus that
    /// [counts](hooks_core::Bus::count_tenants) that.
    pub max_retained: Option<ByteSize>,
    /// The origins whose pages may show the page at `/ui/` in a frame, as `api.frame_ancestors` has them.
    pub frame_ancestors: Vec<String>,
    /// The `source` of events that name none: a URI reference.
    pub source: Arc<str>,
    /// The longest event that is taken, in bytes of JSON.
    pub max_event_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ingest: IngestSettings::default(),
            tokens: None,
            signer: Signer::default(),
            max_pending: ApiSettings::default().max_pending,
            max_retained: None,
            frame_ancestors: Vec::new(),
            source: "hooks".into(),
            max_event_bytes: DEFAULT_MAX_EVENT_BYTES,
        }
    }
}

impl Settings {
    /// # Errors
    /// Everything that makes no sense.
    pub(crate) fn check(&self) -> Result<(), InvalidSettings> {
        let mut problems = self.ingest.problems(self.tokens.is_some());
        if self.ingest.token_file.is_some() && self.tokens.is_none() {
            problems.push(ConfigProblem::new(
                "token_file",
                "the server does not read it: give it the tokens, too".to_owned(),
            ));
        }
        InvalidSettings::unless_empty(problems)
    }

    /// Takes a request's events, of one tenant or of all.
    pub(crate) fn slice(&self, tenant: Option<&TenantId>) -> SliceBuilder {
        let slice = SliceBuilder::new(self.source.clone()).max_event_bytes(self.max_event_bytes);
        slice.refuse_reserved().tenant(tenant.cloned())
    }
}

/// Settings that make no sense: the name of each field, and what is wrong with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSettings(Vec<ConfigProblem>);

impl InvalidSettings {
    /// # Errors
    /// When there are problems.
    pub(crate) fn unless_empty(problems: Vec<ConfigProblem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }
}

impl fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems: Vec<_> = self.0.iter().map(|problem| format!("ingest.{problem}")).collect();
        f.write_str(&problems.join("; "))
    }
}

impl std::error::Error for InvalidSettings {}
