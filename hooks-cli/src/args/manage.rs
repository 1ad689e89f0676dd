//! `hooks get`, `hooks apply`, `hooks delete`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hooks_core::HookId;

use super::operate::{WhomArgs, hook_id};

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    /// Only this hook, with all of its settings
    #[arg(value_name = "ID", value_parser = hook_id)]
    pub(crate) id: Option<HookId>,
    /// JSON in place of a table: an object a line, as the API has it
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    /// The file with the hooks: `[[hooks]]` and `[defaults]`, as a config file has them
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Only say what would be done; secrets are not compared
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Delete the hooks that were defined at the daemon and are not in the file
    #[arg(long)]
    pub(crate) prune: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Seal the definitions of all hooks with the first key of `api.secrets_key_file`; the hooks go on as they are
    ///
    /// Afterwards the other keys of the file are needed for no hook, and can be taken out.
    #[command(after_help = REKEY)]
    Rekey(RekeyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RekeyArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    /// Only say how many definitions are sealed with another key
    #[arg(long)]
    pub(crate) dry_run: bool,
}

pub(crate) const REKEY: &str = "Examples:
  hooks secrets rekey -c hooks.toml
  hooks secrets rekey --url https://events.example.com --token-file token

Asks the daemon that runs, or does it in the folder of the bus while none does. It can be cut off at any time, and done \
again. On NATS every daemon has to have the new key first.

Exit code 1 if a definition could not be sealed anew.";

pub(crate) const GET: &str = "Examples:
  hooks get -c hooks.toml
  hooks get --url https://events.example.com --token-file token shop
  hooks get -c hooks.toml --json | jq 'select(.origin == \"api\")'

Asks a daemon that runs.";

pub(crate) const APPLY: &str = "Examples:
  hooks apply -f shop.toml -c hooks.toml --dry-run
  hooks apply -f shop.toml --url https://events.example.com --token-file token --prune

Asks a daemon that runs. A hook that is as the file has it stays as it is. Whatever the daemon makes a secret for is \
printed with it, this once.

Exit code 78 if the daemon takes any hook of the file otherwise than it is written.";

pub(crate) const DELETE: &str = "Examples:
  hooks delete -c hooks.toml shop
  hooks delete --url https://events.example.com --token-file token shop

Asks a daemon that runs. What it keeps of the hook goes, too: events that wait, and dead letters.";
