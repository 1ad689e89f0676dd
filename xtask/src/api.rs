//! `cargo xtask api`: what each published crate offers, item by item, compared with listings that are checked in, so that a
//! change of it shows in review; and with the last release, by the rules of semantic versioning.
//!
//! ```text
//! cargo doc ─▶ target/doc/CRATE.json ─┬▶ lines ─▶ xtask/api/CRATE.txt
//!                                     ├▶ cargo-semver-checks ─▶ what breaks
//! the last tag ─▶ CRATE.json of then ─┘
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

/// Compares releases.
const SEMVER_CHECKS: &str = "0.49.0";

/// Not optimised: that takes longer than it saves. By itself the program has its dependencies optimised even so.
const UNOPTIMISED: [&str; 5] =
    ["--debug", "--config", "profile.dev.package.\"*\".opt-level=0", "--config", "profile.dev.debug=false"];

/// Lists and compares; with `--update`, writes the listings.
pub(crate) fn run(arguments: &[&str]) -> Done {
    let update = match arguments {
        [] => false,
        ["--update"] => true,
        _ => return Err("usage: cargo xtask api [--update]".to_owned()),
    };
    let names: Vec<String> = publish::published()?.into_iter().map(|package| package.name).collect();
    let place = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    let rustdoc = rustdoc(place.path())?;
    let now = documented(workspace::root(), &names, &rustdoc)?;
    for name in &names {
        let format = format_of(&json_of(&now, name))?;
        if format != FORMAT {
            eprintln!("skipped: this rustdoc writes format {format} of its JSON, and listings are made from {FORMAT}");
            return Ok(());
        }
    }
    listings(&names, &now, update)?;
    release(&names, &now, &rustdoc)
}

fn listings(names: &[String], documents: &Path, update: bool) -> Done {
    let mut changes = Vec::new();
    for name in names {
        let now = listing(&json_of(documents, name))?;
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

/// Documents crates of this workspace with all their features, and says where the JSON of each is.
fn documented(root: &Path, names: &[String], rustdoc: &Path) -> Result<PathBuf, String> {
    let target = root.join("target");
    let mut cargo = workspace::cargo();
    cargo.env("RUSTDOC", rustdoc).env("RUSTDOCFLAGS", "-Z unstable-options --output-format json");
    cargo.args(["doc", "--no-deps", "--lib", "--all-features", "--locked", "--quiet", "--target-dir"]).arg(&target);
    cargo.current_dir(root);
    for name in names {
        cargo.args(["--package", name]);
    }
    workspace::output(&mut cargo)?;
    Ok(target.join("doc"))
}

fn json_of(documents: &Path, name: &str) -> PathBuf {
    documents.join(format!("{}.json", name.replace('-', "_")))
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
///
/// Given commits in place of JSON, the program would compile the dependencies of each crate twice, for it shares none.
fn release(names: &[String], now: &Path, rustdoc: &Path) -> Done {
    let Ok(tag) = git(&["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"]) else {
        eprintln!("no release is tagged: nothing to compare with");
        return Ok(());
    };
    let source = source_of(&tag)?;
    // A crate that is newer has nothing to be compared with.
    let names: Vec<String> = names.iter().filter(|name| source.join(name).is_dir()).cloned().collect();
    let before = documented(&source, &names, rustdoc)?;
    let program = packages::compiled("cargo-semver-checks", SEMVER_CHECKS, &UNOPTIMISED)?;
    let mut broken = Vec::new();
    for name in &names {
        let mut checks = Command::new(&program);
        checks.args(["semver-checks", "--baseline-rustdoc"]).arg(json_of(&before, name));
        checks.arg("--current-rustdoc").arg(json_of(now, name));
        let output = checks.output().map_err(|error| format!("can't run {checks:?}: {error}"))?;
        if !output.status.success() {
            // Items are named on the one, and what that means for the version on the other.
            let said = [output.stdout, output.stderr].concat();
            broken.push(format!("{name}:\n{}", String::from_utf8_lossy(&said)));
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    Err(format!("since {tag}, more has changed than the version says:\n{}", broken.join("\n")))
}

/// The files of a release, in a folder of the commit's own: cargo takes files that are older than what it built for that.
fn source_of(tag: &str) -> Result<PathBuf, String> {
    let releases = workspace::root().join("target/released");
    let source = releases.join(git(&["rev-parse", &format!("{tag}^{{commit}}")])?);
    if source.is_dir() {
        return Ok(source);
    }
    let failed = |error| format!("make {}: {error}", source.display());
    if releases.is_dir() {
        // Releases before that.
        fs::remove_dir_all(&releases).map_err(failed)?;
    }
    let (new, archive) = (releases.join("new"), releases.join("new.tar"));
    fs::create_dir_all(&new).map_err(failed)?;
    git(&["archive", "--output", &archive.to_string_lossy(), tag])?;
    workspace::output(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&new))?;
    fs::remove_file(&archive).map_err(failed)?;
    fs::rename(&new, &source).map_err(failed)?;
    Ok(source)
}

/// A line that git says.
fn git(arguments: &[&str]) -> Result<String, String> {
    let said = workspace::output(Command::new("git").current_dir(workspace::root()).args(arguments))?;
    Ok(said.trim().to_owned())
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
