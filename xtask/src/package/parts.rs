//! The crates that the binary is made of, as the lock file has them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use crate::workspace;

/// A crate that is in the binary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) version: String,
    /// An SPDX expression.
    pub(super) license: String,
    pub(super) authors: String,
    /// False for those of this workspace.
    pub(super) is_foreign: bool,
    /// Its own folder.
    pub(super) folder: PathBuf,
    /// What it is built with, by places in the list of all.
    pub(super) needs: Vec<usize>,
}

/// All of them, `hooks-cli` among them, in order.
pub(super) fn all() -> Result<Vec<Part>, String> {
    let mut cargo = workspace::cargo();
    cargo.args(["metadata", "--format-version", "1", "--locked", "--manifest-path", "hooks-cli/Cargo.toml"]);
    let platform = workspace::output(std::process::Command::new("rustc").args(["--print", "host-tuple"]))?;
    let text = workspace::output(cargo.args(["--filter-platform", platform.trim()]))?;
    let metadata = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    of(&metadata).ok_or_else(|| "cargo metadata: not as expected".to_owned())
}

fn of(metadata: &Value) -> Option<Vec<Part>> {
    let needs: BTreeMap<&str, Vec<&str>> = metadata["resolve"]["nodes"]
        .as_array()?
        .iter()
        .filter_map(|node| Some((node["id"].as_str()?, in_binary(&node["deps"]))))
        .collect();
    let packages = metadata["packages"].as_array()?;
    let root = packages.iter().find(|package| package["name"] == "hooks-cli")?["id"].as_str()?;
    let (mut reached, mut open) = (BTreeSet::new(), vec![root]);
    while let Some(id) = open.pop() {
        if reached.insert(id) {
            open.extend(needs.get(id)?);
        }
    }
    let mut used: Vec<_> =
        packages.iter().filter(|package| package["id"].as_str().is_some_and(|id| reached.contains(id))).collect();
    used.sort_by_key(|package| (package["name"].as_str(), package["version"].as_str()));
    let places: BTreeMap<_, _> =
        used.iter().enumerate().filter_map(|(at, package)| Some((package["id"].as_str()?, at))).collect();
    let part = |package: &&Value| {
        let text = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
        let authors = package["authors"].as_array()?.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
        let needs = needs.get(package["id"].as_str()?)?.iter().filter_map(|id| places.get(id).copied()).collect();
        let mut folder = PathBuf::from(text("manifest_path"));
        folder.pop();
        Some(Part {
            name: text("name"),
            version: text("version"),
            // As old crates write it.
            license: text("license").replace('/', " OR "),
            authors,
            is_foreign: !package["source"].is_null(),
            folder,
            needs,
        })
    };
    used.iter().map(part).collect()
}

/// What ends up in a binary: neither tests nor build scripts do.
fn in_binary(dependencies: &Value) -> Vec<&str> {
    let is_linked = |dependency: &&Value| {
        dependency["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    let all = dependencies.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter(is_linked).filter_map(|dependency| dependency["pkg"].as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_has_its_crates_and_not_those_of_tests() {
        let parts = all().unwrap();
        let names: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
        for name in ["hooks-cli", "hooks-core", "tokio", "ring", "async-nats"] {
            assert!(names.contains(&name), "{name}");
        }
        for name in ["proptest", "hooks-test", "assert_cmd", "xtask"] {
            assert!(!names.contains(&name), "{name}");
        }
        let cli = parts.iter().find(|part| part.name == "hooks-cli").unwrap();
        assert!(cli.needs.iter().any(|at| parts[*at].name == "clap"), "{cli:?}");
    }
}
