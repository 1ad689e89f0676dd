//! `[ingest]`: where and how `hooks serve` takes events.

use std::path::Path;

use hooks_core::ConfigProblem;
use hooks_server::IngestSettings;

use super::bus::ConfiguredBus;
use super::problem::Findings;
use super::section::{place_of, section};
use super::tree::Entry;

/// The error when a request would never fit into the bus's memory.
pub(crate) fn too_large_for(settings: &IngestSettings, bus: &ConfiguredBus) -> Option<String> {
    let ((setting, max), max_body) = (bus.max_memory()?, settings.max_body);
    (max < max_body).then(|| format!("a body of {max_body} never fits into bus.{setting}, {max}"))
}

/// Reads and checks the section. `has_tokens`: there are some in `[api]`.
pub(super) fn read(
    entry: Option<Entry>,
    config_dir: Option<&str>,
    bus: Option<&ConfiguredBus>,
    has_tokens: bool,
    findings: &mut Findings,
) -> Option<IngestSettings> {
    // Whoever does not serve does not care whether what is not set fits.
    let bus = entry.as_ref().and(bus);
    let (mut settings, places) = section::<IngestSettings>("ingest", entry, findings)?;
    let too_large = bus.and_then(|bus| too_large_for(&settings, bus)).map(|why| ConfigProblem::new("max_body", why));
    for problem in settings.problems(has_tokens).into_iter().chain(too_large) {
        findings.add(place_of(&places, &problem.path), format!("ingest: {problem}"));
    }
    if let (Some(file), Some(folder)) = (&mut settings.token_file, config_dir) {
        *file = Path::new(folder).join(&*file);
    }
    Some(settings)
}
