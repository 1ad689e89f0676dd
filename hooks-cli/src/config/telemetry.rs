//! `[telemetry]`, and the variables of OpenTelemetry that stand in for what it leaves out.
//!
//! Source: "OpenTelemetry Protocol Exporter" and "OpenTelemetry Environment Variable Specification".

use std::env::VarError;
use std::time::Duration;

use hooks_core::{HumanDuration, Secret};
use hooks_server::otlp::TelemetrySettings;
use percent_encoding::percent_decode_str;

use super::problem::Findings;
use super::section::{place_of, section};
use super::tree::Entry;

/// Looks up a variable.
type Lookup<'a> = &'a dyn Fn(&str) -> Result<String, VarError>;

/// Reads and checks the section. `None` within: it is not there, or `OTEL_SDK_DISABLED` is true.
pub(super) fn read(
    entry: Option<Entry>,
    lookup: Lookup<'_>,
    findings: &mut Findings,
) -> Option<Option<TelemetrySettings>> {
    if entry.is_none() {
        return Some(None);
    }
    let (mut settings, places) = section::<TelemetrySettings>("telemetry", entry, findings)?;
    let own = settings.problems();
    for problem in &own {
        findings.add(place_of(&places, &problem.path), format!("telemetry: {problem}"));
    }
    if !cfg!(feature = "http") {
        findings
            .add(places.span.clone(), "telemetry: this program can't send it: it was built without the feature `http`");
    }
    let environment = Environment(lookup);
    let is_disabled = environment.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if !is_disabled {
        if let Err(why) = environment.fill(&mut settings) {
            findings.add(places.span.clone(), format!("telemetry: {why}"));
        }
        for problem in settings.problems().iter().filter(|problem| !own.contains(problem)) {
            findings.add(places.span.clone(), format!("telemetry: by the environment: {problem}"));
        }
    }
    #[cfg(feature = "http")]
    if let Some(why) = settings.endpoint.as_deref().and_then(|endpoint| crate::telemetry::address(endpoint).err()) {
        findings.add(place_of(&places, "endpoint"), format!("telemetry: endpoint: {why}"));
    }
    #[cfg(feature = "http")]
    if let Err(problem) = crate::telemetry::headers(&settings) {
        findings.add(place_of(&places, &problem.path.replace('.', "/")), format!("telemetry: {problem}"));
    }
    Some(Some(settings).filter(|_| !is_disabled))
}

struct Environment<'a>(Lookup<'a>);

impl Environment<'_> {
    /// An empty variable is as good as none.
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).ok().filter(|value| !value.is_empty())
    }

    /// Fills in what is not set.
    fn fill(&self, settings: &mut TelemetrySettings) -> Result<(), String> {
        // How its collector is spoken to, and with which token, says nothing of the file's.
        if settings.endpoint.is_none() {
            self.collector(settings)?;
        }
        settings.timeout = settings.timeout.or(self.millis("OTEL_EXPORTER_OTLP_TIMEOUT")?);
        settings.interval = settings.interval.or(self.millis("OTEL_METRIC_EXPORT_INTERVAL")?);
        let name = self.get("OTEL_SERVICE_NAME").map(|name| ("service.name".to_owned(), name));
        for (key, value) in name.into_iter().chain(self.pairs("OTEL_RESOURCE_ATTRIBUTES")?) {
            settings.resource.entry(key).or_insert(value);
        }
        Ok(())
    }

    fn collector(&self, settings: &mut TelemetrySettings) -> Result<(), String> {
        const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
        if let Some(protocol) = self.get(PROTOCOL).filter(|protocol| protocol != "http/protobuf") {
            return Err(format!("{PROTOCOL} in the environment is `{protocol}`: only `http/protobuf` is spoken here"));
        }
        settings.endpoint = self.get("OTEL_EXPORTER_OTLP_ENDPOINT");
        if settings.headers.is_empty() {
            let headers = self.pairs("OTEL_EXPORTER_OTLP_HEADERS")?;
            settings.headers = headers.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        }
        Ok(())
    }

    fn millis(&self, name: &str) -> Result<Option<HumanDuration>, String> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let millis = text.parse().ok().filter(|millis| *millis > 0);
        let span = millis.map(|millis| HumanDuration::new(Duration::from_millis(millis)));
        span.map(Some)
            .ok_or_else(|| format!("{name} in the environment is `{text}`: expected a number of milliseconds"))
    }

    /// `key=value,key=value`, percent-encoded. Values may be secret: none is quoted.
    fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, String> {
        let decoded = |text: &str| percent_decode_str(text.trim()).decode_utf8().map(String::from);
        let text = self.get(name).unwrap_or_default();
        let parts = text.split(',').filter(|part| !part.trim().is_empty());
        let pairs = parts.map(|part| {
            let (key, value) = part.split_once('=')?;
            Some((decoded(key).ok().filter(|key| !key.is_empty())?, decoded(value).ok()?))
        });
        let pairs: Option<Vec<_>> = pairs.collect();
        pairs.ok_or_else(|| {
            format!("{name} in the environment: expected `key=value`, several with `,` between, percent-encoded")
        })
    }
}
