//! The dispatcher's own events: what becomes of endpoints, events that were given up, a log that fills.
//!
//! ```text
//!  workers ─▶ Notices ─▶ short queue ─▶ Outbox: Limiter ─▶ the bus, as an event like any other
//! ```
//!
//! Types under `hooks.` reach only hooks whose `types` name them literally, never the hook they are about. What becomes of
//! such an event makes no other: of its dead letter nobody hears. Publishing them never makes a worker wait: an event that
//! finds the queue full is lost, and counted.

mod filling;
mod letter;
mod limiter;
mod notice;
mod outbox;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio::sync::{Notify, mpsc};

use crate::bus::DeadLetter;
use crate::endpoint_state::EndpointState;
use crate::filter::Filter;
use crate::hook::Hook;
use crate::operational::OperationalEvent;
use crate::timestamp::timestamp;
use crate::watchers::Watchers;
use letter::Letter;
use notice::{Notice, Weight};
pub(crate) use outbox::Outbox;

/// Maximum number of notices that wait to be published.
const QUEUE: usize = 256;

/// Maximum number of bytes that the events in them take.
const QUEUE_BYTES: usize = 16 << 20;

/// Takes notices from workers. One pointer, because each worker has it.
#[derive(Debug, Clone)]
pub(crate) struct Notices(Arc<Takers>);

#[derive(Debug)]
struct Takers {
    queue: mpsc::Sender<Notice>,
    bytes: Arc<AtomicUsize>,
    audience: Arc<Audience>,
    watchers: Watchers,
}

/// Who hears of what.
#[derive(Debug, Default)]
struct Audience {
    /// Numbers of hooks that receive events of each kind.
    listeners: [AtomicUsize; OperationalEvent::ALL.len()],
    changed: Notify,
    /// Events that were lost.
    lost: AtomicU64,
}

/// News of an endpoint that has nothing to do with its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// It has accepted nothing for so long.
    Failing(Duration),
    /// It accepts events again, and did not for so long.
    Recovered(Duration),
}

impl Audience {
    fn wants(&self, kind: OperationalEvent) -> bool {
        self.listeners[kind.index()].load(Ordering::Relaxed) > 0
    }

    fn lose(&self, events: u64) {
        self.lost.fetch_add(events, Ordering::Relaxed);
    }
}

impl Notices {
    pub(crate) fn new() -> (Self, Outbox) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let audience = Arc::<Audience>::default();
        let outbox = Outbox::new(waiting, audience.clone());
        let takers = Takers { queue, bytes: Arc::default(), audience, watchers: Watchers::default() };
        (Self(Arc::new(takers)), outbox)
    }

    pub(crate) fn watchers(&self) -> &Watchers {
        &self.0.watchers
    }

    /// Events that were lost since the dispatcher was made.
    pub(crate) fn lost(&self) -> u64 {
        self.0.audience.lost.load(Ordering::Relaxed)
    }

    /// Adds a hook; returns true if it receives such events. While no hook does, nothing is published.
    pub(crate) fn hook_added(&self, hook: &Hook) -> bool {
        let audience = &self.0.audience;
        let added = named(&hook.filter).map(|kind| audience.listeners[kind.index()].fetch_add(1, Ordering::Relaxed));
        let wants = added.count() > 0;
        if wants {
            audience.changed.notify_one();
        }
        wants
    }

    /// Removes a hook.
    pub(crate) fn hook_removed(&self, hook: &Hook) {
        for kind in named(&hook.filter) {
            self.0.audience.listeners[kind.index()].fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// An endpoint came into another state. Of one whose hook hears of others nobody hears, so that there are no echoes: but
    /// that it is disabled, which it is once.
    pub(crate) fn endpoint_changed(
        &self,
        hook: &Hook,
        before: EndpointState,
        state: EndpointState,
        error: Option<&str>,
    ) {
        self.0.watchers.changed(&hook.id);
        let kind = OperationalEvent::Endpoint(state);
        let may_echo = state != EndpointState::Disabled;
        if !self.wants(kind) || may_echo && listens(&hook.filter) {
            return;
        }
        let facts =
            json!({ "hook": hook.id.as_str(), "state": state.name(), "previous": before.name(), "error": error });
        self.send(Notice::new(kind, Some(hook), facts));
    }

    /// An endpoint fails for long, or no longer.
    pub(crate) fn alarm(&self, hook: &Hook, alarm: Alarm, state: EndpointState, error: Option<&str>) {
        let (kind, lasted) = match alarm {
            Alarm::Failing(lasted) => (OperationalEvent::Failing, lasted),
            Alarm::Recovered(lasted) => (OperationalEvent::Recovered, lasted),
        };
        if !self.wants(kind) {
            return;
        }
        let since = timestamp(SystemTime::now().checked_sub(lasted).unwrap_or(SystemTime::UNIX_EPOCH));
        let facts = json!({ "hook": hook.id.as_str(), "state": state.name(), "since": since, "error": error });
        self.send(Notice::new(kind, Some(hook), facts));
    }

    /// A hook gave up events. `kept`: they can be replayed.
    pub(crate) fn dead_lettered(&self, hook: &Hook, dead_letters: &[DeadLetter], kept: bool) {
        let kind = OperationalEvent::DeadLetter;
        if !self.wants(kind) {
            return;
        }
        // Of the dispatcher's own events nobody hears more.
        for dead_letter in dead_letters.iter().filter(|dead_letter| !dead_letter.envelope.is_reserved()) {
            let bytes = dead_letter.envelope.len();
            match Weight::within(QUEUE_BYTES, bytes, &self.0.bytes) {
                Some(weight) => {
                    let letter = Letter::new(dead_letter, kept);
                    let facts = json!({ "hook": hook.id.as_str() });
                    self.send(Notice::new(kind, Some(hook), facts).with_letter(letter, weight));
                }
                None => self.lose(hook),
            }
        }
    }

    fn wants(&self, kind: OperationalEvent) -> bool {
        self.0.audience.wants(kind)
    }

    fn send(&self, notice: Notice) {
        if let Err(error) = self.0.queue.try_send(notice) {
            let notice = error.into_inner();
            tracing::warn!(
                event_type = notice.kind().event_type(),
                hook = notice.hook(),
                "an event of the dispatcher is lost: too much happens at once"
            );
            self.0.audience.lose(1);
        }
    }

    fn lose(&self, hook: &Hook) {
        tracing::warn!(hook = %hook.id, "an event about a dead letter is lost: too many wait to be published");
        self.0.audience.lose(1);
    }
}

/// A hook that hears of others and never of itself.
pub(crate) fn hears_of_others(hook: Hook) -> Hook {
    if !listens(&hook.filter) || hook.filter.rare.not_about.as_ref() == Some(&hook.id) {
        return hook;
    }
    let mut filter = (*hook.filter).clone();
    filter.rare.not_about = Some(hook.id.clone());
    Hook { filter: filter.into(), ..hook }
}

/// The kinds that a filter names.
fn named(filter: &Filter) -> impl Iterator<Item = OperationalEvent> {
    OperationalEvent::ALL.into_iter().filter(|kind| filter.matches_type(kind.event_type()))
}

/// Returns true if a filter names any.
fn listens(filter: &Filter) -> bool {
    named(filter).next().is_some()
}
