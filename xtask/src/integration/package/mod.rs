//! The package for Debian, as `apt-get` installs, upgrades and removes it.
//!
//! All of it happens in a namespace, on a layer in memory above this machine's files: nothing of it is there afterwards.
//! What only systemd can do is tried by hand: the unit's user, no capabilities, no new privileges, a file system that can
//! only be read but for `/var/lib/hooks`.

use std::path::Path;
use std::process::Command;

use super::bench::{Bench, Integration, write};
use crate::packages::Package;
use crate::workspace::{self, Done};

pub(super) const INTEGRATION: Integration = Integration {
    name: "package",
    shows: "the package is installed, upgraded without losing an event, and removed with all that it made; lintian agrees",
    needs: &[
        Package { program: "lintian", package: "lintian" },
        Package { program: "dpkg-shlibdeps", package: "dpkg-dev" },
        Package { program: "strip", package: "binutils" },
        Package { program: "systemd-sysusers", package: "systemd" },
    ],
    run,
};

/// Runs as root of the namespace: makes the layer and goes into it.
pub(super) const OUTSIDE: &str = include_str!("outside.sh");
/// Runs on the layer.
const INSIDE: &str = include_str!("inside.sh");

fn run(bench: &Bench) -> Done {
    // What trains the binary that is shipped: all events arrive, on each bus.
    crate::package::workload(&bench.hooks, Some("3000"))?;
    let old = crate::package::deb(&bench.hooks, "0.1.0~old", bench.folder.path(), true)?;
    let new = crate::package::deb(&bench.hooks, "0.1.0~old+new", bench.folder.path(), true)?;
    lint(&old)?;
    for (name, text) in [("outside.sh", OUTSIDE), ("inside.sh", INSIDE)] {
        write(&bench.path(name), text)?;
    }
    let mut namespace = Command::new("unshare");
    namespace.args(["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-eu"]);
    namespace.arg(bench.path("outside.sh")).arg(bench.folder.path()).args([&old, &new]).arg(free_port()?.to_string());
    let events = workspace::root().join("examples/github-events.ndjson");
    eprint!("{}", workspace::output(namespace.arg(events))?);
    Ok(())
}

/// A port that is free now.
pub(super) fn free_port() -> Result<u16, String> {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(port.map_err(|error| format!("a free port: {error}"))?.port())
}

fn lint(package: &Path) -> Done {
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error", "--tag-display-limit", "0"]).arg(package);
    let output = lintian.output().map_err(|error| format!("can't run lintian: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() { Ok(()) } else { Err(format!("lintian: {said}")) }
}
