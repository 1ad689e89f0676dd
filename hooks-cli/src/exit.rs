//! The exit codes of the process.

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

impl Exit {
    /// Every way to end.
    pub(crate) const ALL: [Self; 4] = [Self::Done, Self::Failed, Self::Usage, Self::Config];

    /// The process's exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            // EX_CONFIG of sysexits.h.
            Self::Config => 78,
        }
    }

    /// Its meaning, for people.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Done => "Everything was done.",
            Self::Failed => "Something was not delivered, or could not be done.",
            Self::Usage => "The command line makes no sense.",
            Self::Config => "Something is wrong with the config file.",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
