//! A bound in events and bytes that publishers wait at, first come, first served.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// A number of events and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

impl Amount {
    pub(crate) fn bytes(bytes: usize) -> Self {
        Self { events: 0, bytes }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
    }

    pub(crate) fn sub(&mut self, other: Self) {
        self.events -= other.events;
        self.bytes -= other.bytes;
    }
}

/// How much room there is, who has it and who waits for it.
#[derive(Debug)]
pub(crate) struct Room(Mutex<State>);

#[derive(Debug)]
struct State {
    limit: Amount,
    used: Amount,
    waiting: VecDeque<Waiter>,
    /// Nobody waits any more: whoever asks gets room.
    open: bool,
}

#[derive(Debug)]
struct Waiter {
    need: Amount,
    granted: oneshot::Sender<Claim>,
}

/// Room that somebody has. Dropping it gives the room back; [`keep`](Claim::keep) keeps it until it is
/// [released](Room::release).
#[derive(Debug)]
pub(crate) struct Claim {
    room: Arc<Room>,
    amount: Amount,
}

impl Claim {
    pub(crate) fn keep(mut self) {
        self.amount = Amount::default();
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.amount != Amount::default() {
            self.room.release(self.amount);
        }
    }
}

impl Room {
    pub(crate) fn new(limit: Amount) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { limit, used: Amount::default(), waiting: VecDeque::new(), open: false })))
    }

    /// Room, if there is some now and nobody else waits for it.
    pub(crate) fn try_claim(self: &Arc<Self>, need: Amount) -> Option<Claim> {
        let mut state = self.0.lock();
        if !state.waiting.is_empty() || !state.fits(need) {
            return None;
        }
        state.used.add(need);
        drop(state);
        Some(Claim { room: self.clone(), amount: need })
    }

    /// Waits for room, behind whoever came first. Cancel safe: a dropped call claims nothing.
    pub(crate) async fn claim(self: &Arc<Self>, need: Amount) -> Claim {
        // Dropped after the receiver: whoever waits behind a call that was dropped moves up.
        let _moves_up = MovesUp(self);
        let claim = {
            let (granted, claim) = oneshot::channel();
            self.0.lock().waiting.push_back(Waiter { need, granted });
            claim
        };
        self.grant();
        match claim.await {
            Ok(claim) => claim,
            // Cannot happen: the waiting list outlives its waiters. Claiming too much is safe.
            Err(_) => self.take(need),
        }
    }

    /// Takes room whether there is any or not.
    pub(crate) fn take(self: &Arc<Self>, need: Amount) -> Claim {
        self.0.lock().used.add(need);
        Claim { room: self.clone(), amount: need }
    }

    /// Gives room back.
    pub(crate) fn release(self: &Arc<Self>, amount: Amount) {
        self.0.lock().used.sub(amount);
        self.grant();
    }

    pub(crate) fn set_limit(self: &Arc<Self>, limit: Amount) {
        self.0.lock().limit = limit;
        self.grant();
    }

    /// Lets everybody through from now on, or no longer.
    pub(crate) fn set_open(self: &Arc<Self>, open: bool) {
        self.0.lock().open = open;
        self.grant();
    }

    /// Whether somebody waits for room.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.0.lock().waiting.is_empty()
    }

    /// Whether more is taken than the limit allows.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.0.lock();
        state.used.events > state.limit.events || state.used.bytes > state.limit.bytes
    }

    pub(crate) fn limit(&self) -> Amount {
        self.0.lock().limit
    }

    pub(crate) fn used(&self) -> Amount {
        self.0.lock().used
    }

    fn grant(self: &Arc<Self>) {
        loop {
            let waiter = {
                let mut state = self.0.lock();
                while state.waiting.front().is_some_and(|waiter| waiter.granted.is_closed()) {
                    state.waiting.pop_front();
                }
                let Some(need) = state.waiting.front().map(|waiter| waiter.need) else { return };
                if !state.fits(need) {
                    return;
                }
                state.used.add(need);
                state.waiting.pop_front()
            };
            // Whoever no longer waits drops the claim, which gives the room to the next.
            if let Some(Waiter { need, granted }) = waiter {
                let _ = granted.send(Claim { room: self.clone(), amount: need });
            }
        }
    }
}

/// Looks at who waits when it is dropped.
struct MovesUp<'a>(&'a Arc<Room>);

impl Drop for MovesUp<'_> {
    fn drop(&mut self) {
        self.0.grant();
    }
}

impl State {
    /// What alone is larger than the limit fits when nothing else is there.
    fn fits(&self, need: Amount) -> bool {
        let within = self.used.events.saturating_add(need.events) <= self.limit.events
            && self.used.bytes.saturating_add(need.bytes) <= self.limit.bytes;
        within || self.open || self.used == Amount::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    fn amount(events: usize, bytes: usize) -> Amount {
        Amount { events, bytes }
    }

    #[tokio::test]
    async fn first_come_first_served_and_nobody_overtakes() {
        let room = Room::new(amount(10, 1000));
        let all = room.try_claim(amount(10, 10)).unwrap();
        let mut large = Box::pin(room.claim(amount(8, 8)));
        assert!((&mut large).now_or_never().is_none());
        let mut small = Box::pin(room.claim(amount(3, 1)));
        assert!((&mut small).now_or_never().is_none());
        assert!(room.try_claim(amount(1, 1)).is_none());
        drop(all);
        let large = (&mut large).now_or_never().unwrap();
        assert!((&mut small).now_or_never().is_none());
        drop(large);
        assert!((&mut small).now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_takes_nothing() {
        let room = Room::new(amount(1, 1));
        let one = room.try_claim(amount(1, 1)).unwrap();
        let mut gone = Box::pin(room.claim(amount(1, 1)));
        assert!((&mut gone).now_or_never().is_none());
        drop(gone);
        let mut next = Box::pin(room.claim(amount(1, 1)));
        assert!((&mut next).now_or_never().is_none());
        drop(one);
        assert!((&mut next).now_or_never().is_some());
        assert_eq!(room.used(), amount(0, 0));
    }

    #[tokio::test]
    async fn nobody_waits_for_what_somebody_needed_who_gave_up() {
        let room = Room::new(amount(10, 1000));
        let _half = room.try_claim(amount(5, 5)).unwrap();
        let mut gone = Box::pin(room.claim(amount(10, 10)));
        assert!((&mut gone).now_or_never().is_none());
        let mut next = Box::pin(room.claim(amount(5, 5)));
        assert!((&mut next).now_or_never().is_none());
        drop(gone);
        assert!((&mut next).now_or_never().is_some());
        assert!(!room.is_wanted());
    }

    #[test]
    fn what_is_larger_than_the_limit_fits_alone() {
        let room = Room::new(amount(10, 100));
        let large = room.try_claim(amount(1, 500)).unwrap();
        assert!(room.try_claim(amount(1, 1)).is_none());
        drop(large);
        assert!(room.try_claim(amount(1, 1)).is_some());
    }

    proptest! {
        /// Claims come and go in any order: the limit holds and nothing leaks.
        #[test]
        fn never_above_the_limit(needs in prop::collection::vec((1usize..5, 0usize..50, any::<bool>()), 1..60)) {
            let room = Room::new(amount(10, 100));
            let mut held: Vec<Claim> = Vec::new();
            let mut waiting = Vec::new();
            for (events, bytes, back) in needs {
                let mut claim = Box::pin({ let room = room.clone(); async move { room.claim(amount(events, bytes)).await } });
                match (&mut claim).now_or_never() {
                    Some(claim) => held.push(claim),
                    None => waiting.push(claim),
                }
                if back && !held.is_empty() {
                    held.remove(0);
                }
                waiting.retain_mut(|claim| claim.now_or_never().map(|claim| held.push(claim)).is_none());
                let used = room.used();
                prop_assert!(used.events <= 10 && used.bytes <= 100);
                prop_assert_eq!(used.events, held.iter().map(|claim| claim.amount.events).sum::<usize>());
            }
            drop((held, waiting));
            prop_assert_eq!(room.used(), amount(0, 0));
        }
    }
}
