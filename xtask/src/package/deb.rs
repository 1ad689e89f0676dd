//! A package for Debian and what comes from it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::stage::{self, restrict, set_mode};
use super::{architecture, commit, ordered, read, write};
use crate::workspace::{self, Done};

const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Packs this binary as this version, into this folder; says where.
///
/// `is_quick`: what is packed is only tried, and may be larger.
pub(crate) fn build(hooks: &Path, version: &str, into: &Path, is_quick: bool) -> Result<PathBuf, String> {
    let version = &ordered(version);
    let place = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    // `dpkg-shlibdeps` looks for `debian/` beside it.
    let root = place.path().join("debian/hooks");
    stage::lay_out(&root, hooks)?;
    let docs = root.join("usr/share/doc/hooks");
    let commit = commit()?;
    write(&docs.join("copyright"), copyright(&read("LICENSE")?)?)?;
    write(&docs.join("changelog"), changelog(version, &commit.date))?;
    workspace::output(Command::new("gzip").args(["--best", "--no-name"]).arg(docs.join("changelog")))?;
    control(place.path(), &root, version)?;
    let scripts = SCRIPTS.map(|script| Path::new("DEBIAN").join(script));
    let own = ["usr/bin/hooks", "etc/hooks/hooks.toml"].map(Path::new);
    restrict(&root, &[&own[..], &scripts.each_ref().map(PathBuf::as_path)].concat())?;
    let architecture = architecture()?;
    let package = into.join(format!("hooks_{version}_{architecture}.deb"));
    let mut dpkg = Command::new("dpkg-deb");
    // The same content is the same package.
    dpkg.env("SOURCE_DATE_EPOCH", &commit.seconds)
        .args(["--root-owner-group", if is_quick { "-Zgzip" } else { "-Zxz" }]);
    dpkg.args(if is_quick { &["-z1"][..] } else { &[] }).arg("--build").arg(&root).arg(&package);
    workspace::output(&mut dpkg)?;
    Ok(package)
}

/// Everything in `DEBIAN/`.
fn control(place: &Path, root: &Path, version: &str) -> Done {
    let architecture = architecture()?;
    write(&place.join("debian/control"), "Source: hooks\n\nPackage: hooks\nArchitecture: any\n")?;
    let mut libraries = Command::new("dpkg-shlibdeps");
    libraries.current_dir(place).arg("-O").arg(root.join("usr/bin/hooks"));
    let libraries = workspace::output(&mut libraries)?;
    let libraries = libraries.trim().strip_prefix("shlibs:Depends=").ok_or("dpkg-shlibdeps says no libraries")?;
    let size = workspace::output(Command::new("du").args(["-k", "-s"]).arg(root))?;
    let size = size.split_whitespace().next().unwrap_or("0");
    let text = format!(
        "Package: hooks\nVersion: {version}\nSection: net\nPriority: optional\nArchitecture: {architecture}\n\
         Maintainer: The hooks authors <hooks@users.noreply.github.com>\nInstalled-Size: {size}\n\
         Depends: {libraries}, init-system-helpers (>= 1.52), systemd | systemd-standalone-sysusers, \
         systemd | systemd-standalone-tmpfiles\nRecommends: ca-certificates\n\
         Homepage: {}\nDescription: delivers events to webhooks and files\n {}\n",
        env!("CARGO_PKG_REPOSITORY"),
        "Takes CloudEvents over HTTP or from a pipe and delivers each to every hook\n \
         whose filter matches: as signed webhooks in batches, with retries, or as\n \
         lines of JSON in files. Nothing that was accepted is lost, order is kept,\n \
         and a hook that hangs delays no other."
    );
    let folder = root.join("DEBIAN");
    write(&folder.join("control"), text)?;
    write(&folder.join("conffiles"), "/etc/hooks/hooks.toml\n")?;
    let (setup, usable) = (read("deploy/package/setup.sh")?, read("deploy/package/usable.sh")?);
    for script in SCRIPTS {
        let text = read(&format!("deploy/package/{script}"))?;
        let text = text.replace("    # setup.sh\n", &setup).replace("# usable.sh\n", &usable);
        write(&folder.join(script), text)?;
        set_mode(&folder.join(script), 0o755)?;
    }
    let files = workspace::output(Command::new("find").current_dir(root).args(["usr", "-type", "f"]))?;
    let mut names: Vec<_> = files.lines().collect();
    names.sort_unstable();
    let sums = workspace::output(Command::new("md5sum").current_dir(root).args(names))?;
    write(&folder.join("md5sums"), sums)
}

fn changelog(version: &str, date: &str) -> String {
    format!(
        "hooks ({version}) unstable; urgency=medium\n\n  * See {}/blob/main/CHANGELOG.md\n\n \
         -- The hooks authors <hooks@users.noreply.github.com>  {date}\n",
        env!("CARGO_PKG_REPOSITORY")
    )
}

/// In the format of Debian, which has the text of the Apache licence on every machine.
fn copyright(license: &str) -> Result<String, String> {
    let mit = license.split("\nMIT License\n").nth(1).and_then(|text| text.split(&"=".repeat(80)).next());
    let mit = mit.ok_or("LICENSE has no MIT License")?.trim();
    let indented = |text: &str| -> String {
        text.lines().map(|line| if line.is_empty() { " .\n".to_owned() } else { format!(" {line}\n") }).collect()
    };
    Ok(format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: hooks\n\
         Source: {}\nComment: the licences of the crates in the program are in THIRD-PARTY.gz\n\n\
         Files: *\nCopyright: 2026 The hooks authors\nLicense: Expat or Apache-2.0\n\n\
         License: Expat\n{}\nLicense: Apache-2.0\n On Debian systems the text of the Apache License, Version 2.0, is in\n \
         /usr/share/common-licenses/Apache-2.0.\n",
        env!("CARGO_PKG_REPOSITORY"),
        indented(mit)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_licences_are_named_and_one_is_there() {
        let text = copyright(&read("LICENSE").unwrap()).unwrap();
        assert!(text.contains("License: Expat or Apache-2.0\n") && text.contains("\n Permission is hereby granted"));
        assert!(text.contains("\n .\n") && !text.contains("\n\n\n") && !text.contains("TERMS AND CONDITIONS FOR USE"));
        assert!(copyright("nothing").is_err());
    }
}
