//! The phases of a test delivery, and how long each one takes.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use hooks_core::sink::Notes;

/// A part of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Resolve,
    Connect,
    Tls,
    FirstByte,
    Body,
}

/// Notes the phases of one attempt: each under its name, as soon as it begins, so that one which never ends
/// is seen, too.
pub(crate) struct Trace {
    notes: Notes,
    now: Mutex<Option<(Phase, Instant)>>,
}

impl Trace {
    pub(crate) fn new(notes: Notes) -> Self {
        Self { notes, now: Mutex::new(None) }
    }

    /// For what belongs to no phase.
    pub(crate) fn notes(&self) -> &Notes {
        &self.notes
    }

    /// A phase begins, and with it the one before is over.
    pub(crate) fn begin(&self, phase: Phase) {
        self.end("");
        self.notes.set(phase.to_string(), "begun, and not finished");
        *self.lock() = Some((phase, Instant::now()));
    }

    /// The phase is over; `with` says what came of it.
    pub(crate) fn end(&self, with: impl fmt::Display) {
        if let Some((phase, since)) = self.lock().take() {
            self.notes.set(phase.to_string(), format!("{:.1?}{with}", since.elapsed()));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Phase, Instant)>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "TLS",
            Self::FirstByte => "first byte",
            Self::Body => "body",
        })
    }
}
