//! The workspace's paths, and running other programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The result of a command: an error text for people when it failed.
pub(crate) type Done = Result<(), String>;

/// The top folder of the workspace.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// Has cargo build a program and says where that is.
pub(crate) fn built(name: &str, arguments: &[&str]) -> Result<PathBuf, String> {
    let mut cargo = cargo();
    cargo.args(arguments).args(["--locked", "--quiet", "--message-format=json"]);
    // What is wrong with the code is said as it is found; the messages are for this program.
    let said = output(cargo.stderr(Stdio::inherit()))?;
    let program = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        // A bench, say, has other programs built as well.
        message["executable"].as_str().filter(|_| message["target"]["name"] == name).map(PathBuf::from)
    };
    let found = said.lines().find_map(program);
    found.ok_or_else(|| format!("cargo built no `{name}`: `cargo {}`", arguments.join(" ")))
}

/// The output of a program.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("can't run {command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{command:?} does not print UTF-8"))
}

/// Pauses before a download is tried again.
const PAUSES: [Duration; 2] = [Duration::from_secs(5); 2];

/// The output of a program that downloads, which is tried again: a network may be gone for a moment.
pub(crate) fn fetched(command: &mut Command) -> Result<String, String> {
    tried(|| output(command), &PAUSES)
}

fn tried(mut run: impl FnMut() -> Result<String, String>, pauses: &[Duration]) -> Result<String, String> {
    for pause in pauses {
        match run() {
            Ok(said) => return Ok(said),
            Err(why) => eprintln!("{why}\nonce more in {} s", pause.as_secs()),
        }
        // tidy-allow(thread-sleep): a network tells nobody when it is back
        std::thread::sleep(*pause);
    }
    run()
}

/// The files that belong to the project, relative to its top folder: those that git knows or would
/// add, or, where there is no git, everything but what is hidden or built.
pub(crate) fn files() -> Result<Vec<PathBuf>, String> {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let mut files: Vec<PathBuf> = match output(&mut git) {
        Ok(listed) => listed.split_terminator('\0').map(PathBuf::from).collect(),
        Err(_) => walk(root())?,
    };
    files.retain(|file| root().join(file).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}

fn walk(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|error| format!("read {}: {error}", folder.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| format!("read {}: {error}", folder.display()))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                let skipped = name == "target" || name.starts_with('.');
                folders.extend((!skipped).then_some(path));
            } else if let Ok(relative) = path.strip_prefix(root) {
                files.push(relative.to_owned());
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_tried_again() {
        let succeeds_at = |last: u32| {
            let mut calls = 0;
            let run = || {
                calls += 1;
                if calls == last { Ok(String::new()) } else { Err("no network".to_owned()) }
            };
            (tried(run, &[Duration::ZERO; 2]).is_ok(), calls)
        };
        assert_eq!([succeeds_at(1), succeeds_at(3), succeeds_at(4)], [(true, 1), (true, 3), (false, 3)]);
    }

    #[test]
    fn the_files_are_found_with_and_without_git() {
        let with_git = files().unwrap();
        let without = walk(root()).unwrap();
        for file in ["Cargo.toml", "xtask/src/workspace.rs", "hooks-core/src/lib.rs"] {
            assert!(with_git.contains(&PathBuf::from(file)), "{file}");
            assert!(without.contains(&PathBuf::from(file)), "{file}");
        }
        assert!(!without.iter().any(|file| file.starts_with("target") || file.starts_with(".cargo")));
    }
}
