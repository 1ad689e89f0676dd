//! The receivers: they check what arrives, and fail by a script.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hooks_verify::{Signed, Verifier};
use tokio::sync::watch;

use super::journal::Journal;
use super::sample::Sample;
use super::stats::ReceiverStats;
use crate::listen::{Answer, Fault, Receiver, Request, events};

/// A receiver that checks what arrives.
pub(super) struct Checked {
    name: &'static str,
    sample: Arc<Sample>,
    journal: Arc<Journal>,
    verifier: Verifier,
    /// Places of events that it refuses.
    poisoned: &'static [usize],
    outages: Option<Outages>,
    stats: Mutex<ReceiverStats>,
}

/// The failures of one receiver: twice, each time for a number of attempts at least and until another receiver
/// has got on. That makes the run the same on slow machines and fast ones.
pub(super) struct Outages {
    pub(super) others: Vec<Arc<Checked>>,
    pub(super) state: Mutex<Outage>,
    /// The number that have begun. The publisher waits for it, so that there is something to receive during each.
    pub(super) begun: watch::Sender<usize>,
}

/// The progress of its outages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Outage {
    /// The number that are over.
    over: usize,
    /// Since when one lasts, what the others had received by then, and how many attempts it has failed.
    now: Option<(Instant, u64, u64)>,
    /// The time that all of them lasted, and the events that the others received in it.
    pub(super) lasted: Duration,
    pub(super) meanwhile: u64,
}

/// An outage: after so many events, for so many attempts at least.
struct Script {
    after: u64,
    attempts: u64,
    fault: Option<Fault>,
    says: &'static str,
}

const SCRIPT: [Script; 2] = [
    Script { after: 80, attempts: 4, fault: None, says: "flaky answers 503 from now on" },
    Script {
        after: 240,
        attempts: 5,
        fault: Some(Fault::HangUp),
        says: "flaky is down: it closes connections without an answer",
    },
];

/// The least number of events that the others receive before an outage ends.
const MEANWHILE: u64 = 40;

impl Checked {
    pub(super) fn new(
        name: &'static str,
        sample: &Arc<Sample>,
        journal: &Arc<Journal>,
        verifier: Verifier,
        poisoned: &'static [usize],
        outages: Option<Outages>,
    ) -> Self {
        let stats = Mutex::new(ReceiverStats::new(sample.len()));
        Self { name, sample: sample.clone(), journal: journal.clone(), verifier, poisoned, outages, stats }
    }

    pub(super) fn stats(&self) -> MutexGuard<'_, ReceiverStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sums of its outages.
    pub(super) fn outage(&self) -> Outage {
        self.outages.as_ref().map(|outages| *lock(&outages.state)).unwrap_or_default()
    }

    fn is_signed(&self, request: &Request) -> bool {
        let header = |name| request.head.header(name).unwrap_or_default();
        let [id, timestamp, signature] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(header);
        self.verifier.verify(&Signed { id, timestamp, signature }, &request.body, SystemTime::now()).is_ok()
    }
}

impl Outages {
    /// The failure of this attempt, if it fails; `accepted` is what was accepted so far.
    fn fails(&self, accepted: u64, journal: &Journal) -> Option<&'static Script> {
        let received: u64 = self.others.iter().map(|other| other.stats().distinct()).sum();
        let mut state = lock(&self.state);
        let script = SCRIPT.get(state.over)?;
        match state.now {
            None if accepted < script.after => return None,
            None => {
                journal.say(script.says.to_owned());
                state.now = Some((Instant::now(), received, 1));
                self.begun.send_replace(state.over + 1);
            }
            Some((since, had, failed)) if failed >= script.attempts && received - had >= MEANWHILE => {
                let meanwhile = received - had;
                let lasted = since.elapsed();
                journal.say(format!(
                    "flaky is back: {failed} attempts failed in {:.1} s, others got {meanwhile} events",
                    lasted.as_secs_f64(),
                ));
                let Outage { over, lasted: before, meanwhile: sum, .. } = *state;
                *state = Outage { over: over + 1, now: None, lasted: before + lasted, meanwhile: sum + meanwhile };
                return None;
            }
            Some((since, had, failed)) => state.now = Some((since, had, failed + 1)),
        }
        Some(script)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver for Checked {
    fn receive(&self, request: Request) -> Answer {
        let is_signed = self.is_signed(&request);
        let places: Vec<Option<usize>> =
            events(&request.body).0.iter().map(|event| self.sample.place(&event.id)).collect();
        let accepted = self.stats().distinct();
        let failing = self.outages.as_ref().and_then(|outages| outages.fails(accepted, &self.journal));
        let mut stats = self.stats();
        stats.requests += 1;
        stats.untrusted += u64::from(!is_signed);
        if let Some(script) = failing {
            stats.failed += 1;
            return Answer { fault: script.fault, ..Answer::text(503, "failing on purpose") };
        }
        let refused = places.iter().flatten().find(|place| self.poisoned.contains(place));
        if let Some(place) = refused {
            stats.rejected += 1;
            if places.len() == 1 {
                stats.rejected_alone += 1;
                self.journal.say(format!(
                    "{} refuses event {}, which is poisoned; it stands alone now",
                    self.name,
                    place + 1
                ));
            }
            return Answer::text(400, &format!("event {} is poisoned", place + 1));
        }
        places.into_iter().for_each(|place| stats.accept(place));
        Answer::status(200)
    }
}
