//! Arguments of operators' commands.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hooks_core::bus::SeekTo;
use hooks_core::{DeadLetterId, DeadLetterReason, HookId};
use hooks_server::admin::{DeadLetterFilter, SeekRequest};

/// The help of `hooks seek`.
pub(crate) const SEEK: &str =
    "Moves a hook to another place in the log. From there it goes on in order, while the daemon \
runs; other hooks notice nothing. Settings and dead letters stay.

Back: every event from there on is delivered again, as far as the log still has it (the bus's `retain`). Receivers see \
the ids that they have seen before.

Ahead: the events in between are not delivered, ever. They count as dropped, with the reason `skipped`; that takes \
--skip.

--dry-run says how many events that is, and changes nothing.";

pub(crate) const SEEK_EXAMPLES: &str = "Examples:
  hooks seek billing --to 2h -c hooks.toml --dry-run    how many events that is
  hooks seek billing --to 2h -c hooks.toml              deliver the last two hours again
  hooks seek billing --to 2026-11-27T10:00:00Z -c hooks.toml
  hooks seek billing --to end --skip -c hooks.toml      skip the backlog

Exit code 1 if the hook was not moved.";

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Show its files, each hook's position, and the damage that is seen without reading all of it
    ///
    /// `to end` counts every event between a hook's position and the end of the log, whether its filter lets it
    /// pass or not; `behind` of `hooks status` counts those that it does, as far as they have been read.
    #[command(after_help = "Examples:
  hooks log info -c hooks.toml
  hooks log info --dir hooks-data --json | jq .hooks

Exit code 1 if anything is damaged.")]
    Info(StatusArgs),
    /// Read every event and report damage; changes nothing, and takes a folder that no daemon has
    #[command(after_help = "Examples:
  hooks log verify -c hooks.toml

Exit code 1 if anything is damaged.")]
    Verify(VerifyArgs),
    /// Make a folder usable again whose newest events are gone, by accepting that they are lost
    #[command(after_help = "Examples:
  hooks log repair -c hooks.toml")]
    Repair(RepairArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    pub(crate) folder: FolderArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterCommand {
    /// List dead letters in a table
    #[command(after_help = "Examples:
  hooks dead-letters list -c hooks.toml
  hooks dead-letters list -c hooks.toml billing --reason expired --json")]
    List(ListArgs),
    /// Print whole dead letters, one JSON object a line
    #[command(after_help = "Examples:
  hooks dead-letters show -c hooks.toml billing | jq .event
  hooks dead-letters show -c hooks.toml billing --id 17

Exit code 1 if one that `--id` names is not there.")]
    Show(DeadLettersArgs),
    /// Deliver dead letters once more; those that arrive are dead letters no longer
    ///
    /// They go through the hook's worker, between its live batches and outside their order. While no daemon
    /// runs, the hook is started for it, and delivers its other events, too.
    #[command(after_help = "Examples:
  hooks dead-letters replay -c hooks.toml billing --type 'invoice.*' --dry-run
  hooks dead-letters replay -c hooks.toml billing --id 17 --id 18

Exit code 1 if any did not arrive, or one that `--id` names is not there.")]
    Replay(ReplayArgs),
    /// Drop dead letters
    #[command(after_help = "Examples:
  hooks dead-letters drop -c hooks.toml billing --id 17
  hooks dead-letters drop -c hooks.toml billing --all

Exit code 1 if one that `--id` names is not there.")]
    Drop(PickArgs),
}

/// The folder of a bus that no daemon has.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct FolderArgs {
    /// The config file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The folder of the durable bus, where the config file can't be read: without its secrets, say
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// The daemon or the folder that is asked.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct PlaceArgs {
    /// The config file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The folder of the durable bus, where the config file can't be read: without its secrets, say
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// The address of a daemon, here or on another machine, for example `https://events.example.com`
    #[cfg(feature = "http")]
    #[arg(long, value_name = "URL", value_parser = crate::remote::address)]
    pub(crate) url: Option<reqwest::Url>,
}

/// Whom to ask.
#[derive(Debug, Args)]
pub(crate) struct WhomArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// A file that holds the token which the daemon takes there
    #[cfg(feature = "http")]
    #[arg(long, value_name = "FILE", requires = "url", conflicts_with_all = ["config", "dir"])]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) folder: FolderArgs,
    /// JSON in place of tables: an object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    /// JSON in place of tables: an object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    /// Look once, and end
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HookArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    /// The hook
    #[arg(value_name = "ID", value_parser = hook_id)]
    pub(crate) id: HookId,
}

#[derive(Debug, Args)]
pub(crate) struct SeekArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    /// The hook
    #[arg(value_name = "ID", value_parser = hook_id)]
    pub(crate) id: HookId,
    /// Where it goes on: an age (`2h`), a time (`2026-11-27T10:00:00Z`), `earliest`, `end`, or the position of an event
    #[arg(long, value_name = "WHEN")]
    to: SeekTo,
    /// Skip the events in between if that lies ahead: they are not delivered, and count as dropped
    #[arg(long)]
    skip: bool,
    /// Only say where it would go on, and how many events come again or are skipped
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// JSON in place of text
    #[arg(long)]
    pub(crate) json: bool,
}

impl SeekArgs {
    pub(crate) fn request(&self) -> SeekRequest {
        SeekRequest { to: self.to, skip: self.skip, dry_run: self.dry_run }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DeadLettersArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    /// Only those of this hook
    #[arg(value_name = "HOOK", value_parser = hook_id)]
    pub(crate) hook: Option<HookId>,
    #[command(flatten)]
    which: WhichArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) dead_letters: DeadLettersArgs,
    /// JSON in place of a table: an object a line, without the event (`show` has it)
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PickArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    /// The hook
    #[arg(value_name = "HOOK", value_parser = hook_id)]
    pub(crate) hook: HookId,
    #[command(flatten)]
    which: WhichArgs,
    /// All of the hook's dead letters
    #[arg(long, conflicts_with_all = ["ids", "types", "reason"])]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) pick: PickArgs,
    /// Only say how many there are
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
struct WhichArgs {
    /// Only the dead letter with this id; can be given several times
    #[arg(long = "id", value_name = "N")]
    ids: Vec<u64>,
    /// Only events whose type matches this glob; can be given several times
    #[arg(long = "type", value_name = "GLOB")]
    types: Vec<String>,
    /// Only those given up for this reason: refused or expired
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Option<DeadLetterReason>,
}

impl WhichArgs {
    fn which(&self) -> DeadLetterFilter {
        let ids = self.ids.iter().copied().map(DeadLetterId::new).collect();
        DeadLetterFilter { ids, types: self.types.clone(), reason: self.reason }
    }
}

impl DeadLettersArgs {
    pub(crate) fn which(&self) -> DeadLetterFilter {
        self.which.which()
    }
}

impl PickArgs {
    pub(crate) fn which(&self) -> DeadLetterFilter {
        self.which.which()
    }
}

pub(super) fn hook_id(text: &str) -> Result<HookId, String> {
    HookId::new(text).map_err(|error| error.to_string())
}

fn reason(text: &str) -> Result<DeadLetterReason, String> {
    let known = DeadLetterReason::ALL.iter().copied().find(|reason| reason.name() == text);
    known.ok_or_else(|| {
        format!("known: {}", DeadLetterReason::ALL.iter().map(|reason| reason.name()).collect::<Vec<_>>().join(", "))
    })
}
