//! The config file against sinks of the tests' own.

mod api;
mod errors;
mod good;
mod history;
mod ingest;
mod robust;
mod telemetry;

use std::collections::BTreeMap;
use std::env::VarError;

use hooks_core::{
    BatchLimits, BoxError, ConfigProblem, HumanDuration, Secret, Sink, async_trait, inventory,
    sink::{Batch, Delivered, DeliveryError, SinkConfig, SinkContext, SinkPlugin},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Config, Variables, WithoutBus, parse};

/// A sink with one of everything.
#[allow(dead_code, reason = "only read from config files")]
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StubConfig {
    /// Where to.
    url: String,
    secret: Option<Secret>,
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    #[serde(default)]
    labels: BTreeMap<String, u32>,
    #[serde(default)]
    wait: HumanDuration,
    tls: Option<Tls>,
}

#[allow(dead_code, reason = "only read from config files")]
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tls {
    verify: bool,
    roots: Option<Vec<String>>,
}

/// A sink whose author forgot `deny_unknown_fields`.
#[derive(Debug, Deserialize, JsonSchema)]
struct LenientConfig {
    #[serde(default)]
    path: String,
}

struct Nowhere;

#[async_trait]
impl Sink for Nowhere {
    async fn deliver(&mut self, _: &Batch) -> Result<Delivered, DeliveryError> {
        Ok(Delivered::all())
    }
}

impl SinkConfig for StubConfig {
    const KIND: &'static str = "stub";
    type Sink = Nowhere;

    fn build(&self, _: &SinkContext) -> Result<Nowhere, BoxError> {
        Ok(Nowhere)
    }

    fn validate(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if !self.url.starts_with("stub:") {
            problems.push(ConfigProblem::new("url", format!("`{}` does not begin with `stub:`", self.url)));
        }
        if self.headers.keys().any(|name| name.contains(' ')) {
            problems.push(ConfigProblem::new("headers.a b", "not a header name"));
        }
        if self.headers.values().any(|value| value.expose().is_empty()) {
            problems.push(ConfigProblem::new("", "a header is empty"));
        }
        problems
    }

    fn batch_limits(&self) -> BatchLimits {
        BatchLimits::immediate()
    }
}

impl SinkConfig for LenientConfig {
    const KIND: &'static str = "lenient";
    type Sink = Nowhere;

    fn build(&self, _: &SinkContext) -> Result<Nowhere, BoxError> {
        let _ = &self.path;
        Ok(Nowhere)
    }
}

inventory::submit! { SinkPlugin::of::<StubConfig>() }
inventory::submit! { SinkPlugin::of::<LenientConfig>() }

fn lookup(name: &str) -> Result<String, VarError> {
    match name {
        "URL" => Ok("stub:from-the-environment".to_owned()),
        "TOKEN" => Ok("tok-\"abc\"-123456789".to_owned()),
        "N" => Ok("7".to_owned()),
        _ => Err(VarError::NotPresent),
    }
}

fn read(text: &str) -> Result<Config, String> {
    let variables = Variables { config_dir: Some("/etc/hooks"), lookup: &lookup };
    parse(text, "hooks.toml", WithoutBus::InProcess, &variables).map_err(|problems| problems.to_string())
}

/// The messages with their places, without excerpts and the last line.
fn messages(text: &str) -> Vec<String> {
    let problems = read(text).expect_err("something is wrong");
    let lines = problems.lines().filter_map(|line| line.strip_prefix("hooks.toml:"));
    let mut lines: Vec<_> = lines.map(str::to_owned).collect();
    let count = lines.pop().unwrap();
    assert!(count.ends_with("error") || count.ends_with("errors"), "{count}");
    lines
}

/// One hook with these lines in its table, from line 4 on.
fn in_hook(lines: &str) -> String {
    format!("[[hooks]]\nid = 'a'\nsink = {{ kind = 'stub', url = 'stub:' }}\n{lines}\n")
}

/// One hook with this sink, in line 3.
fn with_sink(sink: &str) -> String {
    format!("[[hooks]]\nid = 'a'\nsink = {{ kind = 'stub', {sink} }}\n")
}
