//! `cargo xtask soak`: the long run of the tests of `hooks-cli`, optimised and with as many events as wanted.

use crate::{Done, workspace};

/// Runs it with so many events.
pub(crate) fn run(events: &str) -> Done {
    if events.parse::<u64>().is_err() {
        return Err(format!("`{events}` is no number of events"));
    }
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--release", "--package", "hooks-cli", "--test", "it", "--locked", "--"]);
    cargo.args(["serve::soak::", "--nocapture"]).env("HOOKS_SOAK_EVENTS", events);
    let status = cargo.status().map_err(|error| format!("can't run cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the long run failed".to_owned()) }
}
