//! Installs programs that a check needs, by their package names.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::workspace::{self, Done};

/// A program and the Debian package that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
}

/// Installs what is missing, and says so.
pub(crate) fn provide(needs: &[Package]) -> Done {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    if !can_install() {
        return Err(advice(needs));
    }
    eprintln!("installing {}", missing.join(" "));
    fetched_from_debian(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(&missing))?;
    match self::missing(needs).as_slice() {
        [] => Ok(()),
        still => Err(format!("installed, but the programs are not on the path: {}", still.join(" "))),
    }
}

/// Names the command that installs what is missing.
fn advice(needs: &[Package]) -> String {
    format!("not installed: `apt-get install {}`", missing(needs).join(" "))
}

/// The path of a program. Daemons are found, too, where `PATH` has no folder for them.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A program of crates.io: that of the path, or this version, compiled once for this workspace with these options.
pub(crate) fn compiled(program: &str, version: &str, options: &[&str]) -> Result<PathBuf, String> {
    let tools = workspace::root().join("target/tools");
    let own = tools.join("bin").join(program);
    if let Some(found) = find(program).or_else(|| own.is_file().then(|| own.clone())) {
        return Ok(found);
    }
    eprintln!("installing {program} {version} from crates.io in {}", tools.display());
    let mut cargo = workspace::cargo();
    cargo.args(["install", program, "--version", version, "--locked", "--quiet", "--root"]).arg(tools).args(options);
    workspace::output(&mut cargo)?;
    Ok(own)
}

fn missing(needs: &[Package]) -> Vec<&'static str> {
    let mut missing: Vec<_> =
        needs.iter().filter(|need| find(need.program).is_none()).map(|need| need.package).collect();
    missing.dedup();
    missing
}

/// As root, on Debian and its derivatives.
fn can_install() -> bool {
    let root = workspace::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    root && find("apt-get").is_some()
}

/// Has `apt-get` fetch something. A machine that has never asked for packages does not know any.
pub(crate) fn fetched_from_debian(command: &mut Command) -> Done {
    if workspace::output(command).is_err() {
        workspace::fetched(apt_get().arg("update"))?;
        workspace::fetched(command)?;
    }
    Ok(())
}

/// Installs packages of npm, each with its version, in the folder.
pub(crate) fn npm(folder: &Path, packages: &[&str]) -> Done {
    let mut npm = Command::new(find("npm").ok_or("npm is gone")?);
    npm.current_dir(folder).args(["install", "--no-audit", "--no-fund", "--silent", "--ignore-scripts"]);
    workspace::fetched(npm.args(["--prefix", "."]).args(packages)).map(drop)
}

/// Installs packages of PyPI, each with its version, in this folder, for `PYTHONPATH`.
pub(crate) fn pip(folder: &Path, packages: &[&str]) -> Done {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--target"]).arg(folder);
    workspace::fetched(pip.args(packages)).map(drop)
}

/// A Python with packages of PyPI, each with its version, which stays in `target` for the next time. Returns the folder
/// of its programs.
pub(crate) fn python(name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let folder = workspace::root().join("target").join(name);
    workspace::output(Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(&folder))?;
    let programs = folder.join("bin");
    eprintln!("installing {} from PyPI into {}", packages.join(" "), folder.display());
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--python"]).arg(programs.join("python3"));
    workspace::fetched(pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages))?;
    Ok(programs)
}

pub(crate) fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.arg("--quiet").env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: Package = Package { program: "sh", package: "dash" };
    const NOTHING: Package = Package { program: "no-such-program", package: "no-such-package" };

    #[test]
    fn only_what_is_missing_is_named() {
        assert_eq!(missing(&[SHELL]), [""; 0]);
        assert_eq!(provide(&[SHELL]), Ok(()));
        assert_eq!(missing(&[SHELL, NOTHING, NOTHING]), ["no-such-package"]);
        assert_eq!(advice(&[SHELL, NOTHING]), "not installed: `apt-get install no-such-package`");
    }
}
