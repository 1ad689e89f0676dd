//! The command line.

pub(crate) mod attempts;
#[cfg(all(feature = "http", feature = "file"))]
pub(crate) mod demo;
pub(crate) mod docs;
mod durations;
pub(crate) mod events;
#[cfg(feature = "http")]
pub(crate) mod health;
#[cfg(feature = "http")]
pub(crate) mod listen;
pub(crate) mod manage;
pub(crate) mod operate;
pub(crate) mod origin;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "http")]
pub(crate) mod publish;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use hooks_core::HumanDuration;

use durations::{span, timeout};
use operate::{DeadLetterCommand, HookArgs, LogCommand, SeekArgs, StatusArgs, TopArgs};
use origin::OriginArgs;

/// Delivers events to webhooks and files: in order, in batches, without losing any.
#[derive(Debug, Parser)]
#[command(
    name = "hooks",
    version,
    after_help = "Examples:
  hooks demo                                  watch what it does, and what it promises
  hooks serve -c hooks.toml                   take events over HTTP and deliver them
  hooks pipe -c hooks.toml < events.ndjson    deliver every event of a file
  hooks check -c hooks.toml                   find what is wrong with a config file
  hooks test -c hooks.toml orders             try one hook
  hooks listen                                receive webhooks and print them

Exit codes: 0 done, 1 something was not delivered or could not be done, 2 usage, 78 config.

Logs and progress go to stderr, data to stdout."
)]
pub(crate) struct Cli {
    /// Log level on stderr: error, warn, info, debug, trace, or directives like `hooks_core=debug`;
    /// without it, info for `serve`, off for `demo`, and warn for the others
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Logging")]
    pub(crate) log: Option<String>,
    /// Log format
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", help_heading = "Logging")]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// The log level or directives.
    pub(crate) fn log(&self) -> &str {
        let usual = match self.command {
            // What the client of NATS says, the bus says in its own words.
            Command::Serve(_) => "info,async_nats=error",
            // It fails on purpose, and shows that itself.
            #[cfg(all(feature = "http", feature = "file"))]
            Command::Demo(_) => "off",
            _ => "warn",
        };
        self.log.as_deref().unwrap_or(usual)
    }

    /// True if it runs for as long as it can, with nobody at the terminal.
    pub(crate) fn is_daemon(&self) -> bool {
        matches!(self.command, Command::Serve(_))
    }
}

/// The format of logs.
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

What is then left is in the log, and delivered after the next start. On the memory bus it is lost, and the exit code \
is 1.",
        after_help = "Examples:
  hooks serve -c hooks.toml
  hooks serve --to https://example.com/hooks --types 'invoice.*' --secret-file secret
  echo '{\"type\":\"invoice.paid\"}' | hooks publish --to http://127.0.0.1:8080
  pkill -HUP -f 'hooks serve'"
    )]
    Serve(ServeArgs),
    /// Deliver the events on stdin, one JSON object a line, and end when all are delivered
    #[command(
        long_about = "Reads events from stdin, one CloudEvents JSON object a line, until it ends; delivers \
them to the hooks of the config file; waits until everything is delivered; and prints what became of them on stderr.

A line that is no event is reported with its number and reason, and the others are delivered. Nothing is ever dropped \
for lack of room: reading waits for receivers. `type` is required; missing `id`, `source`, `time` and `specversion` \
are filled in. SIGINT, SIGTERM or SIGHUP ends reading and delivers what was read; a second one stops at once.

The exit code is 0 only if every line was an event and every event was delivered to every hook that wants it.",
        after_help = "Examples:
  hooks pipe -c hooks.toml < events.ndjson
  hooks pipe --to http://127.0.0.1:9000 < events.ndjson
  hooks pipe --to events.jsonl --print-config > hooks.toml
  tail -F app.ndjson | hooks pipe -c hooks.toml
  hooks pipe -c hooks.toml --timeout 10m < events.ndjson"
    )]
    Pipe(PipeArgs),
    /// Report all problems of a config file, each with its line and column
    #[command(after_help = "Examples:
  hooks check -c hooks.toml
  hooks check --schema > hooks.schema.json    for editors: completion and checks while you type
  hooks check -c hooks.toml --event event.json    which hooks it reaches, and why not others
  hooks check --url https://events.example.com --token-file token --event event.json

Exit code 78 if anything is wrong with the config file, 1 if it is with an event.")]
    Check(CheckArgs),
    /// Send one event through a hook's real sink and print the answer, or show what would be sent
    #[command(after_help = "Examples:
  hooks test -c hooks.toml orders
  hooks test -c hooks.toml orders --event paid.json
  hooks test -c hooks.toml orders --dry-run --event paid.json

Without --event it is a synthetic one of type `hooks.test`. The hook's filter does not apply.

Exit code 1 if it is refused or can't be delivered, or there is no such hook.")]
    Test(TestArgs),
    /// List the sinks linked into this binary, with their options
    #[command(after_help = "Examples:
  hooks sinks
  hooks sinks http")]
    Sinks(PluginArgs),
    /// List the buses linked into this binary, with their options
    #[command(after_help = "Examples:
  hooks buses
  hooks buses durable")]
    Buses(PluginArgs),
    /// Receive webhooks and print them; fail, refuse or misbehave on purpose
    #[cfg(feature = "http")]
    #[command(long_about = listen::ABOUT, after_help = listen::EXAMPLES)]
    Listen(listen::ListenArgs),
    /// Send the events on stdin, one JSON object a line, to a running `hooks serve`
    #[cfg(feature = "http")]
    #[command(long_about = publish::ABOUT, after_help = publish::EXAMPLES)]
    Publish(publish::PublishArgs),
    /// Watch events flow to receivers that fail, and see each promise checked
    #[cfg(all(feature = "http", feature = "file"))]
    #[command(long_about = demo::ABOUT, after_help = demo::EXAMPLES)]
    Demo(demo::DemoArgs),
    /// Print a script that completes commands and options in a shell
    #[command(after_help = docs::COMPLETIONS)]
    Completions(docs::CompletionsArgs),
    /// Print the manual page, or write those of all commands into a folder
    #[command(after_help = docs::MAN)]
    Man(docs::ManArgs),
    /// Show each hook's state, how far it is behind, and its last error
    #[command(after_help = "Examples:
  hooks status -c hooks.toml
  hooks status -c hooks.toml --json | jq 'select(.state != \"healthy\")'
  hooks status --url https://events.example.com --token-file token

Asks the daemon that runs, or looks into the folder of the bus while none does. `behind` counts the events that \
the hook's filter lets pass and that are not settled; with `≤`, not all of them have been read, and those that it \
will pass over are counted, too.")]
    Status(StatusArgs),
    /// Say whether a daemon takes events, with the exit code
    #[cfg(feature = "http")]
    #[command(long_about = health::ABOUT, after_help = health::EXAMPLES)]
    Health(health::HealthArgs),
    /// Show how it stands with a daemon, live: what it accepts and delivers, and which hooks are in trouble
    #[command(after_help = "Examples:
  hooks top -c hooks.toml
  hooks top --url https://events.example.com --token-file token
  hooks top -c hooks.toml --once

Looks every two seconds, until Ctrl-C. The same is on the page at /ui/, and in GET /v1/overview.")]
    Top(TopArgs),
    /// Deliver to a hook again that was disabled, by its receiver (410) or by `hooks disable`
    #[command(after_help = "Examples:
  hooks enable -c hooks.toml billing")]
    Enable(HookArgs),
    /// Deliver nothing to a hook until it is enabled, also after a restart; its events are kept
    #[command(after_help = "Examples:
  hooks disable -c hooks.toml billing")]
    Disable(HookArgs),
    /// Move a hook back in the log, to deliver events again, or ahead, to skip a backlog
    #[command(long_about = operate::SEEK, after_help = operate::SEEK_EXAMPLES)]
    Seek(SeekArgs),
    /// Give up everything that is kept for a hook which is no longer in the config file
    #[command(after_help = "Examples:
  hooks forget -c hooks.toml billing")]
    Forget(HookArgs),
    /// Show the hooks of a daemon, or one with its settings
    #[command(after_help = manage::GET)]
    Get(manage::GetArgs),
    /// Define the hooks of a file at a daemon: those that are missing or differ
    #[command(after_help = manage::APPLY)]
    Apply(manage::ApplyArgs),
    /// Delete a hook that was defined at a daemon
    #[command(after_help = manage::DELETE)]
    Delete(HookArgs),
    /// Change the key that seals hooks which were defined at a daemon
    #[command(after_help = manage::REKEY)]
    Secrets {
        #[command(subcommand)]
        command: manage::SecretsCommand,
    },
    /// Show attempts to deliver: when, how they went, and what was answered
    #[command(after_help = attempts::EXAMPLES)]
    Attempts(attempts::AttemptsArgs),
    /// Describe, verify or repair the log of the bus
    #[command(after_help = "Examples:
  hooks log info -c hooks.toml
  hooks log verify -c hooks.toml

Exit code 1 if anything is damaged.")]
    Log {
        #[command(subcommand)]
        command: LogCommand,
    },
    /// Print what the Postgres bus needs in its database
    #[cfg(feature = "postgres")]
    #[command(after_help = postgres::EXAMPLES)]
    Postgres {
        #[command(subcommand)]
        command: postgres::PostgresCommand,
    },
    /// Look into the log: past events, by id, source, type, tenant or time
    #[command(after_help = events::EVENTS)]
    Events(events::EventsArgs),
    /// Send past events to a hook again, beside the live ones
    #[command(after_help = events::RESEND)]
    Resend(events::ResendArgs),
    /// List, show, replay or drop the events that hooks gave up
    #[command(
        name = "dead-letters",
        after_help = "Examples:
  hooks dead-letters list -c hooks.toml
  hooks dead-letters show -c hooks.toml billing | jq .event
  hooks dead-letters replay -c hooks.toml billing --type 'invoice.*' --dry-run
  hooks dead-letters drop -c hooks.toml billing --id 17"
    )]
    DeadLetters {
        #[command(subcommand)]
        command: DeadLetterCommand,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PipeArgs {
    #[command(flatten)]
    pub(crate) origin: OriginArgs,
    /// Give up after this long, for example 90s or 10m, with exit code 1
    #[arg(long, value_name = "DURATION", value_parser = timeout)]
    pub(crate) timeout: Option<HumanDuration>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) origin: OriginArgs,
    #[command(flatten)]
    pub(crate) listen: origin::ListenArgs,
    /// Time limit for stopping, for example 30s or 2m
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = span)]
    pub(crate) grace: HumanDuration,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The config file
    #[arg(short, long, value_name = "FILE", required_unless_present_any = ["schema", "DaemonArgs"])]
    pub(crate) config: Option<PathBuf>,
    /// Say which hooks the events of this file reach, and what keeps them from the others; `-` reads stdin. They are
    /// an event in JSON, an array of events, or one a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["schema", "user"])]
    pub(crate) event: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    /// Print the JSON Schema of config files, with the sinks linked into this binary
    #[arg(long, conflicts_with = "config")]
    pub(crate) schema: bool,
    /// Check what this command asks of the file, too: its bus where `[bus]` is left out, and the files of tokens
    #[arg(long = "for", value_name = "COMMAND", requires = "config")]
    pub(crate) user: Option<ConfigUser>,
}

/// A daemon that is asked about the hooks that it has, in place of a config file.
#[derive(Debug, Args)]
pub(crate) struct DaemonArgs {
    /// Ask the daemon that has this folder of a durable bus about the hooks that it has
    #[arg(long, value_name = "DIR", requires = "event", conflicts_with_all = ["config", "schema"])]
    pub(crate) dir: Option<PathBuf>,
    /// Ask the daemon at this address
    #[cfg(feature = "http")]
    #[arg(long, value_name = "URL", requires = "event", conflicts_with_all = ["config", "schema", "dir"],
        value_parser = crate::remote::address)]
    pub(crate) url: Option<reqwest::Url>,
    /// A file that holds the token which the daemon takes there
    #[cfg(feature = "http")]
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(crate) token_file: Option<PathBuf>,
}

/// A command that uses all of a config file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfigUser {
    /// `hooks serve`
    Serve,
    /// `hooks pipe`
    Pipe,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// The config file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The hook
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// A file with the event to send, as JSON; `-` for stdin. With --dry-run several, one a line
    #[arg(short, long, value_name = "FILE")]
    pub(crate) event: Option<PathBuf>,
    /// Send nothing: show the requests that would be sent, without secrets
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PluginArgs {
    /// Only this kind
    #[arg(value_name = "KIND")]
    pub(crate) kind: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
