//! Limits connections. There are so many places; who comes when all are taken waits in the lobby, where health
//! and metrics are answered. The lobby is small: a client that does nothing there has to go for the next one. A client
//! that wants to publish gets the place of one that does nothing, or of the next that is done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout};

/// All places, and the lobby.
#[derive(Debug)]
pub(crate) struct Places {
    /// One for each place and each seat in the lobby.
    free: Arc<Semaphore>,
    size: usize,
    lobby: usize,
    guests: Mutex<Guests>,
    /// Told when a client left, so that one that waits may have a place.
    left: Notify,
    begun: Instant,
}

/// The clients, in the order in which they came.
#[derive(Debug, Default)]
struct Guests {
    next: u64,
    placed: BTreeMap<u64, Arc<Guest>>,
    lobby: BTreeMap<u64, Arc<Guest>>,
    /// The number in the lobby that wait for a place.
    waiting: usize,
}

/// A connection.
#[derive(Debug)]
struct Guest {
    /// Since when it does nothing, in milliseconds of the places' time; `BUSY` while a request is answered.
    idle_since: AtomicU64,
    leaves: watch::Sender<bool>,
}

const BUSY: u64 = u64::MAX;

impl Places {
    pub(crate) fn new(size: usize, lobby: usize) -> Self {
        let free = Arc::new(Semaphore::new((size + lobby).min(Semaphore::MAX_PERMITS)));
        Self { free, size, lobby, guests: Mutex::default(), left: Notify::new(), begun: Instant::now() }
    }

    /// Takes a connection in; where there is no room at all, a client in the lobby leaves for it.
    pub(super) async fn enter(self: &Arc<Self>) -> Seat {
        let permit = match self.free.clone().try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                self.clear_a_seat();
                // Never closed.
                self.free.clone().acquire_owned().await.ok()
            }
        };
        let guest = Arc::new(Guest { idle_since: AtomicU64::new(self.now()), leaves: watch::Sender::new(false) });
        let mut guests = self.guests.lock();
        let number = guests.next;
        guests.next += 1;
        // Those who wait come first.
        let is_placed = guests.placed.len() + guests.waiting < self.size;
        let room = if is_placed { &mut guests.placed } else { &mut guests.lobby };
        room.insert(number, guest.clone());
        drop(guests);
        Seat { places: self.clone(), number, guest, _permit: permit }
    }

    /// Clears a seat: that of the client idle for the longest time, where most do nothing; else the first one's:
    /// beside a crowd that waits for places, those who do nothing are those who have just come, and probes among them.
    fn clear_a_seat(&self) {
        let mut guests = self.guests.lock();
        let most_are_idle = 2 * idle(&guests.lobby).count() > self.lobby;
        let longest = most_are_idle.then(|| longest_idle(&guests.lobby)).flatten();
        let number = longest.or_else(|| guests.lobby.keys().next().copied());
        if let Some(guest) = number.and_then(|number| guests.lobby.remove(&number)) {
            guest.leaves.send_replace(true);
        }
    }

    /// Makes the one that did nothing for the longest time leave. False when all are busy.
    pub(super) fn dismiss_idle(&self) -> bool {
        let guests = self.guests.lock();
        let guest = longest_idle(&guests.placed).and_then(|number| guests.placed.get(&number));
        guest.map(|guest| guest.leaves.send_replace(true)).is_some()
    }

    /// Waits until all have left.
    pub(super) async fn empty(&self) {
        let all = u32::try_from(self.size + self.lobby).unwrap_or(u32::MAX);
        let _ = self.free.acquire_many(all).await;
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(BUSY - 1)
    }
}

/// A client that does nothing, and since when: of those who were not asked to leave yet.
fn idle(guests: &BTreeMap<u64, Arc<Guest>>) -> impl Iterator<Item = (u64, u64)> {
    let since = |(number, guest): (&u64, &Arc<Guest>)| (guest.idle_since.load(Ordering::Relaxed), *number);
    guests.iter().filter(|(_, guest)| !*guest.leaves.borrow()).map(since).filter(|(since, _)| *since != BUSY)
}

fn longest_idle(guests: &BTreeMap<u64, Arc<Guest>>) -> Option<u64> {
    idle(guests).min().map(|(_, number)| number)
}

/// The place of a connection, or its seat in the lobby.
#[derive(Debug)]
pub(super) struct Seat {
    places: Arc<Places>,
    number: u64,
    guest: Arc<Guest>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Seat {
    pub(super) fn set_busy(&self, busy: bool) {
        let since = if busy { BUSY } else { self.places.now() };
        self.guest.idle_since.store(since, Ordering::Relaxed);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.guest.idle_since.load(Ordering::Relaxed) == BUSY
    }

    /// Waits until this connection has to leave. Cancel safe.
    pub(super) async fn dismissed(&self) {
        // The sender lives as long as self.
        let _ = self.guest.leaves.subscribe().wait_for(|leaves| *leaves).await;
    }

    /// True if the connection may go on after this answer: others wait for its place, or it has none.
    pub(super) fn may_stay(&self) -> bool {
        let guests = self.places.guests.lock();
        guests.waiting == 0 && guests.placed.contains_key(&self.number)
    }

    pub(super) fn is_placed(&self) -> bool {
        self.places.guests.lock().placed.contains_key(&self.number)
    }

    /// Waits for a place, for so long. False when there was none, or somebody else needed the seat.
    pub(super) async fn settle(&self, limit: Duration) -> bool {
        if self.is_placed() {
            return true;
        }
        let waiting = Waiting::new(&self.places);
        self.places.dismiss_idle();
        let placed = async {
            loop {
                let left = self.places.left.notified();
                if waiting.take(self.number) {
                    return true;
                }
                left.await;
            }
        };
        tokio::select! {
            biased;
            () = self.dismissed() => false,
            placed = timeout(limit, placed) => placed.unwrap_or(false),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut guests = self.places.guests.lock();
        guests.placed.remove(&self.number);
        guests.lobby.remove(&self.number);
        drop(guests);
        self.places.left.notify_waiters();
    }
}

/// Somebody in the lobby who waits for a place.
struct Waiting<'a>(&'a Places);

impl<'a> Waiting<'a> {
    fn new(places: &'a Places) -> Self {
        places.guests.lock().waiting += 1;
        Self(places)
    }

    fn take(&self, number: u64) -> bool {
        let mut guests = self.0.guests.lock();
        if guests.placed.len() >= self.0.size {
            return false;
        }
        let Some(guest) = guests.lobby.remove(&number) else { return false };
        guests.placed.insert(number, guest);
        true
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.guests.lock().waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody comes, and the one of these who has to go for that goes.
    async fn comes(places: &Arc<Places>, seats: &mut Vec<Seat>) -> Option<u64> {
        let goes = async {
            let leaving = futures_util::future::select_all(seats.iter().map(|seat| Box::pin(seat.dismissed())));
            let (_, at, _) = leaving.await;
            seats.remove(at).number
        };
        let (came, gone) = tokio::join!(places.enter(), timeout(Duration::from_secs(1), goes));
        seats.push(came);
        gone.ok()
    }

    /// One place, which is taken, and eight seats of whom so many do nothing, the last to come.
    async fn crowd(idle: usize) -> (Arc<Places>, Vec<Seat>) {
        let places = Arc::new(Places::new(1, 8));
        let mut seats = Vec::new();
        for number in 0..9 {
            seats.push(places.enter().await);
            seats[number].set_busy(number < 9 - idle);
        }
        (places, seats)
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_just_came_stays_beside_a_crowd_that_waits() {
        let (places, mut seats) = crowd(0).await;
        // None of them has said yet what it wants.
        for gone in 1..=4 {
            assert_eq!(comes(&places, &mut seats).await, Some(gone), "who waits for the longest time");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_that_does_nothing_goes_before_whoever_waits() {
        let (places, mut seats) = crowd(6).await;
        for gone in 3..=6 {
            assert_eq!(comes(&places, &mut seats).await, Some(gone), "who is idle for the longest time");
        }
    }
}
