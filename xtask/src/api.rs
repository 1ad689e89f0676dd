//! `cargo xtask api`: what each published crate offers, item by item, compared with listings that are checked in, so that a
//! change of it shows in review; and with the last release, by the rules of semantic versioning.
//!
//! ```text
//! cargo doc ─▶ target/doc/CRATE.json ─▶ lines ─▶ xtask/api/CRATE.txt
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::packages;
use crate::publish;
use crate::workspace::{self, Done};

/// The format of rustdoc's JSON that `public-api` reads: rustdoc 1.95 writes it, and each compiler one of its own.
const FORMAT: u64 = 57;

/// Compares releases. Not optimised, for that takes longer than it saves.
const SEMVER_CHECKS: &str = "0.49.0";

/// Lists and compares; with `--update`, writes the listings.
pub(crate) fn run(arguments: &[&str]) -> Done {
    let update = match arguments {
        [] => false,
        ["--update"] => true,
        _ => return Err("usage: cargo xtask api [--update]".to_owned()),
    };
    let names: Vec<String> = publish::published()?.into_iter().map(|package| package.name).collect();
    listings(&names, update)?;
    release(&names)
}

fn listings(names: &[String], update: bool) -> Done {
    let place = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    let rustdoc = rustdoc(place.path())?;
    let folder = documented(names, &rustdoc)?;
    let mut changes = Vec::new();
    for name in names {
        let json = folder.join(format!("{}.json", name.replace('-', "_")));
        let format = format_of(&json)?;
        if format != FORMAT {
            eprintln!("skipped: this rustdoc writes format {format} of its JSON, and listings are made from {FORMAT}");
            return Ok(());
        }
        let now = listing(&json)?;
        let file = workspace::root().join(format!("xtask/api/{name}.txt"));
        if update {
            fs::write(&file, now).map_err(|error| format!("write {}: {error}", file.display()))?;
            continue;
        }
        let before = fs::read_to_string(&file).map_err(|error| format!("read {}: {error}", file.display()))?;
        changes.extend(differences(&before, &now).into_iter().map(|line| format!("{name}: {line}")));
    }
    if changes.is_empty() {
        return Ok(());
    }
    Err(format!("what crates offer has changed:\n{}\nif that is meant: `cargo xtask api --update`", changes.join("\n")))
}

/// A program that is rustdoc, but for that it takes options which are not stable: that JSON is one. Said to all of cargo
/// it would have dependencies compiled anew.
fn rustdoc(folder: &Path) -> Result<PathBuf, String> {
    use std::os::unix::fs::PermissionsExt;
    let file = folder.join("rustdoc");
    let failed = |error| format!("write {}: {error}", file.display());
    fs::write(&file, "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n").map_err(failed)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    Ok(file)
}

/// Documents crates with all their features, and says where the JSON of each will be.
fn documented(names: &[String], rustdoc: &Path) -> Result<PathBuf, String> {
    let target = workspace::root().join("target");
    let mut cargo = workspace::cargo();
    cargo.env("RUSTDOC", rustdoc).env("RUSTDOCFLAGS", "-Z unstable-options --output-format json");
    cargo.args(["doc", "--no-deps", "--lib", "--all-features", "--locked", "--quiet", "--target-dir"]).arg(&target);
    for name in names {
        cargo.args(["--package", name]);
    }
    workspace::output(&mut cargo)?;
    Ok(target.join("doc"))
}

fn format_of(json: &Path) -> Result<u64, String> {
    let text = fs::read(json).map_err(|error| format!("read {}: {error}", json.display()))?;
    let value: Value = serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", json.display()))?;
    value["format_version"].as_u64().ok_or_else(|| format!("{} has no `format_version`", json.display()))
}

/// A line for each item, without what the compiler adds by itself.
fn listing(json: &Path) -> Result<String, String> {
    let builder = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true);
    let api = builder.build().map_err(|error| format!("{}: {error}", json.display()))?;
    Ok(api.items().map(|item| format!("{item}\n")).collect())
}

/// The lines that went and came, as `-` and `+`.
fn differences(before: &str, now: &str) -> Vec<String> {
    let lacks = |text: &str, line: &str| !text.lines().any(|known| known == line);
    let gone = before.lines().filter(|line| lacks(now, line)).map(|line| format!("-{line}"));
    let new = now.lines().filter(|line| lacks(before, line)).map(|line| format!("+{line}"));
    gone.chain(new).collect()
}

/// Compares with the last release that is tagged, if there is one.
fn release(names: &[String]) -> Done {
    let mut git = Command::new("git");
    git.current_dir(workspace::root()).args(["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"]);
    let Ok(tag) = workspace::output(&mut git) else {
        eprintln!("no release is tagged: nothing to compare with");
        return Ok(());
    };
    let program = packages::compiled("cargo-semver-checks", SEMVER_CHECKS, &["--debug"])?;
    let mut checks = Command::new(program);
    checks.current_dir(workspace::root()).args(["semver-checks", "--baseline-rev", tag.trim()]);
    for name in names {
        checks.args(["--package", name]);
    }
    workspace::output(&mut checks).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_and_came_is_named() {
        let (before, now) = ("pub fn a()\npub fn b()\n", "pub fn a()\npub fn b(u8)\n");
        assert_eq!(differences(before, now), ["-pub fn b()", "+pub fn b(u8)"]);
        assert_eq!(differences(now, now), [""; 0]);
    }
}
