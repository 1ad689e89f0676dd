//! `[ingest]`: where and how `hooks serve` takes events.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hooks_core::{ByteSize, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::problem::Findings;
use super::tree::{Entry, Node};
use super::{BusConfig, place_of, section};

/// Settings with which `hooks serve` takes events over HTTP. Other commands don't use them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IngestSettings {
    /// The address and port to listen at. Port 0 takes any that is free. Changing it takes a restart.
    #[serde(deserialize_with = "address")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// A file with the token that clients have to send (`Authorization: Bearer …`), or several, a line
    /// each. Read again on SIGHUP. A relative path begins at the folder of this file. Needed to listen
    /// beyond loopback.
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
        let seconds = |seconds| HumanDuration(Duration::from_secs(seconds));
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            token_file: None,
            max_body: ByteSize(8 << 20),
            max_events: NonZeroUsize::MIN.saturating_add(9_999),
            max_in_flight: ByteSize(64 << 20),
            max_connections: NonZeroUsize::MIN.saturating_add(1_023),
            max_head: ByteSize(16 << 10),
            head_timeout: seconds(30),
            body_timeout: seconds(30),
            publish_timeout: seconds(5),
        }
    }
}

/// The limits of a request head, least and most.
const HEADS: (ByteSize, ByteSize) = (ByteSize(8 << 10), ByteSize(1 << 20));

/// Longest `max_body` and `max_in_flight`: what one request becomes stays below what a slice can hold.
const LARGEST: ByteSize = ByteSize(1 << 30);

/// The most bytes that filled-in attributes add to an event, beside its source.
const FILLED_IN: u64 = 160;

impl IngestSettings {
    /// Bytes of events that one request can become.
    pub(crate) fn largest_request(&self, source: &str) -> u64 {
        let each = FILLED_IN + source.len() as u64;
        self.max_body.0.saturating_add(each.saturating_mul(self.max_events.get() as u64))
    }

    /// The error when a request would never fit into the bus's memory.
    pub(crate) fn too_large_for(&self, bus: &BusConfig) -> Option<String> {
        let (max_memory, max_body) = (bus.max_memory()?, self.max_body);
        (max_memory < max_body).then(|| format!("a body of {max_body} never fits into bus.max_memory, {max_memory}"))
    }

    /// The settings that can't change while it runs, by their names in the config file.
    pub(crate) fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let changed = [
            ("ingest.listen", self.listen != new.listen),
            ("ingest.max_in_flight", self.max_in_flight != new.max_in_flight),
            ("ingest.max_connections", self.max_connections != new.max_connections),
        ];
        changed.iter().filter(|(_, changed)| *changed).map(|(name, _)| *name).collect()
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let expected = "expected an IP address and a port, for example \"127.0.0.1:8080\" or \"[::1]:8080\"";
    let text = String::deserialize(deserializer).map_err(|_| serde::de::Error::custom(expected))?;
    text.parse().map_err(|_| serde::de::Error::custom(expected))
}

/// Reads and checks the section.
pub(super) fn read(
    entry: Option<Entry>,
    config_dir: Option<&str>,
    bus: Option<&BusConfig>,
    findings: &mut Findings,
) -> Option<IngestSettings> {
    // Whoever does not serve does not care whether what is not set fits.
    let bus = entry.as_ref().and(bus);
    let (mut settings, places) = section::<IngestSettings>("ingest", entry, findings)?;
    check(&settings, &places, bus, findings);
    if let (Some(file), Some(folder)) = (&mut settings.token_file, config_dir) {
        *file = Path::new(folder).join(&*file);
    }
    Some(settings)
}

fn check(settings: &IngestSettings, places: &Node, bus: Option<&BusConfig>, findings: &mut Findings) {
    let mut wrong = |name: &str, message: String| {
        findings.add(place_of(places, name), format!("ingest: {name}: {message}"));
    };
    if !settings.listen.ip().is_loopback() && settings.token_file.is_none() {
        let message = "is not a loopback address, so others could publish: set ingest.token_file";
        wrong("listen", format!("{} {message}", settings.listen.ip()));
    }
    if settings.token_file.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
        wrong("token_file", "expected the path of a file".to_owned());
    }
    for (name, span) in [
        ("head_timeout", settings.head_timeout),
        ("body_timeout", settings.body_timeout),
        ("publish_timeout", settings.publish_timeout),
    ] {
        if span.0.is_zero() {
            wrong(name, "must be longer than 0s".to_owned());
        }
    }
    sizes(settings, bus, &mut wrong);
}

fn sizes(settings: &IngestSettings, bus: Option<&BusConfig>, wrong: &mut dyn FnMut(&str, String)) {
    let &IngestSettings { max_body, max_in_flight, max_head, .. } = settings;
    if max_head < HEADS.0 || max_head > HEADS.1 {
        wrong("max_head", format!("{max_head} is not between {} and {}", HEADS.0, HEADS.1));
    }
    if max_body.0 == 0 {
        wrong("max_body", "0 bytes hold no event: set at least 1".to_owned());
    } else if max_body > LARGEST {
        wrong("max_body", format!("{max_body} is more than {LARGEST}"));
    }
    if max_in_flight < max_body {
        wrong("max_in_flight", format!("a body of max_body, {max_body}, never fits into {max_in_flight}"));
    }
    if let Some(message) = bus.and_then(|bus| settings.too_large_for(bus)) {
        wrong("max_body", message);
    }
}
