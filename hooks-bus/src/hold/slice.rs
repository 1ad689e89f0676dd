//! What was published together, shared by all hooks that take any of it.

use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use hooks_core::{BlockGuard, Delivery, Envelope, Position};

use super::room::Amount;
use crate::plan::Picks;

/// Events of one call that stand in one block of memory. Each hook that takes any of them holds the slice and
/// which they are, so a delivery costs a hook no count of references and no memory of its own.
#[derive(Debug)]
pub(crate) struct Slice {
    first: Position,
    /// How many events of the call came before: picks count from the first of the call.
    base: u32,
    events: Vec<Envelope>,
    accepted: SystemTime,
    /// The claim on the block's memory: as long as a hook holds the slice.
    _memory: BlockGuard,
}

/// What an event takes of a bound.
pub(crate) fn size_of_one(envelope: &Envelope) -> Amount {
    Amount { events: 1, bytes: envelope.len() }
}

impl Slice {
    /// The events of a call, published at `first`, with the claim on the memory of each block.
    pub(crate) fn of_call(first: u64, events: &[Envelope], memory: Vec<BlockGuard>) -> Vec<Arc<Self>> {
        let accepted = SystemTime::now();
        let mut base = 0;
        let slices = blocks(events).zip(memory).map(|(events, memory)| {
            let first = Position(first + u64::from(base));
            let slice = Self { first, base, events: events.to_vec(), accepted, _memory: memory };
            base += events.len() as u32;
            Arc::new(slice)
        });
        slices.collect()
    }

    fn end(&self) -> u32 {
        self.base + self.events.len() as u32
    }
}

#[cfg(feature = "durable")]
impl Slice {
    /// Events in one block of memory, published at `first` and the positions behind it.
    pub(crate) fn new(first: u64, events: Vec<Envelope>, accepted: SystemTime, memory: BlockGuard) -> Arc<Self> {
        Arc::new(Self { first: Position(first), base: 0, events, accepted, _memory: memory })
    }

    /// The position of the first event.
    pub(crate) fn first(&self) -> u64 {
        self.first.0
    }

    /// The position behind the last event.
    pub(crate) fn until(&self) -> u64 {
        self.first.0 + self.events.len() as u64
    }

    pub(crate) fn bytes(&self) -> usize {
        self.events.iter().map(Envelope::len).sum()
    }

    /// Its events and where they are.
    pub(crate) fn events(&self) -> impl Iterator<Item = (u64, &Envelope)> {
        (self.first.0..).zip(&self.events)
    }
}

/// The events of each block of memory.
pub(crate) fn blocks(events: &[Envelope]) -> impl Iterator<Item = &[Envelope]> {
    events.chunk_by(|a, b| a.shares_block(b))
}

/// Events of a slice that one hook takes, in order: some that stand next to each other in its picks.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    slice: Arc<Slice>,
    picks: Picks,
    /// Of the picks; where these are all events, of the slice.
    range: Range<u32>,
}

impl Run {
    /// What a hook takes of a call.
    pub(crate) fn of_call<'a>(slices: &'a [Arc<Slice>], picks: &'a Picks) -> impl Iterator<Item = Self> + 'a {
        let run = |slice: &Arc<Slice>| {
            let range = match picks {
                Picks::All(_) => 0..slice.events.len() as u32,
                Picks::Some(picks) => {
                    let before = |end: u32| picks.partition_point(|at| *at < end) as u32;
                    before(slice.base)..before(slice.end())
                }
            };
            Self { slice: slice.clone(), picks: picks.clone(), range }
        };
        slices.iter().map(run).filter(|run| !run.is_empty())
    }

    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    pub(crate) fn accepted(&self) -> SystemTime {
        self.slice.accepted
    }

    /// Where in the range's numbers it begins.
    pub(crate) fn start(&self) -> u32 {
        self.range.start
    }

    /// Leaves out so many events from the front.
    pub(crate) fn skip(&mut self, events: u32) {
        self.range.start += events;
    }

    /// The position of the first event. A run that is kept is not empty.
    pub(crate) fn first(&self) -> Position {
        self.position(self.range.start)
    }

    /// The position of the last event. A run that is kept is not empty.
    pub(crate) fn last(&self) -> Position {
        self.position(self.range.end.saturating_sub(1))
    }

    #[inline]
    pub(crate) fn position(&self, at: u32) -> Position {
        Position(self.slice.first.0 + self.index(at) as u64)
    }

    #[inline]
    pub(crate) fn envelope(&self, at: u32) -> &Envelope {
        &self.slice.events[self.index(at)]
    }

    #[inline]
    fn index(&self, at: u32) -> usize {
        match &self.picks {
            Picks::All(_) => at as usize,
            Picks::Some(picks) => (picks[at as usize] - self.slice.base) as usize,
        }
    }

    /// Where the event at this position is. `hint` is looked at first.
    #[inline]
    pub(crate) fn find(&self, position: Position, hint: u32) -> Option<u32> {
        if self.range.contains(&hint) && self.position(hint) == position {
            return Some(hint);
        }
        let index = u32::try_from(position.0.checked_sub(self.slice.first.0)?).ok()?;
        let at = match &self.picks {
            Picks::All(_) => index,
            Picks::Some(picks) => picks.binary_search(&index.checked_add(self.slice.base)?).ok()? as u32,
        };
        self.range.contains(&at).then_some(at)
    }

    /// Takes so many events from the front.
    pub(crate) fn split(&mut self, count: usize) -> Self {
        let mid = self.range.start + count.min(self.len()) as u32;
        let front = Self { slice: self.slice.clone(), picks: self.picks.clone(), range: self.range.start..mid };
        self.range.start = mid;
        front
    }

    /// Takes the other one in, if it goes on where this one ends.
    pub(crate) fn join(&mut self, other: &Self) -> bool {
        let joins = Arc::ptr_eq(&self.slice, &other.slice)
            && self.picks.is(&other.picks)
            && self.range.end == other.range.start;
        if joins {
            self.range.end = other.range.end;
        }
        joins
    }

    /// Leaves the events for which `keep` says so, and returns the size of the others.
    pub(crate) fn retain(&mut self, keep: impl Fn(u32, Position, &Envelope) -> bool) -> Amount {
        let number = |at: u32| self.slice.base + self.index(at) as u32;
        let mut gone = Amount::default();
        // Most often all stay, and nothing has to be written down.
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

    /// All events, to be delivered.
    pub(crate) fn deliveries(&self) -> impl Iterator<Item = Delivery> {
        self.range.clone().map(|at| Delivery { position: self.position(at), envelope: self.envelope(at).clone() })
    }
}

#[cfg(feature = "durable")]
impl Run {
    /// All events of a slice from one position up to another.
    pub(crate) fn between(slice: &Arc<Slice>, from: u64, to: u64) -> Self {
        let index = |position: u64| position.clamp(slice.first(), slice.until()) - slice.first();
        let range = index(from) as u32..index(to) as u32;
        Self { slice: slice.clone(), picks: Picks::All(slice.events.len() as u32), range }
    }

    /// The numbers of its events.
    pub(crate) fn numbers(&self) -> Range<u32> {
        self.range.clone()
    }

    pub(crate) fn holds(&self, number: u32) -> bool {
        self.range.contains(&number)
    }
}
