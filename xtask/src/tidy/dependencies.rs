//! The allowed dependencies between crates.

use std::collections::BTreeSet;

use serde_json::Value;

use super::problem::Problem;
use crate::workspace;

/// The crates of the workspace, and what of it each may depend on, tests apart. `hooks-test` is for tests: no list names it.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("hooks-core", &[]),
    ("hooks-bus", &["hooks-core"]),
    ("hooks-sink-http", &["hooks-core", "hooks-verify"]),
    ("hooks-verify", &[]),
    ("hooks-sink-file", &["hooks-core"]),
    ("hooks-server", &["hooks-core"]),
    ("hooks-test", &["hooks-core"]),
    ("hooks-cli", &["hooks-core", "hooks-bus", "hooks-sink-http", "hooks-sink-file", "hooks-server", "hooks-verify"]),
    ("xtask", &["hooks-core", "hooks-bus", "hooks-sink-http", "hooks-sink-file", "hooks-server", "hooks-cli"]),
];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The crates of the workspace, as cargo knows them.
pub(super) fn metadata() -> Result<Value, String> {
    let mut cargo = workspace::cargo();
    cargo.args(["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    serde_json::from_str(&workspace::output(&mut cargo)?).map_err(|error| format!("cargo metadata: {error}"))
}

pub(super) fn check(metadata: &Value) -> Result<Vec<Problem>, String> {
    let packages = metadata["packages"].as_array().ok_or("cargo metadata: no packages")?;
    let mut problems = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some((_, may_use)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
            problems.push(Problem {
                place: name.to_owned(),
                what: "is a crate that the rules don't know".to_owned(),
                advice: "add it to the table in xtask/src/tidy/dependencies.rs, and to ARCHITECTURE.md",
            });
            continue;
        };
        for dependency in dependencies {
            problems.extend(check_one(name, may_use, dependency));
        }
    }
    Ok(problems)
}

/// Most crates that `hooks-core` builds with when its features are off, itself among them.
const LEAN: usize = 45;

/// Services that embed the dispatcher pay for each crate.
pub(super) fn lean() -> Result<Option<Problem>, String> {
    let mut cargo = workspace::cargo();
    cargo.args(["tree", "-p", "hooks-core", "--no-default-features", "-e", "normal", "--prefix", "none"]);
    let tree = workspace::output(cargo.args(["--format", "{p}", "--locked"]))?;
    let crates: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    Ok((crates.len() > LEAN).then(|| Problem {
        place: "hooks-core/Cargo.toml".to_owned(),
        what: format!("builds with {} crates when its features are off, more than {LEAN}", crates.len()),
        advice: "put the new dependency behind a feature, or do without",
    }))
}

/// The newest compiler that a package asks for, of those that the published crates build with; and that package.
fn newest(metadata: &Value) -> Option<((u64, u64), String)> {
    let packages = metadata["packages"].as_array()?.iter();
    let asked = packages.filter(|package| !package["source"].is_null());
    asked.filter_map(|package| Some((version(&package["rust_version"])?, package["name"].as_str()?.to_owned()))).max()
}

/// Major and minor.
fn version(text: &Value) -> Option<(u64, u64)> {
    let mut parts = text.as_str()?.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next().flatten().unwrap_or(0)))
}

/// `rust-version` is what the dependencies allow, so that clippy's `incompatible_msrv` holds the code to what is true.
pub(super) fn oldest_compiler() -> Result<Option<Problem>, String> {
    let mut cargo = workspace::cargo();
    cargo.args(["metadata", "--format-version", "1", "--locked", "--manifest-path", "hooks-cli/Cargo.toml"]);
    let text = workspace::output(cargo.args(["--filter-platform", "x86_64-unknown-linux-gnu"]))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let ours = metadata["packages"].as_array().into_iter().flatten().find(|package| package["name"] == "hooks-cli");
    let ours = ours.and_then(|package| version(&package["rust_version"])).ok_or("hooks-cli has no rust-version")?;
    Ok(newest(&metadata).filter(|(needed, _)| *needed > ours).map(|((major, minor), package)| Problem {
        place: "Cargo.toml".to_owned(),
        what: format!("says a `rust-version` that `{package}` does not build with: it needs {major}.{minor}"),
        advice: "raise it, and say so in the changelog, or take an older version of that package",
    }))
}

fn check_one(package: &str, may_use: &[&str], dependency: &Value) -> Option<Problem> {
    let name = dependency["name"].as_str().unwrap_or_default();
    let place = format!("{package}/Cargo.toml");
    let is_ours = MAY_USE.iter().any(|(known, _)| *known == name);
    let is_for_tests = dependency["kind"] == "dev" && (package != "hooks-core" || name == "hooks-test");
    if is_ours && !is_for_tests && !may_use.contains(&name) {
        return Some(Problem {
            place,
            what: format!("depends on `{name}`"),
            advice: "dependencies point one way, everything to `hooks-core`: move what both need there, \
                     or join them in `hooks-cli`",
        });
    }
    if !is_ours && dependency["source"] != REGISTRY {
        return Some(Problem {
            place,
            what: format!("takes `{name}` from somewhere else than crates.io"),
            advice: "use a released version, so that everybody can build this",
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(package: &str, dependency: &str, kind: Value, source: Value) -> Vec<String> {
        let dependency = json!({ "name": dependency, "kind": kind, "source": source });
        let metadata = json!({ "packages": [{ "name": package, "dependencies": [dependency] }] });
        check(&metadata).unwrap().into_iter().map(|problem| format!("{}: {}", problem.place, problem.what)).collect()
    }

    #[test]
    fn dependencies_point_one_way() {
        let ours = |package, dependency| problems(package, dependency, Value::Null, Value::Null);
        assert_eq!(ours("hooks-core", "hooks-bus"), ["hooks-core/Cargo.toml: depends on `hooks-bus`"]);
        assert_eq!(ours("hooks-bus", "hooks-sink-http"), ["hooks-bus/Cargo.toml: depends on `hooks-sink-http`"]);
        assert_eq!(ours("hooks-sink-file", "hooks-cli"), ["hooks-sink-file/Cargo.toml: depends on `hooks-cli`"]);
        assert_eq!(ours("hooks-server", "hooks-bus"), ["hooks-server/Cargo.toml: depends on `hooks-bus`"]);
        assert_eq!(ours("hooks-cli", "xtask"), ["hooks-cli/Cargo.toml: depends on `xtask`"]);
        assert!(ours("hooks-cli", "hooks-sink-http").is_empty());
        assert!(ours("hooks-bus", "hooks-core").is_empty());
    }

    #[test]
    fn tests_may_use_anything_but_building_may_not() {
        let ours = |kind: &str| problems("hooks-server", "hooks-cli", kind.into(), Value::Null);
        assert!(ours("dev").is_empty());
        assert_eq!(ours("build").len(), 1);
    }

    #[test]
    fn tests_of_the_core_use_the_model_of_a_bus_and_only_tests_use_that() {
        let dev = |package, dependency| problems(package, dependency, "dev".into(), Value::Null);
        assert_eq!(dev("hooks-core", "hooks-bus"), ["hooks-core/Cargo.toml: depends on `hooks-bus`"]);
        assert!(dev("hooks-core", "hooks-test").is_empty());
        for package in ["hooks-core", "hooks-bus", "hooks-cli", "xtask"] {
            let problems = problems(package, "hooks-test", Value::Null, Value::Null);
            assert_eq!(problems, [format!("{package}/Cargo.toml: depends on `hooks-test`")]);
        }
    }

    #[test]
    fn only_crates_io() {
        let from = |source: &str| problems("hooks-core", "serde", Value::Null, source.into());
        assert!(from(REGISTRY).is_empty());
        assert_eq!(
            from("git+https://example.com/serde"),
            ["hooks-core/Cargo.toml: takes `serde` from somewhere else than crates.io"]
        );
    }

    #[test]
    fn the_newest_compiler_that_is_asked_for_is_found() {
        let package = |name: &str, version: &str, source: &str| json!({ "name": name, "rust_version": version, "source": source });
        let metadata = json!({ "packages": [
            package("old", "1.63", REGISTRY),
            package("new", "1.101.2", REGISTRY),
            package("silent", "", REGISTRY),
            { "name": "ours", "rust_version": "1.200", "source": null },
        ]});
        assert_eq!(newest(&metadata), Some(((1, 101), "new".to_owned())));
    }

    #[test]
    fn a_new_crate_has_to_be_entered() {
        assert_eq!(
            problems("hooks-new", "serde", Value::Null, REGISTRY.into()),
            ["hooks-new: is a crate that the rules don't know"]
        );
    }
}
