//! The errors of a dispatcher.

use std::time::Duration;

use crate::bus::{BusError, Revision, SeekError};
use crate::delivery::DeliveryError;
use crate::envelope::EnvelopeError;
use crate::id::HookId;

/// The reason why a test delivery did not arrive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// There is no hook of this name.
    #[error("there is no hook `{0}`")]
    UnknownHook(HookId),
    /// The sink takes no test events.
    #[error("hook `{hook}`: its sink `{sink}` takes no test events")]
    TestUnsupported {
        /// The hook.
        hook: HookId,
        /// The kind of its sink.
        sink: String,
    },
    /// The sink can't show what it would send.
    #[error("hook `{hook}`: its sink `{sink}` can't show what it would send")]
    PreviewUnsupported {
        /// The hook.
        hook: HookId,
        /// The kind of its sink.
        sink: String,
    },
    /// The test event could not be built.
    #[error("the test event could not be built")]
    Event(#[from] EnvelopeError),
    /// The attempt failed.
    #[error("the test delivery failed after {took:?}")]
    Failed {
        /// The error of the attempt.
        #[source]
        error: DeliveryError,
        /// Duration of the attempt.
        took: Duration,
        /// The sink's notes: names and texts, for people.
        notes: Vec<(String, String)>,
    },
}

/// The reason why dead letters were not replayed or dropped, or past events not sent again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// There is no hook of this name.
    #[error("there is no hook `{0}`")]
    UnknownHook(HookId),
    /// The bus keeps no dead letters.
    #[error("hook `{0}`: its bus keeps no dead letters")]
    Unsupported(HookId),
    /// A disabled hook delivers nothing.
    #[error("hook `{0}` is disabled: enable it first")]
    Disabled(HookId),
    /// The bus keeps no past.
    #[error("hook `{0}`: its bus keeps no past events that could be sent again")]
    NoPast(HookId),
    /// The past can't be read.
    #[error("hook `{hook}`: the past events can't be read")]
    Past {
        /// The hook.
        hook: HookId,
        /// The error of the bus.
        #[source]
        error: BusError,
    },
    /// The dead letters can't be read or removed.
    #[error("hook `{hook}`: its dead letters can't be read or removed")]
    Store {
        /// The hook.
        hook: HookId,
        /// The error of the bus.
        #[source]
        error: BusError,
    },
}

/// The reason why a hook could not be added, replaced or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DispatchError {
    /// There is a hook of this name already.
    #[error("there is a hook `{0}` already")]
    Duplicate(HookId),
    /// There is no hook of this name.
    #[error("there is no hook `{0}`")]
    UnknownHook(HookId),
    /// The hook's settings or its sink's are wrong.
    #[error("hook `{hook}`: {}", problems.join("; "))]
    Invalid {
        /// The hook.
        hook: HookId,
        /// The errors, each with the path of the setting.
        problems: Vec<String>,
    },
    /// The bus keeps a definition of a hook of this name.
    #[error("hook `{0}` is defined on the bus already: choose another name, or undefine it first")]
    Defined(HookId),
    /// The hook was added without a definition, so nothing can define it: its name is taken.
    #[error("there is a hook `{0}` already, which is not kept by the bus")]
    NotDefined(HookId),
    /// The hook's definition is not the expected one. Nothing was changed.
    #[error("{}", conflict(hook, *current))]
    Conflict {
        /// The hook.
        hook: HookId,
        /// The revision that its definition has. `None`: it is not defined.
        current: Option<Revision>,
    },
    /// The bus keeps no definitions of hooks.
    #[error("this bus keeps no definitions of hooks")]
    NotKept,
    /// The definitions of hooks can't be read from the bus.
    #[error("the definitions of hooks can't be read from the bus")]
    Definitions(#[source] BusError),
    /// The hook was enabled or disabled, and the bus can't keep that.
    #[error(
        "hook `{hook}`: the bus can't keep that it was enabled or disabled: that holds in this process alone, until it ends"
    )]
    NotRemembered {
        /// The hook.
        hook: HookId,
        /// The error of the bus.
        #[source]
        error: BusError,
    },
    /// The hook was not moved to another place: it is where it was, and goes on.
    #[error("hook `{hook}` was not moved")]
    NotMoved {
        /// The hook.
        hook: HookId,
        /// The reason.
        #[source]
        error: SeekError,
    },
    /// The dispatcher was shut down.
    #[error("the dispatcher is shut down")]
    ShutDown,
    /// The bus refused.
    #[error("hook `{hook}`: the bus refused")]
    Bus {
        /// The hook.
        hook: HookId,
        /// The error of the bus.
        #[source]
        error: BusError,
    },
}

fn conflict(hook: &HookId, current: Option<Revision>) -> String {
    match current {
        Some(revision) => format!("hook `{hook}` was changed meanwhile: its revision is {revision} now"),
        None => format!("hook `{hook}` is not defined any more"),
    }
}
