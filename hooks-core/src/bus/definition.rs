//! The definition of a hook, as a bus keeps it.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::BusError;
use crate::id::HookId;
use crate::wrapper::wrapper;

/// Counts the changes of a hook's definition. It grows with each of them, and a hook that is defined again under the
/// name of one that was removed never has a revision of that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

wrapper! {
    Revision(u64),
    /// The revision of this number.
    new,
    /// The number.
    get
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The definition of a hook. A bus keeps it as it is, and never looks into its text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Definition {
    /// The hook.
    pub hook: HookId,
    /// The number of its last change.
    pub revision: Revision,
    /// The time when it was defined.
    pub created: SystemTime,
    /// The time of its last change.
    pub changed: SystemTime,
    /// Its settings: a JSON object, what a `[[hooks]]` table holds beside `id`. Secrets are sealed in it.
    pub text: Arc<str>,
}

impl Definition {
    /// A definition that was made at this time.
    pub fn new(hook: HookId, revision: Revision, text: impl Into<Arc<str>>, created: SystemTime) -> Self {
        Self { hook, revision, created, changed: created, text: text.into() }
    }

    /// The definition with the time of its last change: not before it was made, though a clock went back.
    #[must_use]
    pub fn changed(self, changed: SystemTime) -> Self {
        Self { changed: changed.max(self.created), ..self }
    }
}

/// The definition that a change expects to find.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Expected {
    /// Any, or none.
    #[default]
    Any,
    /// None.
    Absent,
    /// The one of this revision.
    At(Revision),
}

impl Expected {
    /// For buses: checks the current revision.
    ///
    /// # Errors
    /// [`DefineError::Conflict`] when another is expected.
    pub fn check(self, current: Option<Revision>) -> Result<(), DefineError> {
        let holds = match self {
            Self::Any => true,
            Self::Absent => current.is_none(),
            Self::At(revision) => current == Some(revision),
        };
        if holds { Ok(()) } else { Err(DefineError::Conflict { current }) }
    }
}

/// The reason why a hook was not defined or undefined.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DefineError {
    /// The definition is another one than [expected](Expected). Nothing was changed.
    #[error("{}", conflict(*current))]
    Conflict {
        /// The revision that it has. `None`: there is no definition.
        current: Option<Revision>,
    },
    /// The bus keeps no definitions.
    #[error("this bus keeps no definitions of hooks")]
    NotKept,
    /// The bus could not do it.
    #[error(transparent)]
    Bus(#[from] BusError),
}

fn conflict(current: Option<Revision>) -> String {
    match current {
        Some(revision) => format!("the hook was changed meanwhile: its revision is {revision} now"),
        None => "the hook is not defined any more".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_finds_what_it_expects_or_says_what_is_there() {
        let at = |number| Some(Revision::new(number));
        let expect = |expected: Expected, current| expected.check(current).map_err(|error| error.to_string());
        for current in [None, at(3)] {
            assert_eq!(expect(Expected::Any, current), Ok(()));
        }
        assert_eq!(expect(Expected::Absent, None), Ok(()));
        assert_eq!(expect(Expected::At(Revision::new(3)), at(3)), Ok(()));
        let changed = |number| Err(format!("the hook was changed meanwhile: its revision is {number} now"));
        assert_eq!(expect(Expected::Absent, at(3)), changed(3));
        assert_eq!(expect(Expected::At(Revision::new(2)), at(3)), changed(3));
        assert_eq!(expect(Expected::At(Revision::new(2)), None), Err("the hook is not defined any more".to_owned()));
    }
}
