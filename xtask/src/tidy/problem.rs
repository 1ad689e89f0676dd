//! Something that breaks a rule.

use std::fmt;

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// File and line, or what else has to change.
    pub(super) place: String,
    pub(super) what: String,
    pub(super) advice: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    {}", self.place, self.what, self.advice)
    }
}
