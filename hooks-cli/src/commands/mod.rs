//! The commands.

pub(crate) mod apply;
pub(crate) mod attempts;
pub(crate) mod check;
pub(crate) mod complete;
pub(crate) mod dead_letters;
#[cfg(all(feature = "http", feature = "file"))]
pub(crate) mod demo;
pub(crate) mod docs;
pub(crate) mod events;
#[cfg(feature = "http")]
pub(crate) mod health;
#[cfg(feature = "http")]
pub(crate) mod listen;
pub(crate) mod log;
pub(crate) mod manage;
mod matches;
pub(crate) mod operate;
mod outcomes;
pub(crate) mod pipe;
pub(crate) mod plugins;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "http")]
pub(crate) mod publish;
pub(crate) mod resend;
pub(crate) mod secrets;
pub(crate) mod seek;
pub(crate) mod serve;
pub(crate) mod test;
pub(crate) mod top;

use std::io::Write as _;
use std::num::NonZeroUsize;

use hooks_core::BoxError;
use tokio::runtime::{Builder, Runtime};

use crate::config::{Config, Origin, Problems};
use crate::console::complain;
use crate::descriptors;
use crate::exit::Exit;
use crate::signals::survive_file_limit;

/// Prints data on stdout. A reader that has gone, `| head` say, is no error; anything else, a full disk say,
/// ends the process: what was asked for can't be given.
pub(crate) fn print(text: &str) {
    print_bytes(text.as_bytes());
}

/// Says what is legal in a config file but may not be what was meant.
pub(crate) fn warn(config: &Config) {
    config.warnings().for_each(complain);
}

/// Prints the config file that stands for the arguments of a command, if it can be used.
pub(crate) fn print_config<T>(origin: &Origin, loaded: Result<T, Problems>) -> Exit {
    match (origin, loaded) {
        (Origin::Arguments(text), Ok(_)) => print(text),
        (Origin::File(_), Ok(_)) => {}
        (_, Err(problems)) => {
            complain(problems);
            return origin.fault();
        }
    }
    Exit::Done
}

/// As [`print()`], for what may be no UTF-8.
pub(crate) fn print_bytes(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let exit = printed(stdout.write_all(bytes).and_then(|()| stdout.flush()));
    if exit != Exit::Done {
        std::process::exit(exit.code().into());
    }
}

/// As [`print()`], for what goes on until somebody stops it: a reader that has gone does.
pub(crate) fn print_on(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        std::process::exit(printed(Err(error)).code().into());
    }
}

/// The exit code after printing on stdout.
pub(crate) fn printed(result: std::io::Result<()>) -> Exit {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(format_args!("stdout can't be written: {error}"));
            Exit::Failed
        }
        _ => Exit::Done,
    }
}

/// A runtime of one thread: handing events from one to another costs more than what a second could take
/// over. Disk calls have threads of their own.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    build(&mut Builder::new_current_thread())
}

/// A runtime for servers: one thread fewer than the machine has cores, at least one.
///
/// # Errors
/// When the environment asks for another number that makes no sense, or there can be no more threads.
pub(crate) fn wide_runtime() -> Result<Runtime, BoxError> {
    // One core is left to threads that write to disks and to the receivers' and clients' ends of connections:
    // on two cores a second worker mostly wakes the first.
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = match std::env::var_os(WORKERS) {
        None => cores.saturating_sub(1).max(1),
        Some(text) => workers(&text.to_string_lossy())?,
    };
    Ok(build(Builder::new_multi_thread().worker_threads(threads))?)
}

/// tokio's own variable; it panics at what it can't use, and tries to start as many threads as it is told.
const WORKERS: &str = "TOKIO_WORKER_THREADS";

/// More than any machine has cores.
const MOST_WORKERS: usize = 1024;

fn workers(text: &str) -> Result<usize, String> {
    let threads = text.trim().parse().ok().filter(|threads| (1..=MOST_WORKERS).contains(threads));
    threads.ok_or_else(|| {
        format!("{WORKERS}={text:?} in the environment: expected a number of threads from 1 to {MOST_WORKERS}; without it, one thread fewer than there are cores is taken")
    })
}

fn build(builder: &mut Builder) -> std::io::Result<Runtime> {
    descriptors::raise_limit();
    let runtime = builder.enable_all().build()?;
    let inside = runtime.enter();
    survive_file_limit()?;
    drop(inside);
    Ok(runtime)
}
