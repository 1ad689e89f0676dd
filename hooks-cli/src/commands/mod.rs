//! What each command does.

pub(crate) mod check;
pub(crate) mod pipe;
pub(crate) mod serve;
pub(crate) mod sinks;
pub(crate) mod test;

use std::io::Write as _;

/// Prints data on stdout. A reader that has gone, `| head` say, is no error.
pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// The runtime that deliveries run on.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
