//! How the process ends.

use std::process::ExitCode;

/// The exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was done.
    Done,
    /// Something was not delivered, or could not be done.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// Something is wrong with the config file.
    Config,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            // EX_CONFIG of sysexits.h.
            Exit::Config => 78,
        })
    }
}
