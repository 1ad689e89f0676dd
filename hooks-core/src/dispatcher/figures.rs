//! What hooks do, in numbers: of all, or of a tenant.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use super::slot::Slot;
use super::{Dispatcher, Inner};
use crate::endpoint_state::EndpointState;
use crate::id::TenantId;

/// What hooks do together. Counts are those since the process started, of the hooks that there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figures {
    /// Number of hooks.
    pub hooks: u64,
    /// Hooks by state, in the order of [`EndpointState::ALL`].
    states: [u64; EndpointState::ALL.len()],
    /// Events that their destinations have.
    pub delivered: u64,
    /// Events that were given up.
    pub dropped: u64,
    /// Attempts to deliver.
    pub attempts: u64,
    /// Of these, attempts that failed.
    pub failed: u64,
    /// Events that hooks are not done with, counted at each hook; an upper bound, where the bus can tell.
    pub pending: u64,
    /// Bytes of these events.
    pub pending_bytes: u64,
    /// Dead letters that are kept.
    pub dead_letters: u64,
}

impl Figures {
    fn of(inner: &Inner, slot: &Slot) -> Self {
        let counts = slot.ledger.counts();
        let lag = inner.bus.monitor().lag(&slot.hook.id).unwrap_or_default();
        let endpoint = slot.endpoint.state.lock();
        let (attempts, delivered) = endpoint.stats().map_or((0, 0), |stats| (stats.total(), stats.ended(None)));
        let mut states = [0; EndpointState::ALL.len()];
        let at = EndpointState::ALL.iter().zip(&mut states).find(|(state, _)| **state == endpoint.state());
        at.into_iter().for_each(|(_, hooks)| *hooks = 1);
        Self {
            hooks: 1,
            states,
            delivered: counts.delivered,
            dropped: counts.dropped(),
            attempts,
            failed: attempts - delivered,
            pending: lag.events,
            pending_bytes: lag.bytes,
            dead_letters: slot.dead_letters.as_ref().map_or(0, |letters| letters.count()),
        }
    }

    /// Number of hooks in this state.
    pub fn in_state(&self, state: EndpointState) -> u64 {
        EndpointState::ALL.iter().zip(self.states).find(|(one, _)| **one == state).map_or(0, |(_, hooks)| hooks)
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.hooks += other.hooks;
        self.states.iter_mut().zip(other.states).for_each(|(sum, one)| *sum += one);
        self.delivered += other.delivered;
        self.dropped += other.dropped;
        self.attempts += other.attempts;
        self.failed += other.failed;
        self.pending += other.pending;
        self.pending_bytes += other.pending_bytes;
        self.dead_letters += other.dead_letters;
    }
}

impl Dispatcher {
    /// What all hooks do, or those of a tenant, which takes no longer for the hooks of others.
    pub fn figures(&self, tenant: Option<&TenantId>) -> Figures {
        let slots = match tenant {
            None => self.0.all(),
            Some(tenant) => self.0.all_of(tenant),
        };
        let mut sum = Figures::default();
        slots.iter().for_each(|slot| sum += Figures::of(&self.0, slot));
        sum
    }

    /// What the hooks of each tenant do, and (`None`) those that are nobody's.
    pub fn figures_by_tenant(&self) -> BTreeMap<Option<TenantId>, Figures> {
        let mut sums = BTreeMap::<_, Figures>::new();
        for slot in self.0.all() {
            *sums.entry(slot.hook.tenant().cloned()).or_default() += Figures::of(&self.0, &slot);
        }
        sums
    }
}
