//! `cargo xtask package`: what is installed elsewhere.
//!
//! ```text
//! trained: the binary ─▶ stage: a folder as it is after installing ─▶ deb, rpm ─┬▶ target/packages
//!   Cargo.lock ─▶ parts ─▶ notices, sbom ─┴──────────────────────────────▶ image ─┘
//! ```

mod deb;
mod image;
mod notices;
mod parts;
mod rpm;
mod sbom;
mod stage;
mod trained;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages::{self, Package};
use crate::workspace::{self, Done};

pub(crate) use deb::build as deb;
pub(crate) use image::build as image;
pub(crate) use rpm::build as rpm;
pub(crate) use trained::workload;

/// The programs that packing takes.
pub(crate) const NEEDS: [Package; 6] = [
    Package { program: "dpkg-deb", package: "dpkg" },
    Package { program: "dpkg-shlibdeps", package: "dpkg-dev" },
    Package { program: "gzip", package: "gzip" },
    Package { program: "rpmbuild", package: "rpm" },
    Package { program: "strip", package: "binutils" },
    Package { program: "update-ca-certificates", package: "ca-certificates" },
];

/// Makes one kind of package, as [`deb()`] does.
type Build = fn(&Path, &str, &Path, bool) -> Result<PathBuf, String>;

/// Packs the binary that is shipped, compiled with a new profile or with that of `--profile FILE`, or that of `--binary
/// FILE`, in each of these ways.
pub(crate) fn run(name: &str, builds: &[Build], arguments: &[&str]) -> Done {
    packages::provide(&NEEDS)?;
    let folder = workspace::root().join("target/packages");
    fs::create_dir_all(&folder).map_err(|error| format!("make {}: {error}", folder.display()))?;
    let hooks = match arguments {
        [] => trained::build(&folder, None)?,
        ["--profile", file] => trained::build(&folder, Some(Path::new(file)))?,
        ["--binary", file] => PathBuf::from(file),
        _ => return Err(format!("usage: cargo xtask {name} [--profile FILE | --binary FILE]")),
    };
    for build in builds {
        println!("{}", build(&hooks, env!("CARGO_PKG_VERSION"), &folder, false)?.display());
    }
    Ok(())
}

/// The commit that packages are made of: their times are its.
struct Commit {
    id: String,
    /// Since 1970.
    seconds: String,
    /// As RFC 3339 has it.
    time: String,
    /// As RFC 2822 has it.
    date: String,
}

fn commit() -> Result<Commit, String> {
    let mut git = Command::new("git");
    git.current_dir(workspace::root()).env("TZ", "UTC");
    git.args(["log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%H%n%ct%n%cd%n%cD"]);
    let said = workspace::output(&mut git)?;
    match *said.lines().collect::<Vec<_>>() {
        [id, seconds, time, date] => {
            let [id, seconds, time, date] = [id, seconds, time, date].map(str::to_owned);
            Ok(Commit { id, seconds, time, date })
        }
        _ => Err(format!("git log says `{said}`")),
    }
}

/// A version as package managers order it: what comes before a release is written behind `~`.
fn ordered(version: &str) -> String {
    version.replace('-', "~")
}

/// The machine's, as Debian and containers call it.
fn architecture() -> Result<String, String> {
    Ok(workspace::output(Command::new("dpkg").arg("--print-architecture"))?.trim().to_owned())
}

/// Writes a file, with the folders above it.
fn write(path: &Path, text: impl AsRef<[u8]>) -> Done {
    let failed = |error| format!("write {}: {error}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
    fs::write(path, text).map_err(failed)
}

/// Reads a file of the repository.
fn read(file: &str) -> Result<String, String> {
    fs::read_to_string(workspace::root().join(file)).map_err(|error| format!("read {file}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_before_a_release_is_older() {
        assert_eq!(ordered("0.2.0-rc.1"), "0.2.0~rc.1");
        let is_older = |old: &str, new: &str| {
            let compare = ["--compare-versions", &ordered(old), "lt", &ordered(new)];
            Command::new("dpkg").args(compare).status().is_ok_and(|status| status.success())
        };
        if packages::find("dpkg").is_some() {
            assert!(is_older("0.2.0-rc.1", "0.2.0") && is_older("0.2.0-alpha", "0.2.0-rc.1"));
        }
    }
}
