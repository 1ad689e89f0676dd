//! A published slice, shared by all hooks that receive events of it.

use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use hooks_core::{Envelope, Position, Slice, bus::Delivery, envelope::BlockGuard};

use super::budget::Amount;
use super::picks::{Picks, size_of_one};

/// A slice with its positions in the log. Hooks share it and keep only the numbers of their events, so that a delivery
/// costs neither a reference count nor memory.
#[derive(Debug)]
pub(crate) struct Published {
    first: Position,
    slice: Slice,
    accepted: SystemTime,
    /// The reservation of the slice's memory, held while a hook has any event of it.
    _memory: BlockGuard,
}

impl Published {
    /// Gives the slice's events the positions from `first` on.
    pub(crate) fn new(first: u64, slice: Slice, accepted: SystemTime, memory: BlockGuard) -> Arc<Self> {
        Arc::new(Self { first: Position::new(first), slice, accepted, _memory: memory })
    }
}

#[cfg(feature = "durable")]
impl Published {
    /// The position of the first event.
    pub(crate) fn first(&self) -> u64 {
        self.first.get()
    }

    /// The position behind the last event.
    pub(crate) fn until(&self) -> u64 {
        self.first.get() + self.slice.len() as u64
    }

    pub(crate) fn bytes(&self) -> usize {
        self.slice.bytes()
    }

    /// The events with their positions.
    pub(crate) fn events(&self) -> impl Iterator<Item = (u64, &Envelope)> {
        (self.first.get()..).zip(&*self.slice)
    }
}

/// Consecutive picks of one hook in a slice.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    published: Arc<Published>,
    picks: Picks,
    /// Numbers of picks, or of the slice's events where the hook takes all.
    range: Range<u32>,
}

impl Run {
    /// All picks of a hook in a slice.
    pub(crate) fn new(published: &Arc<Published>, picks: Picks) -> Self {
        let range = 0..picks.len();
        Self { published: published.clone(), picks, range }
    }

    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    pub(crate) fn accepted(&self) -> SystemTime {
        self.published.accepted
    }

    /// The number of the first event.
    pub(crate) fn start(&self) -> u32 {
        self.range.start
    }

    /// Removes events from the front.
    pub(crate) fn skip(&mut self, events: u32) {
        self.range.start += events;
    }

    /// The position of the first event. The run must not be empty.
    pub(crate) fn first(&self) -> Position {
        self.position(self.range.start)
    }

    /// The position of the last event. The run must not be empty.
    pub(crate) fn last(&self) -> Position {
        self.position(self.range.end.saturating_sub(1))
    }

    /// Number of its events before a position.
    pub(crate) fn before(&self, position: Position) -> usize {
        self.range.clone().take_while(|at| self.position(*at) < position).count()
    }

    #[inline]
    pub(crate) fn position(&self, at: u32) -> Position {
        Position::new(self.published.first.get() + self.index(at) as u64)
    }

    #[inline]
    pub(crate) fn envelope(&self, at: u32) -> &Envelope {
        &self.published.slice[self.index(at)]
    }

    #[inline]
    fn index(&self, at: u32) -> usize {
        match &self.picks {
            Picks::All(_) => at as usize,
            Picks::Some(picks) => picks[at as usize] as usize,
        }
    }

    /// The number of the event at a position. Tries `hint` first.
    #[inline]
    pub(crate) fn find(&self, position: Position, hint: u32) -> Option<u32> {
        if self.range.contains(&hint) && self.position(hint) == position {
            return Some(hint);
        }
        let index = u32::try_from(position.get().checked_sub(self.published.first.get())?).ok()?;
        let at = match &self.picks {
            Picks::All(_) => index,
            Picks::Some(picks) => picks.binary_search(&index).ok()? as u32,
        };
        self.range.contains(&at).then_some(at)
    }

    /// Removes up to `count` events from the front and returns them.
    pub(crate) fn split(&mut self, count: usize) -> Self {
        let mid = self.range.start + count.min(self.len()) as u32;
        let front = Self { published: self.published.clone(), picks: self.picks.clone(), range: self.range.start..mid };
        self.range.start = mid;
        front
    }

    /// Appends the other run if it continues this one. Returns whether it did.
    pub(crate) fn join(&mut self, other: &Self) -> bool {
        let joins = Arc::ptr_eq(&self.published, &other.published)
            && self.picks.is(&other.picks)
            && self.range.end == other.range.start;
        if joins {
            self.range.end = other.range.end;
        }
        joins
    }

    /// Keeps the events for which `keep` is true. Returns the size of the removed ones.
    pub(crate) fn retain(&mut self, keep: impl Fn(u32, Position, &Envelope) -> bool) -> Amount {
        let number = |at: u32| self.index(at) as u32;
        let mut gone = Amount::default();
        // Usually all stay, and no list is needed.
        let mut kept: Option<Vec<u32>> = None;
        for at in self.range.clone() {
            if !keep(at, self.position(at), self.envelope(at)) {
                kept.get_or_insert_with(|| (self.range.start..at).map(number).collect());
                gone.add(size_of_one(self.envelope(at)));
            } else if let Some(kept) = &mut kept {
                kept.push(number(at));
            }
        }
        if let Some(kept) = kept {
            self.range = 0..kept.len() as u32;
            self.picks = Picks::Some(kept.into());
        }
        gone
    }

    pub(crate) fn size(&self) -> Amount {
        let mut size = Amount::default();
        self.range.clone().for_each(|at| size.add(size_of_one(self.envelope(at))));
        size
    }

    /// A delivery for each event.
    pub(crate) fn deliveries(&self) -> impl Iterator<Item = Delivery> {
        self.range.clone().map(|at| Delivery::new(self.position(at), &self.published.slice, self.index(at)))
    }
}

#[cfg(feature = "durable")]
impl Run {
    /// All events of a slice from one position up to another.
    pub(crate) fn between(published: &Arc<Published>, from: u64, to: u64) -> Self {
        let index = |position: u64| position.clamp(published.first(), published.until()) - published.first();
        let range = index(from) as u32..index(to) as u32;
        Self { published: published.clone(), picks: Picks::All(published.slice.len() as u32), range }
    }

    /// The numbers of its events.
    pub(crate) fn numbers(&self) -> Range<u32> {
        self.range.clone()
    }

    pub(crate) fn holds(&self, number: u32) -> bool {
        self.range.contains(&number)
    }
}
