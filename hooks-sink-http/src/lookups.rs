//! Look-ups of names by the system, which block a thread each for as long as there is no answer.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// Most look-ups at a time of names that were found the last time, of names that are new, and of names whose last
/// look-up took longer than anybody waited. Together less than half of the threads that tokio has for work that
/// blocks, so files and other names get theirs however many names hang.
const SLOTS: [usize; 3] = [64, 128, 32];

/// Names of which it is known how their last look-up went; when there are more, all are new again.
const KNOWN: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastResult {
    Found,
    New,
    Late,
}

/// Asks one name.
type LookupFunction = fn(&str) -> io::Result<Vec<IpAddr>>;

/// The state that the look-ups of one dispatcher share.
pub(crate) struct Lookups {
    ask: LookupFunction,
    slots: [Arc<Semaphore>; 3],
    known: Mutex<HashMap<String, LastResult>>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self::by(|name| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }
}

impl Lookups {
    fn by(ask: LookupFunction) -> Self {
        Self { ask, slots: SLOTS.map(|slots| Arc::new(Semaphore::new(slots))), known: Mutex::default() }
    }

    /// The addresses of a name.
    pub(crate) async fn find(self: Arc<Self>, name: String) -> io::Result<Vec<IpAddr>> {
        let slots = self.slots[self.last(&name) as usize].clone();
        // No semaphore is ever closed.
        let slot = slots.acquire_owned().await.ok();
        let mut record = RecordOnDrop { lookups: &self, name: &name, last: LastResult::Late };
        let (ask, asked) = (self.ask, name.clone());
        let looking = tokio::task::spawn_blocking(move || {
            let found = ask(&asked);
            // Only now: the caller may have given up long before.
            drop(slot);
            found
        });
        let found = looking.await.map_err(io::Error::other)?;
        record.last = if found.is_ok() { LastResult::Found } else { LastResult::New };
        found
    }

    fn last(&self, name: &str) -> LastResult {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied().unwrap_or(LastResult::New)
    }

    fn note(&self, name: &str, last: LastResult) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(name.to_owned(), last);
    }
}

/// Somebody waits for a look-up. Dropped before it ended, it was late.
struct RecordOnDrop<'a> {
    lookups: &'a Lookups,
    name: &'a str,
    last: LastResult,
}

impl Drop for RecordOnDrop<'_> {
    fn drop(&mut self) {
        self.lookups.note(self.name, self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Condvar, LazyLock};
    use std::time::Duration;

    /// Opens when the test has seen enough.
    static GATE: LazyLock<(Mutex<bool>, Condvar)> = LazyLock::new(Default::default);

    /// Of 700 names none is answered; others are at once.
    fn ask(name: &str) -> io::Result<Vec<IpAddr>> {
        if name.starts_with("dead") {
            let open = GATE.0.lock().unwrap();
            drop(GATE.1.wait_while(open, |open| !*open).unwrap());
        }
        Ok(vec![[127, 0, 0, 1].into()])
    }

    /// They stood still until now: all threads for work that blocks waited for names.
    #[tokio::test(start_paused = true)]
    async fn names_that_hang_stop_neither_other_names_nor_other_work() {
        let lookups = Arc::new(Lookups::by(ask));
        assert_eq!(lookups.clone().find("good".to_owned()).await.unwrap().len(), 1);
        // Each is given up after a while, as a connect timeout does, and asked again.
        for _ in 0..8 {
            let dead = (0..700).map(|number| {
                let looking = lookups.clone().find(format!("dead-{number}"));
                async { assert!(tokio::time::timeout(Duration::from_secs(5), looking).await.is_err()) }
            });
            // All of them wait, and then their time is over.
            let late = tokio::time::advance(Duration::from_secs(6));
            futures_util::future::join(futures_util::future::join_all(dead), late).await;
        }
        assert_eq!(lookups.slots[LastResult::New as usize].available_permits(), 0, "as many as may hang do");
        assert_eq!(lookups.clone().find("good".to_owned()).await.unwrap().len(), 1);
        assert_eq!(tokio::task::spawn_blocking(|| 7).await.unwrap(), 7, "as a file is written");
        *GATE.0.lock().unwrap() = true;
        GATE.1.notify_all();
    }
}
