//! The files at the top of the repository.

use std::collections::BTreeSet;
use std::path::{Component, PathBuf};

use super::problem::Problem;

/// Everything that is visible there. Tool settings live in dotfiles.
const TOP: [&str; 18] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "deploy",
    "docs",
    "examples",
    "hooks-bus",
    "hooks-cli",
    "hooks-core",
    "hooks-server",
    "hooks-sink-file",
    "hooks-sink-http",
    "hooks-test",
    "hooks-verify",
    "xtask",
];

pub(super) fn check(files: &[PathBuf]) -> Vec<Problem> {
    let names: BTreeSet<String> = files
        .iter()
        .filter_map(|file| match file.components().next() {
            Some(Component::Normal(name)) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    let unknown = names.iter().filter(|name| !name.starts_with('.') && !TOP.contains(&name.as_str()));
    unknown
        .map(|name| Problem {
            place: name.clone(),
            what: "does not belong at the top of the repository".to_owned(),
            advice: "put it into the crate that needs it, or into a dotfile if it sets up a tool",
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_stands_at_the_top() {
        let files = ["Cargo.toml", ".ci/run", "hooks-core/src/lib.rs", "notes.txt", "tools/x.sh", "tools/y.sh"];
        let problems = check(&files.map(PathBuf::from));
        assert_eq!(problems.iter().map(|problem| problem.place.as_str()).collect::<Vec<_>>(), ["notes.txt", "tools"]);
    }
}
