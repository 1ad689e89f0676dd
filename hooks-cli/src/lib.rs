//! The hooks command: delivers events from a pipe to webhooks and files.
//!
//! It is a library so that a binary with more sinks takes three lines:
//!
//! ```no_run
//! // use my_sink as _;
//! fn main() -> std::process::ExitCode {
//!     hooks_cli::main()
//! }
//! ```
//!
//! [`config`] and [`ndjson`] read what comes from outside. They do no I/O, so that they can be fuzzed;
//! their signatures are no promise.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), deny(unused_crate_dependencies, clippy::print_stderr, clippy::print_stdout))]

mod args;
mod bus;
mod commands;
pub mod config;
mod console;
#[cfg(all(feature = "http", feature = "file"))]
mod demo;
mod descriptors;
mod exit;
mod files;
#[cfg(feature = "http")]
mod listen;
mod malloc;
pub mod ndjson;
mod operator;
mod outcome;
#[cfg(feature = "http")]
mod publish;
mod reload;
#[cfg(feature = "http")]
mod remote;
mod signals;
mod single;
mod stdin;
mod systemd;
mod telemetry;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

// A sink that nothing names is not linked.
#[cfg(feature = "file")]
use hooks_sink_file as _;
#[cfg(feature = "http")]
use hooks_sink_http as _;
// Of `demo`, which takes both sinks.
#[cfg(all(feature = "http", not(feature = "file")))]
use tempfile as _;

use args::{Cli, Command};
use console::{Console, complain};
use exit::Exit;

/// The whole command: reads the process's arguments, does what they say, and returns how it ended.
///
/// Every sink linked into the calling binary can be used in its config files.
pub fn main() -> ExitCode {
    malloc::keep_freed_memory();
    install_cryptography();
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == commands::complete::CALL) {
        let args: Vec<_> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
        return commands::complete::run(&args).into();
    }
    match Cli::try_parse() {
        Ok(cli) => run(&cli).into(),
        Err(error) => {
            // Help and version are printed on stdout, anything wrong on stderr.
            let printed = error.print().and_then(|()| io::stdout().flush());
            if error.use_stderr() { Exit::Usage.into() } else { commands::printed(printed).into() }
        }
    }
}

/// Code of other crates in this process may ask rustls for its default, and panics where several are linked and
/// none was chosen: a third-party sink's HTTP client, for example.
fn install_cryptography() {
    // Whoever called this may have chosen already.
    #[cfg(any(feature = "http", feature = "nats", feature = "postgres"))]
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn run(cli: &Cli) -> Exit {
    let console = match Console::with_logs(cli.log(), cli.log_format, cli.is_daemon()) {
        Ok(console) => console,
        Err(error) => {
            complain(format_args!("--log {}: {error}", cli.log()));
            return Exit::Usage;
        }
    };
    let exit = command(cli, &console);
    console.close();
    exit
}

fn command(cli: &Cli, console: &Console) -> Exit {
    match &cli.command {
        Command::Serve(args) => commands::serve::run(args, console),
        Command::Pipe(args) => commands::pipe::run(args, console),
        Command::Check(args) => commands::check::run(args),
        Command::Test(args) => commands::test::run(args),
        Command::Sinks(args) => commands::plugins::sinks(args),
        Command::Buses(args) => commands::plugins::buses(args),
        #[cfg(feature = "http")]
        Command::Listen(args) => commands::listen::run(args, console),
        #[cfg(feature = "http")]
        Command::Publish(args) => commands::publish::run(args, console),
        #[cfg(all(feature = "http", feature = "file"))]
        Command::Demo(args) => commands::demo::run(args, cli.log.is_some()),
        Command::Completions(args) => commands::docs::completions(args),
        Command::Man(args) => commands::docs::man(args),
        Command::Status(args) => commands::operate::status(args),
        #[cfg(feature = "http")]
        Command::Health(args) => commands::health::run(args),
        Command::Top(args) => commands::top::run(args),
        Command::Enable(args) => commands::operate::set_enabled(args, true),
        Command::Disable(args) => commands::operate::set_enabled(args, false),
        Command::Seek(args) => commands::seek::run(args),
        Command::Forget(args) => commands::operate::forget(args),
        Command::Get(args) => commands::manage::get(args),
        Command::Apply(args) => commands::apply::run(args),
        Command::Delete(args) => commands::manage::delete(args),
        Command::Secrets { command } => commands::secrets::run(command),
        Command::Events(args) => commands::events::run(args),
        Command::Resend(args) => commands::resend::run(args),
        Command::Attempts(args) => commands::attempts::run(args),
        Command::DeadLetters { command } => commands::dead_letters::run(command),
        Command::Log { command } => commands::log::run(command),
        #[cfg(feature = "postgres")]
        Command::Postgres { command } => commands::postgres::run(command),
    }
}

/// The Rust of the README is compiled as a test, and that of `docs/embed.md`.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../docs/embed.md")]
struct Documents;
