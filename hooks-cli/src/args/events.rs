//! Arguments of commands about past events.

use clap::{ArgGroup, Args, ValueEnum};
use hooks_core::{HookId, TenantId};
use hooks_server::admin::{EventFilter, EventOrder, Moment, ResendFilter};

use super::operate::{WhomArgs, hook_id};

pub(crate) const EVENTS: &str = "Examples:
  hooks events -c hooks.toml --id 4711
  hooks events -c hooks.toml --type 'invoice.*' --since 2h --limit 20
  hooks events -c hooks.toml --since 2026-11-27T22:00:00Z --until 2026-11-28T04:00:00Z
  hooks events -c hooks.toml --since 8h --order oldest --json

Asks the daemon that runs, or looks into the folder of the bus while none does. Times are those at which events were \
accepted, to the second.

Exit code 1 if a part of the log that was looked at is damaged.";

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    /// Only events with this id; can be given several times
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    which: PastArgs,
    /// Only events of this tenant
    #[arg(long, value_name = "TENANT", value_parser = tenant)]
    tenant: Option<TenantId>,
    /// Only events whose JSON has this text in it, spelled the same
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Which event comes first
    #[arg(long, value_name = "ORDER", default_value = "newest")]
    order: Order,
    /// Most events
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: u64,
    /// The events themselves, byte for byte as they were accepted: one a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which past events.
#[derive(Debug, Args)]
pub(crate) struct PastArgs {
    /// Only events whose source matches this glob; can be given several times
    #[arg(long = "source", value_name = "GLOB")]
    sources: Vec<String>,
    /// Only events whose type matches this glob; can be given several times
    #[arg(long = "type", value_name = "GLOB")]
    types: Vec<String>,
    /// Only events that were accepted at this time (2026-11-27T10:00:00Z) or so long ago (2h), or later
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,
    /// Only events that were accepted before this time, or longer ago
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,
}

/// The order of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    /// The newest event comes first
    Newest,
    /// The oldest event comes first
    Oldest,
}

impl EventsArgs {
    pub(crate) fn filter(&self) -> EventFilter {
        EventFilter { tenant: self.tenant.clone(), text: self.text.clone(), ..self.which.filter(&self.ids) }
    }

    pub(crate) fn order(&self) -> EventOrder {
        match self.order {
            Order::Newest => EventOrder::Newest,
            Order::Oldest => EventOrder::Oldest,
        }
    }
}

impl PastArgs {
    /// Those that have one of these ids, where there are any.
    pub(crate) fn filter(&self, ids: &[String]) -> EventFilter {
        let Self { sources, types, since, until } = self;
        EventFilter {
            ids: ids.iter().cloned().collect(),
            sources: sources.clone(),
            types: types.clone(),
            since: *since,
            until: *until,
            ..EventFilter::default()
        }
    }
}

pub(crate) const RESEND: &str = "Examples:
  hooks resend -c hooks.toml billing --event 4711
  hooks resend -c hooks.toml billing --since 8h --until 2h --type 'invoice.*' --dry-run
  hooks resend -c hooks.toml billing --position 17 --position 18

They go through the hook's worker, between its live batches and outside their order, and have the attribute \
`hooksreplay`. What is refused becomes a dead letter. Events that the hook has not come to yet it gets twice. While no \
daemon runs, the hook is started for it, and delivers its other events, too.

Exit code 1 if any did not arrive, or one that `--event` or `--position` names is not there.";

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("picks").args(["ids", "positions", "from", "since"]).required(true).multiple(true))]
pub(crate) struct ResendArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    /// The hook
    #[arg(value_name = "HOOK", value_parser = hook_id)]
    pub(crate) hook: HookId,
    #[command(flatten)]
    named: NamedArgs,
    #[command(flatten)]
    which: PastArgs,
    /// Only events before this position
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    /// Also events that the hook's filter leaves out, but for its tenant
    #[arg(long)]
    unmatched: bool,
    /// Only say how many there are
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Which events, one by one or from where on. `--since` is another way to say it.
#[derive(Debug, Args)]
struct NamedArgs {
    /// The event with this id; can be given several times
    #[arg(long = "event", value_name = "ID")]
    ids: Vec<String>,
    /// The event at this position of the log; can be given several times
    #[arg(long = "position", value_name = "N")]
    positions: Vec<u64>,
    /// Only events at this position or behind it
    #[arg(long, value_name = "N")]
    from: Option<u64>,
}

impl ResendArgs {
    pub(crate) fn which(&self) -> ResendFilter {
        let EventFilter { ids, sources, types, since, until, .. } = self.which.filter(&self.named.ids);
        let NamedArgs { positions, from, .. } = &self.named;
        ResendFilter {
            ids,
            positions: positions.iter().copied().collect(),
            from: *from,
            to: self.to,
            sources,
            types,
            since,
            until,
            unmatched: self.unmatched,
            dry_run: self.dry_run,
        }
    }
}

fn tenant(text: &str) -> Result<TenantId, String> {
    TenantId::new(text).map_err(|error| error.to_string())
}
