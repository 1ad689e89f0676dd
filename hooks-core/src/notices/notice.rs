//! A notice: an event of the dispatcher, before it is one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::letter::{Letter, Told};
use crate::event::{EncodeError, Event, encode};
use crate::hook::Hook;
use crate::id::{HookId, TenantId};
use crate::operational::OperationalEvent;

/// Most bytes of further events that one notice of dead letters takes.
const MORE_BYTES: usize = 256 << 10;

/// An event of the dispatcher that waits to be published.
#[derive(Debug)]
pub(super) struct Notice {
    kind: OperationalEvent,
    /// The hook that it is about.
    hook: Option<HookId>,
    /// The hook's tenant hears of it.
    tenant: Option<TenantId>,
    /// The time when it happened.
    time: SystemTime,
    /// An object.
    facts: Json,
    letters: Vec<Letter>,
    /// Notices like this one that nobody hears of, since the last one.
    left_out: u64,
    weight: Option<Weight>,
}

/// The memory of a notice, as long as it lives.
#[derive(Debug)]
pub(super) struct Weight {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Weight {
    /// `None`: all together would take more than `most`.
    pub(super) fn within(most: usize, bytes: usize, all: &Arc<AtomicUsize>) -> Option<Self> {
        let fits = |before: usize| before.checked_add(bytes).filter(|after| *after <= most);
        all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Self { bytes, all: all.clone() })
    }

    fn join(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Notice {
    pub(super) fn new(kind: OperationalEvent, hook: Option<&Hook>, facts: Json) -> Self {
        let tenant = hook.and_then(Hook::tenant).cloned();
        let hook = hook.map(|hook| hook.id.clone());
        Self { kind, hook, tenant, time: SystemTime::now(), facts, letters: Vec::new(), left_out: 0, weight: None }
    }

    pub(super) fn with_letter(mut self, letter: Letter, weight: Weight) -> Self {
        self.letters.push(letter);
        Self { weight: Some(weight), ..self }
    }

    pub(super) fn kind(&self) -> OperationalEvent {
        self.kind
    }

    pub(super) fn hook(&self) -> Option<&str> {
        self.hook.as_ref().map(HookId::as_str)
    }

    /// The kind, and the hook that it is about.
    pub(super) fn key(&self) -> (OperationalEvent, Option<HookId>) {
        (self.kind, self.hook.clone())
    }

    /// Notices that would be lost with this one.
    pub(super) fn count(&self) -> u64 {
        self.left_out + self.letters.len().max(1) as u64
    }

    /// One notice in place of two: the later one; of dead letters, all that fit.
    pub(super) fn merged(mut self, mut later: Self) -> Self {
        if self.letters.is_empty() {
            later.left_out += self.count();
            return later;
        }
        let bytes = |letters: &[Letter]| letters.iter().map(Letter::bytes).sum::<usize>();
        if bytes(&self.letters[1..]) + bytes(&later.letters) > MORE_BYTES {
            self.left_out += later.count();
            return self;
        }
        self.letters.append(&mut later.letters);
        self.left_out += later.left_out;
        match (&mut self.weight, later.weight.take()) {
            (Some(weight), Some(other)) => weight.join(other),
            (weight, other) => *weight = other.or(weight.take()),
        }
        self
    }

    /// Takes the events out that it tells of. False if there are none.
    pub(super) fn strip(&mut self) -> bool {
        self.letters.iter_mut().fold(false, |any, letter| letter.strip() | any)
    }
}

impl Event for Notice {
    fn event_type(&self) -> &str {
        self.kind.event_type()
    }

    fn data(&self) -> Result<Option<Box<RawValue>>, EncodeError> {
        if let Some((first, more)) = self.letters.split_first() {
            return encode(&Told::of(self.hook().unwrap_or_default(), first, more, self.left_out));
        }
        let mut facts = self.facts.clone();
        facts["left_out"] = self.left_out.into();
        encode(&facts)
    }

    fn time(&self) -> Option<SystemTime> {
        Some(self.time)
    }

    fn subject(&self) -> Option<&str> {
        self.hook()
    }

    /// A tenant hears of its own hooks, and others don't.
    fn extensions(&self) -> Vec<(&str, Json)> {
        self.tenant.iter().map(|tenant| ("tenant", tenant.as_str().into())).collect()
    }
}
