//! The binary that is shipped: compiled twice, the second time with a profile of its own work. What every event passes is
//! then fast, and the rest small.
//!
//! ```text
//! a binary that counts ─▶ workload.sh ─▶ llvm-profdata ─▶ target/packages/hooks.profdata ─▶ the binary
//! ```

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::integration;
use crate::packages::{self, Package};
use crate::workspace::{self, Done};

/// The servers of the buses that the workload publishes to.
const NEEDS: [Package; 2] = [
    Package { program: "nats-server", package: "nats-server" },
    Package { program: "pg_lsclusters", package: "postgresql" },
];

/// A function goes into its callers where that makes them smaller, or where the profile says that it is called often: LLVM
/// has a limit of its own for that, which this leaves alone.
const SMALL: &str = "-Cllvm-args=-inline-threshold=25";

/// Compiles the binary with this profile, or with a new one that is left in the folder.
pub(super) fn build(folder: &Path, profile: Option<&Path>) -> Result<PathBuf, String> {
    // Cargo takes flags from one place, and the environment first.
    let variables = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"];
    if let Some(name) = variables.into_iter().find(|name| std::env::var_os(name).is_some()) {
        return Err(format!("{name} is set, and cargo would leave the profile out: unset it"));
    }
    let profile = match profile {
        Some(profile) => profile.canonicalize().map_err(|error| format!("read {}: {error}", profile.display()))?,
        None => train(&folder.join("hooks.profdata"))?,
    };
    eprintln!("compiling with {}", profile.display());
    compile(&[&format!("-Cprofile-use={}", profile.display()), SMALL])
}

/// Has a binary that counts do the work, and writes what was counted to this file.
fn train(profile: &Path) -> Result<PathBuf, String> {
    packages::provide(&NEEDS)?;
    let merge = llvm_profdata()?;
    let folder = folder()?;
    let counted = folder.path().join("counted");
    eprintln!("compiling a binary that counts what it runs");
    let hooks = compile(&[&format!("-Cprofile-generate={}", counted.display())])?;
    eprintln!("running what it does all day");
    workload(&hooks, None)?;
    workspace::output(Command::new(merge).arg("merge").arg("--output").arg(profile).arg(&counted))?;
    Ok(profile.to_owned())
}

/// Runs the workload, with so many small events through each pipe and bus where that is not as many as training takes.
pub(crate) fn workload(hooks: &Path, rounds: Option<&str>) -> Done {
    packages::provide(&NEEDS)?;
    let folder = folder()?;
    // A Postgres that root starts runs as nobody.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).map_err(|error| format!("open it: {error}"))?;
    let root = workspace::root();
    let mut work = Command::new("sh");
    work.arg(root.join("xtask/src/package/workload.sh")).arg(hooks);
    work.arg(root.join("examples/github-events.ndjson")).arg(folder.path());
    work.envs(rounds.map(|rounds| ("ROUNDS", rounds)));
    work.env("NATS_SERVER", packages::find("nats-server").ok_or("there is no nats-server")?);
    work.env("POSTGRES_BIN", integration::debian_postgres()?);
    workspace::output(&mut work).map(drop)
}

fn folder() -> Result<TempDir, String> {
    tempfile::tempdir().map_err(|error| format!("make a folder: {error}"))
}

/// Compiles for this machine, as if for another: what runs while compiling is then left as it is.
fn compile(flags: &[&str]) -> Result<PathBuf, String> {
    let said = workspace::output(Command::new("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("`rustc -vV` names no host")?;
    let flags = format!("target.{host}.rustflags={flags:?}");
    let hooks = ["build", "--profile", "dist", "--package", "hooks-cli", "--bin", "hooks"];
    let place = ["--target", host, "--target-dir", "target/trained", "--config", &flags];
    workspace::built("hooks", &[&hooks[..], &place].concat())
}

/// The compiler's own, as the format of profiles changes with its version.
fn llvm_profdata() -> Result<PathBuf, String> {
    let libraries = workspace::output(Command::new("rustc").args(["--print", "target-libdir"]))?;
    let program = Path::new(libraries.trim()).with_file_name("bin").join("llvm-profdata");
    if !program.is_file() {
        eprintln!("installing llvm-tools, a component of the compiler");
        workspace::fetched(Command::new("rustup").args(["component", "add", "llvm-tools"]))?;
    }
    Ok(program)
}
