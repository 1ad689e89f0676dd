//! A bound on events and bytes. Publishers wait for their share, first come, first served.

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

/// A limit, the amount in use, and the waiting publishers.
#[derive(Debug)]
pub(crate) struct Budget(Mutex<State>);

#[derive(Debug)]
struct State {
    limit: Amount,
    used: Amount,
    waiting: VecDeque<Waiter>,
    /// Every request is granted at once.
    open: bool,
}

#[derive(Debug)]
struct Waiter {
    need: Amount,
    granted: oneshot::Sender<Reservation>,
}

/// A reserved part of a budget. Dropping it releases the part; after [`commit`](Reservation::commit) only
/// [`release`](Budget::release) does.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    amount: Amount,
}

impl Reservation {
    pub(crate) fn commit(mut self) {
        self.amount = Amount::default();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.amount != Amount::default() {
            self.budget.release(self.amount);
        }
    }
}

impl Budget {
    pub(crate) fn new(limit: Amount) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { limit, used: Amount::default(), waiting: VecDeque::new(), open: false })))
    }

    /// Reserves an amount if it fits now and nobody waits.
    pub(crate) fn try_reserve(self: &Arc<Self>, need: Amount) -> Option<Reservation> {
        let mut state = self.0.lock();
        if !state.waiting.is_empty() || !state.fits(need) {
            return None;
        }
        state.used.add(need);
        drop(state);
        Some(Reservation { budget: self.clone(), amount: need })
    }

    /// Waits for an amount, in order of arrival. Cancel safe: a dropped call reserves nothing.
    pub(crate) async fn reserve(self: &Arc<Self>, need: Amount) -> Reservation {
        // Dropped after the receiver, so that the next waiter moves up when this call is dropped.
        let _grant = GrantOnDrop(self);
        let reservation = {
            let (granted, reservation) = oneshot::channel();
            self.0.lock().waiting.push_back(Waiter { need, granted });
            reservation
        };
        self.grant();
        match reservation.await {
            Ok(reservation) => reservation,
            // Cannot happen: the waiting list outlives its waiters. Reserving too much is safe.
            Err(_) => self.reserve_anyway(need),
        }
    }

    /// Reserves an amount even when that exceeds the limit.
    pub(crate) fn reserve_anyway(self: &Arc<Self>, need: Amount) -> Reservation {
        self.0.lock().used.add(need);
        Reservation { budget: self.clone(), amount: need }
    }

    /// Releases an amount.
    pub(crate) fn release(self: &Arc<Self>, amount: Amount) {
        self.0.lock().used.sub(amount);
        self.grant();
    }

    pub(crate) fn set_limit(self: &Arc<Self>, limit: Amount) {
        self.0.lock().limit = limit;
        self.grant();
    }

    /// Grants every request at once, or no longer.
    pub(crate) fn set_open(self: &Arc<Self>, open: bool) {
        self.0.lock().open = open;
        self.grant();
    }

    /// True while a publisher waits.
    pub(crate) fn has_waiters(&self) -> bool {
        !self.0.lock().waiting.is_empty()
    }

    /// True while more is in use than the limit.
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
            // A dropped call drops the reservation, which grants it to the next waiter.
            if let Some(Waiter { need, granted }) = waiter {
                let _ = granted.send(Reservation { budget: self.clone(), amount: need });
            }
        }
    }
}

/// Grants to the next waiters when dropped.
struct GrantOnDrop<'a>(&'a Arc<Budget>);

impl Drop for GrantOnDrop<'_> {
    fn drop(&mut self) {
        self.0.grant();
    }
}

impl State {
    /// An amount above the limit fits while nothing else is in use.
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
        let budget = Budget::new(amount(10, 1000));
        let all = budget.try_reserve(amount(10, 10)).unwrap();
        let mut large = Box::pin(budget.reserve(amount(8, 8)));
        assert!((&mut large).now_or_never().is_none());
        let mut small = Box::pin(budget.reserve(amount(3, 1)));
        assert!((&mut small).now_or_never().is_none());
        assert!(budget.try_reserve(amount(1, 1)).is_none());
        drop(all);
        let large = (&mut large).now_or_never().unwrap();
        assert!((&mut small).now_or_never().is_none());
        drop(large);
        assert!((&mut small).now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_takes_nothing() {
        let budget = Budget::new(amount(1, 1));
        let one = budget.try_reserve(amount(1, 1)).unwrap();
        let mut gone = Box::pin(budget.reserve(amount(1, 1)));
        assert!((&mut gone).now_or_never().is_none());
        drop(gone);
        let mut next = Box::pin(budget.reserve(amount(1, 1)));
        assert!((&mut next).now_or_never().is_none());
        drop(one);
        assert!((&mut next).now_or_never().is_some());
        assert_eq!(budget.used(), amount(0, 0));
    }

    #[tokio::test]
    async fn nobody_waits_for_what_somebody_needed_who_gave_up() {
        let budget = Budget::new(amount(10, 1000));
        let _half = budget.try_reserve(amount(5, 5)).unwrap();
        let mut gone = Box::pin(budget.reserve(amount(10, 10)));
        assert!((&mut gone).now_or_never().is_none());
        let mut next = Box::pin(budget.reserve(amount(5, 5)));
        assert!((&mut next).now_or_never().is_none());
        drop(gone);
        assert!((&mut next).now_or_never().is_some());
        assert!(!budget.has_waiters());
    }

    #[test]
    fn what_is_larger_than_the_limit_fits_alone() {
        let budget = Budget::new(amount(10, 100));
        let large = budget.try_reserve(amount(1, 500)).unwrap();
        assert!(budget.try_reserve(amount(1, 1)).is_none());
        drop(large);
        assert!(budget.try_reserve(amount(1, 1)).is_some());
    }

    proptest! {
        /// Reservations come and go in any order: the limit holds and nothing leaks.
        #[test]
        fn never_above_the_limit(needs in prop::collection::vec((1usize..5, 0usize..50, any::<bool>()), 1..60)) {
            let budget = Budget::new(amount(10, 100));
            let mut held: Vec<Reservation> = Vec::new();
            let mut waiting = Vec::new();
            for (events, bytes, back) in needs {
                let mut reservation = Box::pin({ let budget = budget.clone(); async move { budget.reserve(amount(events, bytes)).await } });
                match (&mut reservation).now_or_never() {
                    Some(reservation) => held.push(reservation),
                    None => waiting.push(reservation),
                }
                if back && !held.is_empty() {
                    held.remove(0);
                }
                waiting.retain_mut(|reservation| reservation.now_or_never().map(|reservation| held.push(reservation)).is_none());
                let used = budget.used();
                prop_assert!(used.events <= 10 && used.bytes <= 100);
                prop_assert_eq!(used.events, held.iter().map(|reservation| reservation.amount.events).sum::<usize>());
            }
            drop((held, waiting));
            prop_assert_eq!(budget.used(), amount(0, 0));
        }
    }
}
