//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use hooks_core::Span;

/// Delivers events to webhooks and files: in order, in batches, without losing any.
#[derive(Debug, Parser)]
#[command(
    name = "hooks",
    version,
    after_help = "Examples:
  hooks serve -c hooks.toml                   take events over HTTP and deliver them
  hooks pipe -c hooks.toml < events.ndjson    deliver every event of a file
  hooks check -c hooks.toml                   find what is wrong with a config file
  hooks test -c hooks.toml orders             try one hook

Exit codes: 0 done, 1 something was not delivered, 2 usage, 78 config.
Logs and progress go to stderr, data to stdout."
)]
pub(crate) struct Cli {
    /// What is logged on stderr: error, warn, info, debug, trace, or directives like `hooks_core=debug`;
    /// without it, info for `serve` and warn for the others
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<String>,
    /// How it is logged
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// What is logged.
    pub(crate) fn log(&self) -> &str {
        let usual = if matches!(self.command, Command::Serve(_)) { "info" } else { "warn" };
        self.log.as_deref().unwrap_or(usual)
    }
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Take events over HTTP and deliver them, until a signal comes
    #[command(
        long_about = "Takes events over HTTP (POST /v1/events) and delivers them to the hooks of the config file until \
SIGTERM or SIGINT. Then it takes no more, delivers what it has for as long as --grace allows, and prints what became \
of everything; a second signal stops at once. 

SIGHUP reads the config file and the token file again: only hooks that changed restart. A file with errors, or with a \
change that takes a restart, changes nothing and is logged. GET /healthz, /readyz and /metrics (Prometheus) show how \
it is.

The exit code is 0 if nothing that was accepted is left behind.",
        after_help = "Examples:
  hooks serve -c hooks.toml
  curl -H 'Content-Type: application/json' -d '{\"type\":\"invoice.paid\"}' http://127.0.0.1:8080/v1/events
  kill -HUP $(pidof hooks)"
    )]
    Serve(ServeArgs),
    /// Deliver the events on stdin, one JSON object a line, and end when all are delivered
    #[command(
        long_about = "Reads events from stdin, one CloudEvents JSON object a line, until it ends; delivers \
them to the hooks of the config file; waits until everything is delivered; and prints what became of them on stderr.

A line that is no event is reported with its number and reason, and the others are delivered. Nothing is ever dropped \
for lack of room: reading waits for receivers. `type` is required; missing `id`, `source`, `time` and `specversion` \
are filled in. SIGINT or SIGTERM ends reading and delivers what was read; a second one stops at once.

The exit code is 0 only if every line was an event and every event was delivered to every hook that wants it.",
        after_help = "Examples:
  hooks pipe -c hooks.toml < events.ndjson
  tail -F app.ndjson | hooks pipe -c hooks.toml
  hooks pipe -c hooks.toml --timeout 10m < events.ndjson"
    )]
    Pipe(PipeArgs),
    /// Say everything that is wrong with a config file, each with its line and column
    #[command(after_help = "Examples:
  hooks check -c hooks.toml
  hooks check --schema > hooks.schema.json    for editors: completion and checks while you type

Exit code 78 if anything is wrong.")]
    Check(CheckArgs),
    /// Send one synthetic event through a hook's real sink and print the answer
    #[command(after_help = "Examples:
  hooks test -c hooks.toml orders

The event has the type `hooks.test`. Exit code 1 if it is refused or can't be delivered.")]
    Test(TestArgs),
    /// List the sinks linked into this binary, with their options
    #[command(after_help = "Examples:
  hooks sinks
  hooks sinks http")]
    Sinks(SinksArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PipeArgs {
    /// The config file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Give up after this long, for example 90s or 10m, with exit code 1
    #[arg(long, value_name = "DURATION", value_parser = timeout)]
    pub(crate) timeout: Option<Span>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The config file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// How long stopping may take, for example 30s or 2m
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = span)]
    pub(crate) grace: Span,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The config file
    #[arg(short, long, value_name = "FILE", required_unless_present = "schema")]
    pub(crate) config: Option<PathBuf>,
    /// Print the JSON Schema of config files, with the sinks linked into this binary
    #[arg(long, conflicts_with = "config")]
    pub(crate) schema: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// The config file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The hook
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct SinksArgs {
    /// Only this kind
    #[arg(value_name = "KIND")]
    pub(crate) kind: Option<String>,
}

fn span(text: &str) -> Result<Span, String> {
    text.parse()
}

fn timeout(text: &str) -> Result<Span, String> {
    let span = self::span(text)?;
    if span.0.is_zero() { Err("must be longer than 0s".to_owned()) } else { Ok(span) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_timeout_of_zero_is_refused() {
        assert!(timeout("0s").is_err());
        assert!(timeout("10").is_err());
        assert_eq!(timeout("90s").map(|span| span.0.as_secs()), Ok(90));
    }
}
