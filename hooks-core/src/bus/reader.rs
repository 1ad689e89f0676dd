//! Reading the log.

use async_trait::async_trait;

use super::{BusError, Delivery, Subscription};

/// Reads the log for one hook.
#[async_trait]
pub trait Reader: Send {
    /// Waits for events, takes up to `max` deliveries and appends them to `into`.
    /// Waits, too, while [`WINDOW`](crate::bus::WINDOW) deliveries lie between the oldest unsettled and the newest read.
    ///
    /// # Errors
    /// When the log can't be read now. Call again after a pause.
    ///
    /// # Cancel safety
    /// A call that is dropped has taken nothing.
    async fn next(&mut self, max: usize, into: &mut Vec<Delivery>) -> Result<Read, BusError>;

    /// Closes the reader: from now on `next` takes the events that are there, then returns [`Read::Dry`].
    fn close(&mut self);

    /// Changes filter and limits for all unread events.
    fn reconfigure(&mut self, subscription: Subscription);

    /// Enables or disables the hook. A disabled hook keeps its events but delays no one: where its policy would make
    /// publishers wait, the bus drops its oldest events, and evicts them first when memory or disk is short.
    fn set_enabled(&mut self, enabled: bool);
}

/// The result of [`Reader::next`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Read {
    /// This many deliveries were appended, at least one.
    Events(usize),
    /// Nothing new, but a publisher waits for room: deliver the events in flight without waiting for more.
    Flush,
    /// The reader or its bus is closed and everything was read.
    Dry,
    /// Another instance owns the hook now: drop the events in flight and settle none.
    Lost,
}
