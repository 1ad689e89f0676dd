//! The outcome of publishing.

/// The outcome of a call of [`publish`](super::Bus::publish), all of whose events are accepted.
///
/// ```
/// use hooks_core::bus::Published;
///
/// let published = Published::new(5).duplicates(2);
/// assert_eq!((published.events, published.duplicates), (5, 2));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// The number of events.
    pub events: usize,
    /// The number of these that the bus had already, and did not take again.
    pub duplicates: usize,
}

impl Published {
    /// So many events, all of them new.
    pub fn new(events: usize) -> Self {
        Self { events, duplicates: 0 }
    }

    /// Sets the number of those that the bus had already.
    #[must_use]
    pub fn duplicates(mut self, events: usize) -> Self {
        self.duplicates = events;
        self
    }
}
