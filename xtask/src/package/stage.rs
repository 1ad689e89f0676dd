//! A folder as it is once the package is installed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::sbom::DebianPackage;
use super::{notices, parts, read, sbom, write};
use crate::workspace::{self, Done};

/// Where each shell looks for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/hooks"),
    ("zsh", "usr/share/zsh/vendor-completions/_hooks"),
    ("fish", "usr/share/fish/vendor_completions.d/hooks.fish"),
];

/// Documentation's place.
pub(super) const DOCS: &str = "usr/share/doc/hooks";

/// Puts the binary, without its symbols, below `root`; says where.
pub(super) fn binary(root: &Path, hooks: &Path) -> Result<PathBuf, String> {
    let binary = root.join("usr/bin/hooks");
    write(&binary, fs::read(hooks).map_err(|error| format!("read {}: {error}", hooks.display()))?)?;
    set_mode(&binary, 0o755)?;
    workspace::output(
        Command::new("strip").args(["--strip-all", "--remove-section=.comment", "--remove-section=.note"]).arg(&binary),
    )?;
    Ok(binary)
}

/// Lays everything out below `root`.
pub(super) fn lay_out(root: &Path, hooks: &Path) -> Done {
    binary(root, hooks)?;
    write(&root.join("usr/lib/systemd/system/hooks.service"), unit(&read("examples/hooks.service")?)?)?;
    write(&root.join("usr/lib/sysusers.d/hooks.conf"), read("deploy/package/sysusers.conf")?)?;
    write(&root.join("usr/lib/tmpfiles.d/hooks.conf"), read("deploy/package/tmpfiles.conf")?)?;
    let config = root.join("etc/hooks/hooks.toml");
    write(&config, read("deploy/package/hooks.toml")?)?;
    set_mode(&config, 0o640)?;
    for (shell, path) in COMPLETIONS {
        let script = workspace::output(Command::new(hooks).args(["completions", shell]))?;
        write(&root.join(path), script)?;
    }
    let manual = root.join("usr/share/man/man1");
    workspace::output(Command::new(hooks).arg("man").arg(&manual))?;
    compress_all(&manual)?;
    documents(root)
}

/// The unit for a package, where the user lasts: files that he owns outlive the package's update.
fn unit(example: &str) -> Result<String, String> {
    // What is above explains how to install it by hand.
    let (_, unit) = example.split_once("\n\n").ok_or("examples/hooks.service has no comment")?;
    let fixed = unit.replace("DynamicUser=yes\n", "User=hooks\nGroup=hooks\nRemoveIPC=yes\n");
    if fixed == unit { Err("examples/hooks.service has no DynamicUser=yes".to_owned()) } else { Ok(fixed) }
}

fn documents(root: &Path) -> Done {
    let docs = root.join(DOCS);
    for file in workspace::files()? {
        let name = file.to_string_lossy().into_owned();
        let is_document = name.starts_with("docs/") && name.ends_with(".md");
        let is_example = name.starts_with("examples/") && (name.ends_with(".toml") || name.ends_with(".yml"));
        if is_document || is_example || name == "README.md" {
            write(&docs.join(&name), read(&name)?)?;
        }
    }
    contents(&docs, &[])?;
    compress_all(&docs)
}

/// The licences of what is in the binary, and a list of that, with these packages.
pub(super) fn contents(docs: &Path, packages: &[DebianPackage]) -> Done {
    let parts = parts::all()?;
    let refused = notices::refused(&parts);
    if !refused.is_empty() {
        return Err(format!("licences that are not allowed in a binary: {}", refused.join(", ")));
    }
    write(&docs.join("THIRD-PARTY"), notices::text(&parts)?)?;
    write(&docs.join("hooks.cdx.json"), sbom::cyclone_dx(&parts, packages))
}

/// Compresses every file, each the same way for the same content.
pub(super) fn compress_all(folder: &Path) -> Done {
    let failed = |error| format!("read {}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            compress_all(&path)?;
        } else if path.extension().is_none_or(|extension| extension != "gz" && extension != "toml") {
            workspace::output(Command::new("gzip").args(["--best", "--no-name"]).arg(&path))?;
        }
    }
    Ok(())
}

pub(super) fn set_mode(path: &Path, mode: u32) -> Done {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|error| format!("{}: {error}", path.display()))
}

/// Folders and files as everybody may read them, whatever the umask is; but those that end so, or are below such a folder,
/// are left as they are.
pub(super) fn restrict(folder: &Path, but: &[&Path]) -> Done {
    restrict_below(folder, folder, but)
}

fn restrict_below(root: &Path, folder: &Path, but: &[&Path]) -> Done {
    set_mode(folder, 0o755)?;
    let failed = |error| format!("read {}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_left = path.strip_prefix(root).is_ok_and(|path| but.iter().any(|but| path.starts_with(but)));
        if path.is_dir() {
            restrict_below(root, &path, but)?;
        } else if !is_left {
            set_mode(&path, 0o644)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_the_example_with_a_user_that_lasts() {
        let unit = unit(&read("examples/hooks.service").unwrap()).unwrap();
        assert!(unit.starts_with("[Unit]\n") && unit.contains("\nUser=hooks\n"), "{unit}");
        assert!(unit.contains("\nProtectSystem=strict\n") && !unit.contains("DynamicUser"), "{unit}");
        assert!(super::unit("# a\n\n[Unit]\n").is_err());
    }

    #[test]
    fn the_unit_tries_again_for_as_long_as_a_bus_is_away_but_not_with_a_config_that_has_errors() {
        let unit = unit(&read("examples/hooks.service").unwrap()).unwrap();
        for line in ["StartLimitIntervalSec=0", "Restart=on-failure", "RestartSec=2s", "RestartPreventExitStatus=2 78"]
        {
            assert!(unit.lines().any(|known| known == line), "{line}");
        }
        // systemd looks at the exit code of ExecStart alone.
        assert!(!unit.contains("\nExecStartPre="), "{unit}");
    }
}
