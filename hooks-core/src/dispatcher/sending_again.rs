//! What replays and resends share: events go through the hook's own worker once more, and their outcomes come back.

use tokio::sync::mpsc;
use uuid::Uuid;

use super::slot::Slot;
use crate::attempt::Trigger;
use crate::bus::{Delivery, Position};
use crate::envelope::Envelope;
use crate::worker::{Resend, Settlement};

/// A delivery of an event that is sent again.
pub(super) fn again(position: Position, event: &Envelope) -> Delivery {
    Delivery::new(position, &event.clone().into(), 0)
}

/// Events that are sent again, whose outcomes are not all known yet.
pub(super) struct SentAgain {
    settled: mpsc::Receiver<Settlement>,
    most: usize,
}

impl SentAgain {
    /// Gives events to the worker of a hook, in this run and for this reason.
    pub(super) fn by(slot: &Slot, run: Uuid, trigger: Trigger, deliveries: Vec<Delivery>) -> Self {
        // Each may come alone.
        let most = deliveries.len().max(1);
        let (reply_to, settled) = mpsc::channel(most);
        slot.resends.push(Resend { run, deliveries, trigger, reply_to });
        Self { settled, most }
    }

    /// The next outcomes that are known. `None`: nothing more is tried.
    pub(super) async fn next(&mut self) -> Option<Vec<Settlement>> {
        let mut some = Vec::new();
        (self.settled.recv_many(&mut some, self.most).await > 0).then_some(some)
    }
}
