//! A package for Fedora, openSUSE and what comes from them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::stage::{self, restrict};
use super::{commit, ordered, read, write};
use crate::workspace;

/// The folder of completions for zsh, in Debian and there.
const ZSH: [&str; 2] = ["usr/share/zsh/vendor-completions", "usr/share/zsh/site-functions"];

/// Packs this binary as this version, into this folder; says where.
///
/// `is_quick`: what is packed is only tried, and may be larger.
pub(crate) fn build(hooks: &Path, version: &str, into: &Path, is_quick: bool) -> Result<PathBuf, String> {
    let version = &ordered(version);
    let place = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    let root = place.path().join("files");
    stage::lay_out(&root, hooks)?;
    let [from, to] = ZSH.map(|folder| root.join(folder));
    fs::rename(&from, &to).map_err(|error| format!("move {}: {error}", from.display()))?;
    write(&root.join("usr/share/licenses/hooks/LICENSE"), read("LICENSE")?)?;
    restrict(&root, &["usr/bin/hooks", "etc/hooks/hooks.toml"].map(Path::new))?;
    let spec = place.path().join("hooks.spec");
    let text = read("deploy/package/hooks.spec")?;
    let text = text.replace("@VERSION@", version).replace("@URL@", env!("CARGO_PKG_REPOSITORY"));
    let text = text.replace("@USER@\n", &read("deploy/package/sysusers.conf")?);
    let text = text.replace("@USABLE@\n", &read("deploy/package/usable.sh")?);
    write(&spec, text.replace("@SETUP@\n", &read("deploy/package/setup.sh")?))?;
    let mut rpmbuild = Command::new("rpmbuild");
    // The same content is the same package.
    rpmbuild.env("SOURCE_DATE_EPOCH", commit()?.seconds);
    let define = |name: &str, value: &str| format!("{name} {value}");
    for definition in [
        define("_topdir", &place.path().display().to_string()),
        define("_rpmdir", &into.display().to_string()),
        define("_build_name_fmt", "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm"),
        define("staged", &root.display().to_string()),
        define("use_source_date_epoch_as_buildtime", "1"),
        define("clamp_mtime_to_source_date_epoch", "1"),
        define("_buildhost", "localhost"),
        define("_binary_payload", if is_quick { "w1.gzdio" } else { "w9.gzdio" }),
    ] {
        rpmbuild.arg("--define").arg(definition);
    }
    workspace::output(rpmbuild.args(["-bb", "--quiet"]).arg(&spec))?;
    let start = format!("hooks-{version}-1.");
    let made = fs::read_dir(into).map_err(|error| format!("read {}: {error}", into.display()))?;
    let made = made
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start)));
    made.ok_or_else(|| format!("rpmbuild made no {start}*.rpm in {}", into.display()))
}
