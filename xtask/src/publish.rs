//! `cargo xtask publish`: whether the crates can be published, and whether somebody who takes them from there, not from this
//! repository, can build on them. Nothing is uploaded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::workspace::{self, Done};

/// What a package needs so that people find it and may use it.
const NEEDED: [&str; 6] = ["description", "license", "readme", "repository", "keywords", "categories"];

/// Packs all crates as `cargo publish` would, looks at them, and has a project outside of the workspace build with them.
pub(crate) fn run() -> Done {
    let published = published()?;
    // The second leaves the packages in `target/package`.
    for call in [&["publish", "--dry-run"][..], &["package"]] {
        let mut cargo = workspace::cargo();
        // What differs from the last commit is packed, too: whoever changes a crate tries it before he commits.
        cargo.args(call).args(["--no-verify", "--allow-dirty", "--locked", "--quiet", "--target-dir"]);
        cargo.arg(workspace::root().join("target"));
        for package in &published {
            cargo.args(["--package", &package.name]);
        }
        workspace::output(&mut cargo)?;
    }
    let place = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    for package in &published {
        let folder = unpack(package, place.path())?;
        for file in ["LICENSE", "README.md"] {
            if !folder.join(file).is_file() {
                return Err(format!("{}: the package has no {file}", package.name));
            }
        }
    }
    let project = place.path().join("project");
    write_project(&project, place.path(), &published)?;
    let mut check = workspace::cargo();
    check.current_dir(&project).env("CARGO_TARGET_DIR", workspace::root().join("target"));
    let status = check.args(["check", "--quiet"]).status().map_err(|error| format!("can't run cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("a project that takes the packaged crates does not build".to_owned()) }
}

/// A crate that is published.
pub(crate) struct Package {
    pub(crate) name: String,
    version: String,
    pub(crate) features: Vec<String>,
}

/// The crates of the workspace that are published.
pub(crate) fn published() -> Result<Vec<Package>, String> {
    let mut cargo = workspace::cargo();
    cargo.args(["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    let metadata: Value =
        serde_json::from_str(&workspace::output(&mut cargo)?).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata: no packages")?;
    packages.iter().filter(|package| package["publish"].is_null()).map(of).collect()
}

fn of(package: &Value) -> Result<Package, String> {
    let text = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
    let lacks = |name: &&str| match &package[*name] {
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => true,
    };
    let missing: Vec<_> = NEEDED.into_iter().filter(lacks).collect();
    if !missing.is_empty() {
        return Err(format!("{}/Cargo.toml has no {}", text("name"), missing.join(", ")));
    }
    if package["metadata"]["docs"]["rs"]["all-features"] != true {
        return Err(format!(
            "{}/Cargo.toml: docs.rs would leave out what features add: add `[package.metadata.docs.rs]` with \
             `all-features = true`",
            text("name")
        ));
    }
    let features = package["features"].as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default();
    Ok(Package { name: text("name"), version: text("version"), features })
}

/// Unpacks what was packed, and says where.
fn unpack(Package { name, version, .. }: &Package, into: &Path) -> Result<PathBuf, String> {
    let packed = workspace::root().join(format!("target/package/{name}-{version}.crate"));
    workspace::output(Command::new("tar").arg("-xzf").arg(packed).arg("-C").arg(into))?;
    Ok(into.join(format!("{name}-{version}")))
}

/// A binary that links all of them, and has them from their packages: nothing in it names this repository.
fn write_project(project: &Path, packages: &Path, published: &[Package]) -> Done {
    let mut manifest =
        "[package]\nname = \"outside\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n".to_owned();
    manifest.push_str("[dependencies]\n");
    for Package { name, version, .. } in published {
        manifest.push_str(&format!("{name} = \"{version}\"\n"));
    }
    manifest.push_str("\n[patch.crates-io]\n");
    for Package { name, version, .. } in published {
        let folder = packages.join(format!("{name}-{version}"));
        manifest.push_str(&format!("{name} = {{ path = '{}' }}\n", folder.display()));
    }
    let failed = |error| format!("write a project: {error}");
    fs::create_dir_all(project.join("src")).map_err(failed)?;
    fs::write(project.join("Cargo.toml"), manifest).map_err(failed)?;
    // The versions that the workspace is tested with.
    fs::copy(workspace::root().join("Cargo.lock"), project.join("Cargo.lock")).map_err(failed)?;
    let main = "fn main() -> std::process::ExitCode { hooks_cli::main() }\n";
    fs::write(project.join("src/main.rs"), main).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_package_lacks_is_named() {
        let mut package = json!({
            "name": "hooks-new", "version": "0.1.0", "description": "…", "license": "MIT", "readme": "README.md",
            "repository": "https://example.com", "keywords": ["a"], "categories": [],
            "metadata": { "docs": { "rs": { "all-features": true } } },
        });
        assert_eq!(of(&package).err().as_deref(), Some("hooks-new/Cargo.toml has no categories"));
        package["categories"] = json!(["asynchronous"]);
        assert_eq!(of(&package).map(|package| package.name).as_deref(), Ok("hooks-new"));
        package["metadata"] = Value::Null;
        assert!(of(&package).is_err_and(|why| why.contains("docs.rs")));
    }

    #[test]
    fn every_crate_that_is_published_is_found() {
        let names: Vec<_> = published().unwrap().into_iter().map(|package| package.name).collect();
        assert!(names.contains(&"hooks-cli".to_owned()) && names.len() >= 6, "{names:?}");
        assert!(!names.contains(&"xtask".to_owned()) && !names.contains(&"hooks-test".to_owned()), "{names:?}");
    }
}
