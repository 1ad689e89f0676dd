//! `cargo xtask soak` and `cargo xtask backlog`: long runs of tests, optimised and with as many events as wanted.

use crate::workspace::{self, Done};

/// A daemon whose hooks hang and fail, with so many events.
pub(crate) fn run(events: &str) -> Done {
    test("hooks-cli", "serve::soak::", "HOOKS_SOAK_EVENTS", events)
}

/// A receiver that is down until so many events wait for it on the durable bus.
pub(crate) fn backlog(events: &str) -> Done {
    test("hooks-bus", "durable::backlog::", "HOOKS_BACKLOG_EVENTS", events)
}

fn test(package: &str, name: &str, variable: &str, events: &str) -> Done {
    if events.parse::<u64>().is_err() {
        return Err(format!("`{events}` is no number of events"));
    }
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--release", "--package", package, "--test", "it", "--locked", "--"]);
    cargo.args([name, "--nocapture"]).env(variable, events);
    let status = cargo.status().map_err(|error| format!("can't run cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the long run failed".to_owned()) }
}
