//! The example unit file, as systemd reads it.

use std::process::Command;

use super::bench::{Bench, Integration, read, write};
use crate::packages::{self, Package};
use crate::workspace::Done;

pub(super) const INTEGRATION: Integration = Integration {
    name: "systemd",
    shows: "systemd-analyze finds nothing wrong with examples/hooks.service",
    needs: &[Package { program: "systemd-analyze", package: "systemd" }],
    run,
};

fn run(bench: &Bench) -> Done {
    let unit = read("examples/hooks.service")?;
    // Verifying looks for the program.
    let here = unit.replace("/usr/bin/hooks", &bench.hooks.display().to_string());
    let path = bench.path("hooks.service");
    write(&path, &here)?;
    let analyze = packages::find("systemd-analyze").ok_or("systemd-analyze is gone")?;
    let output = Command::new(analyze).arg("verify").arg("--man=no").arg(&path).output();
    let output = output.map_err(|error| format!("can't run systemd-analyze: {error}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    // What is wrong with other units of the machine is said, too.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("hooks")).collect();
    if output.status.success() && ours.is_empty() {
        return Ok(());
    }
    Err(format!("systemd-analyze verify: {}\n{said}", output.status))
}
