//! What the programs of docs/postgres.md need: packages of npm and PyPI, and a crate of those in Rust.

use std::fs;
use std::path::Path;

use crate::integration::bench::{read, write};
use crate::packages;
use crate::workspace::{self, Done};

/// Of the programs in Rust, in the order of the document.
const RUST: [&str; 2] = ["tokio_postgres", "sqlx"];

/// Prepares a folder for them.
pub(super) fn prepare(folder: &Path) -> Done {
    fs::create_dir_all(folder.join("src/bin")).map_err(|error| format!("make a folder: {error}"))?;
    packages::npm(folder, &["pg@8.23.1"])?;
    packages::pip(&folder.join("python"), &["psycopg[binary]==3.3.9"])?;
    let document = read("docs/postgres.md")?;
    let blocks: Vec<&str> = document.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    if blocks.len() != RUST.len() {
        return Err(format!("docs/postgres.md has {} programs in Rust, and {} are known", blocks.len(), RUST.len()));
    }
    for (name, text) in RUST.iter().zip(blocks) {
        write(&folder.join(format!("src/bin/{name}.rs")), text)?;
    }
    write(&folder.join("Cargo.toml"), &manifest())?;
    // The versions that the workspace has.
    fs::copy(workspace::root().join("Cargo.lock"), folder.join("Cargo.lock"))
        .map_err(|error| format!("copy Cargo.lock: {error}"))?;
    let mut cargo = workspace::cargo();
    cargo.current_dir(folder).args(["build", "--quiet", "--target-dir", "target"]);
    workspace::output(&mut cargo).map(drop)
}

fn manifest() -> String {
    let root = workspace::root();
    let root = root.display();
    format!(
        r#"[package]
name = "shop"
edition = "2024"

[dependencies]
hooks-bus = {{ path = "{root}/hooks-bus", default-features = false, features = ["postgres"] }}
hooks-core = {{ path = "{root}/hooks-core", default-features = false }}
sqlx = {{ version = "0.8", default-features = false, features = ["postgres", "runtime-tokio"] }}
tokio = {{ version = "1", features = ["macros", "rt-multi-thread"] }}
tokio-postgres = "0.7"

[profile.dev]
debug = false

[workspace]
"#
    )
}
