//! The image for containers: it is the same each time, others can read it, and it runs as it says.
//!
//! Bubblewrap runs it, in namespaces and with nothing of this machine: as its own user, with no capabilities, on files that
//! can only be read but for the volume.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::bench::{Bench, Integration, write};
use crate::packages::Package;
use crate::workspace::{self, Done};

pub(super) const INTEGRATION: Integration = Integration {
    name: "image",
    shows: "the image is the same when made again, has no shell, and delivers as its own user on a root that is only read",
    needs: &[
        Package { program: "strip", package: "binutils" },
        Package { program: "update-ca-certificates", package: "ca-certificates" },
        Package { program: "skopeo", package: "skopeo" },
        Package { program: "umoci", package: "umoci" },
        Package { program: "bwrap", package: "bubblewrap" },
    ],
    run,
};

/// Runs as root: starts the container, and talks to it from inside of its namespaces.
const SCRIPT: &str = include_str!("try.sh");

/// What the image holds that can be executed.
const PROGRAMS: [&str; 5] = ["hooks", "ld-", "libc.so", "libgcc_s.so", "libm.so"];

fn run(bench: &Bench) -> Done {
    let (image, again) = (made(bench, "first")?, made(bench, "second")?);
    if read(&image)? != read(&again)? {
        return Err("made again, the image is another one".to_owned());
    }
    for format in ["oci-archive", "docker-archive"] {
        let seen =
            workspace::output(Command::new("skopeo").arg("inspect").arg(format!("{format}:{}", image.display())))?;
        if !seen.contains("\"Os\": \"linux\"") {
            return Err(format!("skopeo sees in the {format}: {seen}"));
        }
    }
    let (layout, bundle) = (bench.path("layout"), bench.path("bundle"));
    fs::create_dir_all(&layout).map_err(|error| format!("make {}: {error}", layout.display()))?;
    workspace::output(Command::new("tar").arg("--extract").arg("--file").arg(&image).arg("--directory").arg(&layout))?;
    let name = format!("{}:hooks:{VERSION}", layout.display());
    workspace::output(Command::new("umoci").args(["unpack", "--image", &name]).arg(&bundle))?;
    look(&bundle.join("rootfs"))?;
    let config = read(&bundle.join("config.json"))?;
    let config: Value = serde_json::from_slice(&config).map_err(|error| format!("config.json: {error}"))?;
    let process = &config["process"];
    let words: Vec<_> = process["args"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let script = bench.path("try.sh");
    write(&script, SCRIPT)?;
    let mut shell = Command::new("timeout");
    shell.args(["120", "sh", "-eu"]).arg(&script).arg(bench.folder.path()).arg(workspace::root());
    shell.args([process["user"]["uid"].to_string(), process["user"]["gid"].to_string()]);
    shell.arg(process["cwd"].as_str().unwrap_or_default()).args(words);
    eprint!("{}", workspace::output(&mut shell)?);
    Ok(())
}

/// The version that is tried.
const VERSION: &str = "0.0.1";

fn made(bench: &Bench, folder: &str) -> Result<std::path::PathBuf, String> {
    let folder = bench.path(folder);
    fs::create_dir_all(&folder).map_err(|error| format!("make {}: {error}", folder.display()))?;
    crate::package::image(&bench.hooks, VERSION, &folder, true)
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("read {}: {error}", file.display()))
}

/// Nothing can be executed but the program and what it links; licences and the list of parts are there.
fn look(root: &Path) -> Done {
    let find = |options: &[&str]| workspace::output(Command::new("find").current_dir(root).arg(".").args(options));
    for file in find(&["-type", "f", "-perm", "/111"])?.lines() {
        let name = file.rsplit('/').next().unwrap_or_default();
        if !PROGRAMS.iter().any(|program| name.starts_with(program)) {
            return Err(format!("the image holds {file}"));
        }
    }
    if !find(&["-type", "f", "-perm", "/7002"])?.is_empty() {
        return Err("files in the image can be written by everybody, or give rights away".to_owned());
    }
    for file in ["hooks/THIRD-PARTY.gz", "hooks/hooks.cdx.json.gz", "libc6/copyright", "ca-certificates/copyright"] {
        if fs::metadata(root.join("usr/share/doc").join(file)).is_ok_and(|file| file.len() > 1_000) {
            continue;
        }
        return Err(format!("the image has no /usr/share/doc/{file}"));
    }
    Ok(())
}
