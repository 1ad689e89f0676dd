//! The signals that a command listens to.

use std::io;

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

fn kind(number: Number) -> SignalKind {
    SignalKind::from_raw(number.as_raw())
}

/// The signals that end a command: SIGINT and SIGTERM.
#[derive(Debug)]
pub(crate) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
}

impl StopSignals {
    /// From now on these signals no longer end the process.
    pub(crate) fn new() -> io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hang_up: None })
    }

    /// SIGHUP, too, for a command in the foreground: its terminal has gone. Under `nohup` it goes on.
    pub(crate) fn with_hang_up() -> io::Result<Self> {
        let hang_up = if is_ignored(Number::HUP) { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { hang_up, ..Self::new()? })
    }

    /// Waits for the next one, and says which it was. Cancel safe.
    pub(crate) async fn next(&mut self) -> &'static str {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = hang_up => "SIGHUP",
        }
    }
}

/// SIGHUP.
#[derive(Debug)]
pub(crate) struct HangUpSignals(Signal);

impl HangUpSignals {
    /// From now on the signal no longer ends the process.
    pub(crate) fn new() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}

/// Signals that mean something to other programs and end those that don't know them: SIGUSR1 and SIGUSR2, which
/// scripts that rotate logs send, say.
#[derive(Debug)]
pub(crate) struct OtherSignals(Signal, Signal);

impl OtherSignals {
    /// From now on these signals no longer end the process.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?))
    }

    /// Waits for the next one, and says which it was. Cancel safe.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.0.recv() => "SIGUSR1",
            _ = self.1.recv() => "SIGUSR2",
        }
    }
}

/// From now on a file that would get longer than the system allows (`ulimit -f`, `LimitFSIZE`) is an error of the
/// write, which says so, and not the end of the process.
///
/// # Errors
/// When no signal can be listened to.
pub(crate) fn survive_file_limit() -> io::Result<()> {
    // Nobody has to receive it: that there is a handler is enough.
    signal(kind(Number::XFSZ)).map(drop)
}

/// True if the parent process wants the signal to be ignored.
fn is_ignored(number: Number) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (number.as_raw() - 1)) != 0)
}
