//! `cargo xtask bench`: hands over to the bench that links everything, so that the other chores need not.

use crate::workspace::{self, Done};

/// Runs `hooks-cli/benches/limits` with these arguments.
pub(crate) fn run(arguments: &[&str]) -> Done {
    let mut cargo = workspace::cargo();
    cargo
        .args(["bench", "--profile", "dist", "--package", "hooks-cli", "--locked", "--bench", "limits", "--"])
        .args(arguments);
    let status = cargo.status().map_err(|error| format!("can't run cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the bench did not end well".to_owned()) }
}
