//! `cargo xtask package`: what is installed elsewhere.
//!
//! ```text
//! the binary ─▶ stage: a folder as it is after installing ─▶ deb ─▶ target/packages
//!   Cargo.lock ─▶ parts ─▶ notices, sbom ───┘
//! ```

mod deb;
mod notices;
mod parts;
mod sbom;
mod stage;

use std::fs;
use std::path::{Path, PathBuf};

use crate::packages::{self, Package};
use crate::workspace::{self, Done};

pub(crate) use deb::build as deb;

/// The programs that packing takes.
pub(crate) const NEEDS: [Package; 4] = [
    Package { program: "dpkg-deb", package: "dpkg" },
    Package { program: "dpkg-shlibdeps", package: "dpkg-dev" },
    Package { program: "gzip", package: "gzip" },
    Package { program: "strip", package: "binutils" },
];

/// Packs the binary that is shipped, or this one.
pub(crate) fn run(arguments: &[&str]) -> Done {
    packages::provide(&NEEDS)?;
    let hooks = match arguments {
        [] => {
            let build = ["build", "--profile", "dist", "--package", "hooks-cli", "--bin", "hooks"];
            workspace::built("hooks", &build)?
        }
        ["--binary", file] => PathBuf::from(file),
        _ => return Err("usage: cargo xtask package [--binary FILE]".to_owned()),
    };
    let folder = workspace::root().join("target/packages");
    fs::create_dir_all(&folder).map_err(|error| format!("make {}: {error}", folder.display()))?;
    println!("{}", deb(&hooks, env!("CARGO_PKG_VERSION"), &folder, false)?.display());
    Ok(())
}

/// Writes a file, with the folders above it.
fn write(path: &Path, text: impl AsRef<[u8]>) -> Done {
    let failed = |error| format!("write {}: {error}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
    fs::write(path, text).map_err(failed)
}

/// Reads a file of the repository.
fn read(file: &str) -> Result<String, String> {
    fs::read_to_string(workspace::root().join(file)).map_err(|error| format!("read {file}: {error}"))
}
