//! The files of the image: the binary, what it links, certificates, its user, a config, and the licences of all that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::sbom::DebianPackage;
use super::super::stage::{self, DOCS};
use super::super::{read, write};
use super::VOLUME;
use crate::workspace::{self, Done};

/// Authorities whose certificates are trusted, where rustls looks for them.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Files of `deploy/image`, and where each stands.
pub(super) const FILES: [(&str, &str); 4] = [
    ("passwd", "etc/passwd"),
    ("group", "etc/group"),
    ("nsswitch.conf", "etc/nsswitch.conf"),
    ("hooks.toml", "etc/hooks/hooks.toml"),
];

/// Lays everything out below `root`.
pub(super) fn lay_out(root: &Path, hooks: &Path) -> Done {
    let binary = stage::binary(root, hooks)?;
    for (from, to) in FILES {
        write(&root.join(to), read(&format!("deploy/image/{from}"))?)?;
    }
    let volume = root.join(VOLUME);
    fs::create_dir_all(&volume).map_err(|error| format!("make {}: {error}", volume.display()))?;
    let libraries = libraries(&workspace::output(Command::new("ldd").arg(&binary))?)?;
    let mut packages = vec![package_of(Path::new(CERTIFICATES), "ca-certificates")?];
    copy(root, Path::new(CERTIFICATES))?;
    for library in libraries {
        packages.push(package_of(&library, "")?);
        copy(root, &library)?;
    }
    packages.sort();
    packages.dedup();
    for package in &packages {
        copy(root, &Path::new("/usr/share/doc").join(&package.name).join("copyright"))?;
    }
    stage::contents(&root.join(DOCS), &packages)?;
    stage::compress_all(&root.join(DOCS))
}

/// Copies a file of this machine to the same place; what a link leads to is copied, not the link.
fn copy(root: &Path, file: &Path) -> Done {
    let content = fs::read(file).map_err(|error| format!("read {}: {error}", file.display()))?;
    let to = root.join(file.strip_prefix("/").unwrap_or(file));
    write(&to, content)?;
    // Libraries need no such right, but for the loader.
    stage::set_mode(&to, if file.starts_with("/usr/share") || file.starts_with("/etc") { 0o644 } else { 0o755 })
}

/// The paths in what `ldd` says.
fn libraries(said: &str) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    for line in said.lines().map(str::trim).filter(|line| !line.starts_with("linux-vdso")) {
        let path = line.split_once(" => ").map_or(line, |(_, path)| path);
        let path = path.split(" (").next().unwrap_or_default().trim();
        if !path.starts_with('/') {
            return Err(format!("ldd: {line}"));
        }
        paths.push(PathBuf::from(path));
    }
    Ok(paths)
}

/// The installed package that a file is from. `made_by`: of one that no package has, because scripts made it.
fn package_of(file: &Path, made_by: &str) -> Result<DebianPackage, String> {
    let name = if made_by.is_empty() { owner(file)? } else { made_by.to_owned() };
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${Package} ${Version} ${Architecture}", &name]);
    let said = workspace::output(&mut query)?;
    match said.split(' ').collect::<Vec<_>>()[..] {
        [name, version, architecture] => Ok(DebianPackage {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: architecture.to_owned(),
        }),
        _ => Err(format!("dpkg-query says `{said}` of {name}")),
    }
}

/// The name of the package that has this file, under the one or the other name of its folder.
fn owner(file: &Path) -> Result<String, String> {
    let search = |file: &Path| workspace::output(Command::new("dpkg-query").arg("--search").arg(file));
    let merged = Path::new("/usr").join(file.strip_prefix("/").unwrap_or(file));
    let said = search(file).or_else(|_| search(&merged))?;
    let name = said.split(": ").next().filter(|name| !name.is_empty() && !name.contains(' '));
    name.map(str::to_owned).ok_or_else(|| format!("no single package has {}: {said}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_in_what_is_said() {
        let said = "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x2)\n\t/lib64/ld.so.2 (0x3)\n";
        assert_eq!(libraries(said).unwrap(), [Path::new("/lib/x/libc.so.6"), Path::new("/lib64/ld.so.2")]);
        assert!(libraries("\tlibx.so.1 => not found\n").is_err());
        assert!(libraries("\tstatically linked\n").is_err());
    }
}
