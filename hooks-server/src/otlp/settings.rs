//! `[telemetry]`: what a collector is sent.

use std::collections::BTreeMap;
use std::time::Duration;

use hooks_core::{ConfigProblem, HumanDuration, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

/// Traces and metrics for a collector, by OTLP over HTTP with protobuf. Sent where this section is there. Changing it takes a
/// restart.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// The address of the collector; `/v1/traces` and `/v1/metrics` are added. Not set: `OTEL_EXPORTER_OTLP_ENDPOINT`, or
    /// `http://localhost:4318`.
    pub endpoint: Option<String>,
    /// Headers of each request, with a token, say. Not set, and no `endpoint` either: those of `OTEL_EXPORTER_OTLP_HEADERS`.
    #[schemars(with = "BTreeMap<String, String>")]
    pub headers: BTreeMap<String, Secret>,
    /// Whether spans are sent: of each attempt to deliver, and of each request to publish.
    pub traces: bool,
    /// Of the traces that begin here, the share that is sent, from 0 to 1. Those that began elsewhere are sent if their
    /// `traceparent` says that they are recorded.
    pub sample: f64,
    /// Whether metrics are sent.
    pub metrics: bool,
    /// How often metrics are sent. Not set: `OTEL_METRIC_EXPORT_INTERVAL`, or `1m`.
    pub interval: Option<HumanDuration>,
    /// The time limit of a request. Not set: `OTEL_EXPORTER_OTLP_TIMEOUT`, or `10s`.
    pub timeout: Option<HumanDuration>,
    /// What describes this process. Added to `OTEL_RESOURCE_ATTRIBUTES`; `service.name` is `OTEL_SERVICE_NAME`, or `hooks`,
    /// and `service.instance.id` a UUID of this process, where nothing sets them.
    pub resource: BTreeMap<String, String>,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            headers: BTreeMap::new(),
            traces: true,
            sample: 1.0,
            metrics: true,
            interval: None,
            timeout: None,
            resource: BTreeMap::new(),
        }
    }
}

impl TelemetrySettings {
    /// Everything that makes no sense: the name of a setting, and what is wrong with it.
    pub fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut wrong = |name: &str, why: &str| problems.push(ConfigProblem::new(name, why));
        if !(0.0..=1.0).contains(&self.sample) {
            wrong("sample", "expected a share of all traces, from 0 to 1");
        }
        if self.interval.is_some_and(|interval| interval.get() < Duration::from_secs(1)) {
            wrong("interval", "must be 1s or longer");
        }
        if self.timeout.is_some_and(|timeout| timeout.get().is_zero()) {
            wrong("timeout", "must be longer than 0s");
        }
        if !self.traces && !self.metrics {
            wrong("metrics", "with `traces = false` there is nothing to send: leave [telemetry] out");
        }
        problems
    }

    /// The attributes of the resource, which is this instance where nothing names it.
    pub(super) fn resource(&self, instance: &str) -> BTreeMap<String, String> {
        let version = env!("CARGO_PKG_VERSION");
        let own = [("service.name", "hooks"), ("service.version", version), ("service.instance.id", instance)];
        let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
        own.into_iter().chain(self.resource.clone()).collect()
    }
}
