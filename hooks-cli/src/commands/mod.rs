//! What each command does.

pub(crate) mod check;
pub(crate) mod dead_letters;
#[cfg(all(feature = "http", feature = "file"))]
pub(crate) mod demo;
pub(crate) mod docs;
#[cfg(feature = "http")]
pub(crate) mod listen;
pub(crate) mod log;
pub(crate) mod operate;
pub(crate) mod pipe;
#[cfg(feature = "http")]
pub(crate) mod publish;
pub(crate) mod serve;
pub(crate) mod sinks;
pub(crate) mod test;

use std::io::Write as _;
use std::num::NonZeroUsize;

use tokio::runtime::{Builder, Runtime};

/// Prints data on stdout. A reader that has gone, `| head` say, is no error; anything else, a full disk say,
/// ends the process: what was asked for can't be given.
pub(crate) fn print(text: &str) {
    print_bytes(text.as_bytes());
}

/// As [`print()`], for what may be no UTF-8.
pub(crate) fn print_bytes(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    if let Err(error) = written
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        eprintln!("stdout can't be written: {error}");
        std::process::exit(1);
    }
}

/// A runtime of one thread: handing events from one to another costs more than what a second could take
/// over. Disk calls have threads of their own.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// A runtime for whoever serves many at once: one thread fewer than the machine has cores, at least one.
pub(crate) fn wide_runtime() -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    // One core is left to threads that write to disks and to the receivers' and clients' ends of connections:
    // on two cores a second worker mostly wakes the first. tokio's own variable says otherwise where it is set.
    if std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        builder.worker_threads(cores.saturating_sub(1).max(1));
    }
    builder.enable_all().build()
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
