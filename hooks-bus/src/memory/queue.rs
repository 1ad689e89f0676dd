//! A hook's unread events.

use std::collections::VecDeque;

use hooks_core::Filter;

use crate::buffer::budget::Amount;
use crate::buffer::published::Run;

/// Runs of events, oldest first; none is empty.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    runs: VecDeque<Run>,
    events: usize,
}

impl Queue {
    /// Number of events.
    pub(crate) fn len(&self) -> usize {
        self.events
    }

    pub(crate) fn first(&self) -> Option<&Run> {
        self.runs.front()
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter()
    }

    pub(crate) fn push(&mut self, run: Run) {
        self.events += run.len();
        self.runs.push_back(run);
    }

    pub(crate) fn push_front(&mut self, run: Run) {
        self.events += run.len();
        self.runs.push_front(run);
    }

    /// Removes up to `most` events of the first run.
    pub(crate) fn pop(&mut self, most: usize) -> Option<Run> {
        let front = self.runs.front_mut()?;
        let run = if front.len() <= most { self.runs.pop_front()? } else { front.split(most) };
        self.events -= run.len();
        Some(run)
    }

    /// Removes events that do not match. Returns their size.
    pub(crate) fn filter(&mut self, filter: &Filter) -> Amount {
        let mut gone = Amount::default();
        self.runs.retain_mut(|run| {
            gone.add(run.retain(|_, _, envelope| filter.matches(envelope)));
            !run.is_empty()
        });
        self.events -= gone.events;
        gone
    }

    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Run> {
        self.events = 0;
        std::mem::take(&mut self.runs).into_iter()
    }
}
