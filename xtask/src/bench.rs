//! `cargo xtask bench`: hands over to the bench that links everything, so that the other chores need not.

use std::process::Command;

use crate::integration;
use crate::workspace::{self, Done};

/// Events of each part of the bench of Postgres, where nobody says how many.
const EVENTS: &str = "1000000";

/// Runs `hooks-cli/benches/limits` with these arguments, or the bench of the Postgres bus.
pub(crate) fn run(arguments: &[&str]) -> Done {
    match arguments {
        ["postgres"] => return postgres(EVENTS),
        ["postgres", events] => return postgres(events),
        _ => {}
    }
    let mut cargo = workspace::cargo();
    cargo
        .args(["bench", "--profile", "dist", "--package", "hooks-cli", "--locked", "--bench", "limits", "--"])
        .args(arguments);
    let status = cargo.status().map_err(|error| format!("can't run cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the bench did not end well".to_owned()) }
}

/// Runs the example `postgres_bench` of `hooks-bus`, on a server of Debian's package.
fn postgres(events: &str) -> Done {
    let example = |name| {
        let package = ["build", "--release", "--package", "hooks-bus", "--features", "postgres", "--example", name];
        workspace::built(name, &package)
    };
    let (instance, bench) = (example("postgres_instance")?, example("postgres_bench")?);
    let mut bench = Command::new(bench);
    bench.arg(events).arg(instance).env("HOOKS_POSTGRES_BIN", integration::debian_postgres()?);
    let status = bench.status().map_err(|error| format!("can't run {bench:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err("the bench did not end well".to_owned()) }
}
