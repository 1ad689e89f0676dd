//! The package for Fedora and openSUSE, as rpm installs, upgrades and removes it, on a layer above this machine's files.
//!
//! Not tried: what systemd does with the unit, and what such a system has in other versions than this one.

use std::process::Command;

use super::bench::{Bench, Integration, write};
use super::package::{OUTSIDE, free_port};
use crate::packages::Package;
use crate::workspace::{self, Done};

pub(super) const INTEGRATION: Integration = Integration {
    name: "rpm",
    shows: "the package of rpm is the same when made again; it is installed, upgraded with its events and config, and removed",
    needs: &[
        Package { program: "rpmbuild", package: "rpm" },
        Package { program: "strip", package: "binutils" },
        Package { program: "systemd-sysusers", package: "systemd" },
    ],
    run,
};

/// Runs on the layer.
const INSIDE: &str = include_str!("package/rpm.sh");

fn run(bench: &Bench) -> Done {
    let made = |version: &str, folder: &str| {
        let folder = bench.path(folder);
        std::fs::create_dir_all(&folder).map_err(|error| format!("make {}: {error}", folder.display()))?;
        crate::package::rpm(&bench.hooks, version, &folder, true)
    };
    let (old, again, new) = (made("0.1.0~old", "a")?, made("0.1.0~old", "b")?, made("0.1.0~old+new", "a")?);
    let bytes = |file| std::fs::read(file).map_err(|error| format!("read a package: {error}"));
    if bytes(&old)? != bytes(&again)? {
        return Err("made again, the package is another one".to_owned());
    }
    let configs = workspace::output(Command::new("rpm").args(["--query", "--package", "--configfiles"]).arg(&old))?;
    if configs.trim() != "/etc/hooks/hooks.toml" {
        return Err(format!("configs: {configs}"));
    }
    for (name, text) in [("outside.sh", OUTSIDE), ("inside.sh", INSIDE)] {
        write(&bench.path(name), text)?;
    }
    let mut namespace = Command::new("unshare");
    namespace.args(["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-eu"]);
    namespace.arg(bench.path("outside.sh")).arg(bench.folder.path()).args([&old, &new]).arg(free_port()?.to_string());
    eprint!("{}", workspace::output(namespace.arg(workspace::root().join("examples/github-events.ndjson")))?);
    Ok(())
}
