//! The log: events that one hook at least has not settled.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Poll, Waker};
use std::time::SystemTime;

use hooks_core::{
    BusError, DropReason, HookId, Position, Slice, StartAt,
    bus::{Delivery, Read, Subscription},
};

use super::cursor::Cursor;

#[derive(Default)]
pub(super) struct Log {
    max_events: usize,
    /// Each event with the time when it was accepted.
    events: VecDeque<(SystemTime, Delivery)>,
    /// Position of the first of them. The others follow without a gap.
    first: u64,
    pub(super) cursors: BTreeMap<HookId, Cursor>,
    /// Number of readers that there were.
    readers: u64,
    closed: bool,
}

impl Log {
    pub(super) fn new(max_events: usize) -> Self {
        Self { max_events, ..Self::default() }
    }

    /// Position of the next event.
    pub(super) fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    pub(super) fn publish(&mut self, slice: &Slice) -> Result<(), BusError> {
        if self.closed {
            return Err(BusError::Closed);
        }
        self.free_space(slice.len())?;
        let (now, positions) = (SystemTime::now(), (self.end()..).map(Position::new));
        self.events
            .extend(positions.zip(0..slice.len()).map(|(position, at)| (now, Delivery::new(position, slice, at))));
        self.cursors.values_mut().for_each(Cursor::wake);
        Ok(())
    }

    /// Frees space for this many events. A disabled hook must delay no one, so it loses its oldest events.
    fn free_space(&mut self, events: usize) -> Result<(), BusError> {
        let max = self.max_events;
        if events > max {
            return Err(BusError::TooLarge(format!("{events} events at once, and the log holds {max} (`max_events`)")));
        }
        let excess = (self.events.len() + events).saturating_sub(max);
        let Self { events, cursors, .. } = self;
        let blocks = |cursor: &Cursor| events.range(..excess).any(|(_, event)| cursor.blocks(event));
        let blocking = cursors.iter_mut().filter(|(_, cursor)| blocks(cursor));
        let asked = blocking.map(|(hook, cursor)| {
            cursor.request_flush();
            hook
        });
        if let Some(hook) = asked.last() {
            return Err(BusError::Full(format!(
                "the log holds {max} events (`max_events`), and hook `{hook}` has not settled the oldest: wait until it \
                 has caught up, or disable it"
            )));
        }
        for (_, event) in events.drain(..excess) {
            cursors.values_mut().for_each(|cursor| cursor.lose(&event));
        }
        self.first += excess as u64;
        Ok(())
    }

    /// Removes the events that every hook has settled.
    fn forget_settled(&mut self) {
        let needed = self.cursors.values().map(Cursor::needed).min().unwrap_or(self.end());
        self.events.drain(..(needed - self.first) as usize);
        self.first = needed;
    }

    /// Gives a hook to a new reader. Returns the reader's number.
    pub(super) fn subscribe(&mut self, subscription: Subscription) -> Result<u64, BusError> {
        // A closed bus still lets a known hook read the rest.
        if self.closed && !self.cursors.contains_key(&subscription.hook) {
            return Err(BusError::Closed);
        }
        let next = match subscription.from {
            StartAt::End => self.end(),
            from => {
                let since = from.since(SystemTime::now());
                let older = self.events.iter().take_while(|(accepted, _)| since.is_some_and(|since| *accepted < since));
                self.first + older.count() as u64
            }
        };
        let cursor = self.cursors.entry(subscription.hook).or_insert_with(|| Cursor::at(next));
        self.readers += 1;
        cursor.take_over(self.readers, subscription.filter, subscription.ledger);
        Ok(self.readers)
    }

    /// Removes a hook, with the events that it has not settled.
    pub(super) fn unsubscribe(&mut self, hook: &HookId) {
        let Some(mut cursor) = self.cursors.remove(hook) else { return };
        let left = self.unsettled(&cursor).count();
        cursor.ledger.take(left - cursor.in_flight.len());
        cursor.ledger.give_up(left, DropReason::Removed);
        cursor.wake();
        self.forget_settled();
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.cursors.values_mut().for_each(Cursor::wake);
    }

    /// Reads for this reader of the hook, or wakes it later.
    pub(super) fn poll_next(
        &mut self,
        hook: &HookId,
        reader: u64,
        waker: &Waker,
        max: usize,
        into: &mut Vec<Delivery>,
    ) -> Poll<Read> {
        let end = self.end();
        let Some(cursor) = self.cursors.get_mut(hook) else { return Poll::Ready(Read::Dry) };
        if cursor.reader != reader {
            return Poll::Ready(Read::Lost);
        }
        let (before, end) = (into.len(), cursor.end.unwrap_or(end));
        while into.len() < before + max
            && let Some(position) = cursor.step(end)
        {
            let (_, event) = &self.events[(position - self.first) as usize];
            into.extend(cursor.take(event));
        }
        let count = into.len() - before;
        let asked = std::mem::take(&mut cursor.flush) && !cursor.in_flight.is_empty();
        let is_dry = (self.closed || cursor.end.is_some()) && cursor.next >= end;
        cursor.waker = Some(waker.clone());
        self.forget_settled();
        match count {
            0 if asked => Poll::Ready(Read::Flush),
            0 if is_dry => Poll::Ready(Read::Dry),
            0 => Poll::Pending,
            count => Poll::Ready(Read::Events(count)),
        }
    }

    /// Returns how many of these were unsettled.
    pub(super) fn settle(&mut self, hook: &HookId, positions: &[Position]) -> usize {
        let Some(cursor) = self.cursors.get_mut(hook) else { return 0 };
        let settled = cursor.settle(positions);
        self.forget_settled();
        settled
    }

    /// The events that a hook has yet to read or to settle.
    pub(super) fn unsettled<'a>(&'a self, cursor: &'a Cursor) -> impl Iterator<Item = &'a (SystemTime, Delivery)> {
        let is_in_flight = |event: &Delivery| cursor.in_flight.contains(&event.position.get());
        self.events.iter().filter(move |(_, event)| is_in_flight(event) || cursor.wants(event))
    }
}
