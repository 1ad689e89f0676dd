//! `cargo xtask integration [NAME…]`: hooks together with programs that other people wrote.
//!
//! ```text
//! list below ─▶ install what is missing (packages) ─▶ build `hooks` ─▶ run one after the other
//! ```
//!
//! A new one is a file here with `pub(super) const INTEGRATION: Integration` and a line in [`ALL`].

mod bench;
mod deploy;
mod image;
mod logrotate;
mod monitoring;
mod nats;
mod oauth2;
mod openapi;
mod package;
mod page;
mod postgres;
mod prometheus;
mod rpm;
mod rsyslog;
mod server;
mod shells;
mod systemd;
mod telemetry;
mod verifiers;

use crate::packages;
use crate::workspace::{self, Done};
use bench::{Bench, Integration};

/// Every integration, in the order in which they run.
const ALL: &[Integration] = &[
    systemd::INTEGRATION,
    package::INTEGRATION,
    rpm::INTEGRATION,
    image::INTEGRATION,
    deploy::INTEGRATION,
    prometheus::INTEGRATION,
    logrotate::INTEGRATION,
    rsyslog::INTEGRATION,
    verifiers::INTEGRATION,
    oauth2::INTEGRATION,
    telemetry::INTEGRATION,
    nats::INTEGRATION,
    postgres::INTEGRATION,
    openapi::INTEGRATION,
    page::INTEGRATION,
    shells::INTEGRATION,
];

/// The folder of the programs of Debian's PostgreSQL.
pub(crate) fn debian_postgres() -> Result<std::path::PathBuf, String> {
    postgres::debian()
}

/// Runs the named integrations, or all. What they need is installed, or it is an error.
pub(crate) fn run(names: &[&str]) -> Done {
    let chosen = chosen(names)?;
    for integration in &chosen {
        packages::provide(integration.needs).map_err(|why| format!("{}: {why}", integration.name))?;
    }
    let hooks = workspace::built("hooks", &["build", "--package", "hooks-cli", "--bin", "hooks"])?;
    for integration in chosen {
        eprintln!("── {}: {}", integration.name, integration.shows);
        let folder = tempfile::tempdir().map_err(|error| format!("make a folder: {error}"))?;
        let bench = Bench { hooks: hooks.clone(), folder };
        (integration.run)(&bench).map_err(|why| format!("{}: {why}", integration.name))?;
    }
    Ok(())
}

/// The names, for the help text.
pub(crate) fn names() -> String {
    ALL.iter().map(|integration| integration.name).collect::<Vec<_>>().join(", ")
}

fn chosen(names: &[&str]) -> Result<Vec<&'static Integration>, String> {
    if names.is_empty() {
        return Ok(ALL.iter().collect());
    }
    let find = |name: &&str| {
        let found = ALL.iter().find(|integration| integration.name == *name);
        found.ok_or_else(|| format!("there is no integration `{name}`; there are {}", self::names()))
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_others_are_said() {
        assert_eq!(chosen(&[]).unwrap().len(), ALL.len());
        assert_eq!(chosen(&["systemd"]).unwrap()[0].name, "systemd");
        let error = chosen(&["system"]).err().unwrap();
        assert!(error.starts_with("there is no integration `system`; there are "), "{error}");
    }
}
