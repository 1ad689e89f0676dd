//! The phases of making a connection, or of a whole test delivery, and how long each one takes.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use hooks_core::{Phase, Phases, sink::Notes};

/// Measures phases. With notes, which a test delivery has, it notes each under its name as soon as it begins, so that one
/// which never ends is seen, too.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    notes: Option<Notes>,
    state: Mutex<State>,
    address: OnceLock<Arc<str>>,
}

#[derive(Debug, Default)]
struct State {
    now: Option<(Phase, Instant)>,
    phases: Phases,
}

impl Trace {
    pub(crate) fn with_notes(notes: Notes) -> Self {
        Self { notes: Some(notes), ..Self::default() }
    }

    /// A note about what belongs to no phase.
    pub(crate) fn note(&self, name: impl Into<String>, text: impl Into<String>) {
        if let Some(notes) = &self.notes {
            notes.add(name, text);
        }
    }

    /// A phase begins, and with it the one before is over.
    pub(crate) fn begin(&self, phase: Phase) {
        self.end("");
        self.notes.iter().for_each(|notes| notes.set(phase.name(), "begun, and not finished"));
        self.lock().now = Some((phase, Instant::now()));
    }

    /// The phase is over; `with` says what came of it.
    pub(crate) fn end(&self, with: impl fmt::Display) {
        let mut state = self.lock();
        let Some((phase, since)) = state.now.take() else { return };
        let took = since.elapsed();
        state.phases.set(phase, took);
        self.notes.iter().for_each(|notes| notes.set(phase.name(), format!("{took:.1?}{with}")));
    }

    /// The phases that are over.
    pub(crate) fn phases(&self) -> Phases {
        self.lock().phases
    }

    /// The other end of the connection.
    pub(crate) fn reached(&self, address: Arc<str>) {
        let _ = self.address.set(address);
    }

    /// The other end, if a connection came about.
    pub(crate) fn address(&self) -> Option<Arc<str>> {
        self.address.get().cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
