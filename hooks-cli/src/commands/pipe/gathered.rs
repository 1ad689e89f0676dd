//! Events on their way from the input to the bus.

use hooks_core::Envelope;

/// Reading goes on this far, in bytes, while the bus is busy.
const GATHER: usize = 512 << 10;

/// What was read and not published yet.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) events: Vec<Envelope>,
    bytes: usize,
}

impl Gathered {
    pub(super) fn add(&mut self, events: Vec<Envelope>) {
        self.bytes += events.iter().map(Envelope::len).sum::<usize>();
        if self.events.is_empty() {
            self.events = events;
        } else {
            self.events.extend(events);
        }
    }

    /// Whether reading goes on.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < GATHER
    }
}
