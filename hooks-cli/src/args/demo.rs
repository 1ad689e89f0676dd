//! `hooks demo`.

use clap::Args;

use crate::demo::RunTime;

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// About the length of the run, in seconds
    #[arg(long, value_name = "NUMBER", default_value = "12", value_parser = run_time)]
    pub(crate) seconds: RunTime,
}

pub(crate) const ABOUT: &str = "Delivers 329 real GitHub events to four hooks, over loopback, with receivers of its \
own: one that is always well, one that fails twice and recovers, one that refuses poisoned events, and a file. It \
shows live what happens; the receivers check what arrives; and at the end the ledgers and every promise are held \
against what was seen. Nothing leaves this machine, and nothing is left on it.

The exit code is 0 only if every promise held.";

pub(crate) const EXAMPLES: &str = "Examples:
  hooks demo
  hooks demo --seconds 30     slower, to read along
  hooks demo | cat            lines instead of a screen";

fn run_time(text: &str) -> Result<RunTime, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds, from 0.5 to 600".to_owned())?;
    if (0.5..=600.0).contains(&seconds) {
        Ok(RunTime(seconds))
    } else {
        Err("expected a number of seconds, from 0.5 to 600".to_owned())
    }
}
