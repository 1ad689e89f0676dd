//! What dependencies may be, which `.cargo/deny.toml` says: their licences, where they are from, and which are not taken at all.

use std::process::Command;

use crate::packages;
use crate::workspace::{self, Done};

/// Where it is not on the path, this version is compiled; not optimized, for that takes longer than it saves.
const VERSION: &str = "0.20.2";

/// Looks at the lock file and the crates that it names. Advisories are left out: their database takes the network.
pub(crate) fn run() -> Done {
    let program = packages::compiled("cargo-deny", VERSION, &["--debug"])?;
    let mut deny = Command::new(program);
    deny.current_dir(workspace::root()).args(["--locked", "--log-level", "error"]);
    workspace::output(deny.args(["check", "bans", "licenses", "sources"])).map(drop)
}
