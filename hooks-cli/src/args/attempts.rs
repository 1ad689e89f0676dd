//! `hooks attempts`.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use hooks_core::{HookId, StartAt};
use hooks_server::history::AttemptQuery;

use super::operate::{WhomArgs, hook_id};

pub(crate) const EXAMPLES: &str = "Examples:
  hooks attempts -c hooks.toml                           the last attempts of all hooks
  hooks attempts -c hooks.toml billing --failed          those of one hook that failed
  hooks attempts -c hooks.toml --event 8f14e45f          what became of one event, for every hook
  hooks attempts -c hooks.toml billing --follow          those that end from now on
  hooks attempts -c hooks.toml --since 2h --json | jq 'select(.status == 503)'

The newest stand last. Without a daemon the folder of its history is read; --follow needs one that runs.";

#[derive(Debug, Args)]
pub(crate) struct AttemptsArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    /// Only those of this hook
    #[arg(value_name = "ID", value_parser = hook_id)]
    pub(crate) hook: Option<HookId>,
    /// What became of the event with this id, for every hook: takes a daemon that runs
    #[arg(long, value_name = "ID", conflicts_with_all = ["position", "failed", "since", "until", "limit", "follow"])]
    pub(crate) event: Option<String>,
    /// Only events whose source matches this glob
    #[arg(long, value_name = "GLOB", requires = "event")]
    pub(crate) source: Option<String>,
    /// Only those with the event at this position of the log
    #[arg(long, value_name = "N")]
    pub(crate) position: Option<u64>,
    /// Only those that did not deliver everything
    #[arg(long)]
    pub(crate) failed: bool,
    /// Only those begun at this time or later: a time, or an age such as 2h
    #[arg(long, value_name = "WHEN", value_parser = time)]
    pub(crate) since: Option<u64>,
    /// Only those begun at this time or earlier
    #[arg(long, value_name = "WHEN", value_parser = time)]
    pub(crate) until: Option<u64>,
    /// At most so many, the newest ones
    #[arg(long, value_name = "N", default_value = "50")]
    pub(crate) limit: usize,
    /// Show attempts as they end, until a signal comes
    #[arg(long, conflicts_with_all = ["since", "until", "limit"])]
    pub(crate) follow: bool,
    /// JSON in place of a table: an object a line
    #[arg(long)]
    pub(crate) json: bool,
}

impl AttemptsArgs {
    /// What is asked for.
    pub(crate) fn query(&self) -> AttemptQuery {
        let mut query = AttemptQuery::default();
        (query.hook, query.position) = (self.hook.clone(), self.position);
        (query.since, query.until) = (self.since, self.until);
        query.delivered = self.failed.then_some(false);
        query
    }
}

/// A time in microseconds since 1970.
fn time(text: &str) -> Result<u64, String> {
    let expected = || "expected a time such as 2026-11-27T10:00:00Z, or an age such as 2h".to_owned();
    let at = text.parse::<StartAt>().ok().and_then(|at| at.since(SystemTime::now())).ok_or_else(expected)?;
    u64::try_from(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros()).map_err(|_| expected())
}
