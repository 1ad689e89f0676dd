//! Functions that all parts of the bus use: stream, server, registry.

use std::time::Duration;

use async_nats::jetstream::kv::CreateErrorKind;
use async_nats::jetstream::stream::Info;
use hooks_core::{BusError, Envelope, HookId, Lag, StartAt};
use tokio::time::Instant;

use super::connect::{connected, unavailable};
use super::hook::Hook;
use super::limits::{Admitted, NoRoom};
use super::record::{HookRecord, Key};
use super::refusal::is_conflict;
use super::step::Place;
use super::{Inner, stream, subject};

/// The time within which living instances announce their hooks in a new bucket, in nanoseconds.
const ANNOUNCE_NANOS: i128 = 5_000_000_000;

/// The extent of the stream when it was last read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tail {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl Tail {
    /// The average bytes of an event.
    pub(super) fn average(&self) -> u64 {
        self.bytes / self.messages.max(1)
    }
}

impl Inner {
    pub(super) fn tail(&self) -> Tail {
        *self.tail.borrow()
    }

    /// Asks the server for the stream's extent.
    pub(super) async fn refresh_tail(&self) -> Result<Tail, BusError> {
        let known = self.high_water();
        let info = self.storage.events.get_info().await.map_err(|error| unavailable("look at the stream", &error))?;
        if stream::log_id(&info) != self.log {
            // Instances that began after that read the new one, and acquire the hooks.
            self.lease.give_up();
            let text =
                format!("the stream `{}` was deleted and made again: restart to go on with it", self.config.name);
            return Err(BusError::Unavailable(text));
        }
        self.examine_events(&info);
        self.limits.see(self.client.server_info().max_payload, &info);
        let (state, copies) = (info.state, info.config.num_replicas);
        let tail = Tail {
            first: state.first_sequence,
            last: state.last_sequence,
            messages: state.messages,
            bytes: state.bytes,
        };
        self.check_for_rollback(known, tail, state.last_timestamp.unix_timestamp_nanos(), copies).await?;
        self.tail.send_replace(tail);
        Ok(tail)
    }

    /// Lets events through to the stream, all or none, by the known limits.
    pub(super) async fn admit(&self, events: &[Envelope]) -> Result<Admitted<'_>, BusError> {
        connected(&self.client)?;
        let look = match self.limits.admit(events) {
            Ok(admitted) => return Ok(admitted),
            Err(NoRoom::Never(error)) => return Err(error),
            Err(NoRoom::LookAgain(error)) => error,
        };
        self.refresh_tail().await?;
        self.limits.admit(events).map_err(|_| look)
    }

    /// The trouble that keeps the bus from working, if there is any.
    pub(super) fn trouble(&self) -> Option<String> {
        if connected(&self.client).is_err() {
            return Some(format!("not connected to NATS at {}; trying to", self.config.servers.join(", ")));
        }
        let trouble = self.health.trouble()?;
        let denied = self.denied.recently(&self.config.name);
        Some(denied.map_or(trouble.clone(), |denied| format!("{trouble}: {denied}")))
    }

    /// True if the stream has nothing for a hook behind this place, up to this end. Asks the leader of the
    /// stream, because consumers may live on a server that is behind.
    pub(super) async fn has_nothing(&self, place: &Place, end: u64) -> Result<bool, BusError> {
        let next = self.fetch(place.after.saturating_add(1), &place.subjects).await?;
        Ok(next.is_none_or(|next| next.seq > end))
    }

    /// The events between a hook's last checkpoint and the end of the stream.
    pub(super) fn committed_lag(&self, hook: &HookId) -> Option<Lag> {
        let record = self.registry.lock().record(&subject::of_hook(hook.as_str())).cloned()?;
        let tail = self.tail();
        let from = if record.log == self.log_name { record.position } else { 0 };
        let events = tail.last.saturating_sub(from.max(tail.first.saturating_sub(1)));
        Some(Lag { events, bytes: events * tail.average(), oldest: None, exact: events == 0 })
    }

    /// True if the server takes several filters for one consumer.
    pub(super) fn several_filters(&self) -> bool {
        self.client.is_server_compatible(2, 10, 0)
    }

    /// True if another living instance owns the hook.
    pub(super) fn is_owned_elsewhere(&self, hook: &Hook) -> bool {
        !hook.is_owned() && self.registry.lock().is_owned_by_another(&hook.tag.token, Instant::now())
    }

    /// Waits until this instance hears its own heartbeats and the other instances' announcements.
    pub(super) async fn wait_for_watch(&self) {
        while self.registry.lock().is_watch_stale(Instant::now()) {
            self.member_joined.notified().await;
        }
        self.wait_for_announcements().await;
    }

    /// Waits until living instances have announced their hooks, which are no new ones, even if the bucket was deleted
    /// a moment ago and is made again by the instance that starts now.
    async fn wait_for_announcements(&self) {
        let made = |info: &Info| info.created.unix_timestamp_nanos();
        let (bucket, events) =
            (made(self.storage.bucket.stream.cached_info()), made(self.storage.events.cached_info()));
        let Some(now) = self.registry.lock().members.time() else { return };
        // At the first start of all, both are made.
        let left = bucket + ANNOUNCE_NANOS - now;
        if bucket - events > ANNOUNCE_NANOS && left > 0 {
            tokio::time::sleep(Duration::from_nanos(u64::try_from(left).unwrap_or(0))).await;
        }
    }

    /// Makes the entry of a new hook, which begins where its settings say.
    pub(super) async fn ensure_entry(&self, hook: &Hook, from: StartAt) -> Result<(), BusError> {
        let (in_use, left) = {
            let registry = self.registry.lock();
            match registry.entry(&hook.tag.token) {
                Some((record, _)) if hook.is_of(&record) => return Ok(()),
                Some(left) => (false, Some(left)),
                // A hook that was just defined is new, whoever else has it.
                None => {
                    let is_new = hook.tag.origin.is_some()
                        && registry.vanished(&hook.tag.token).is_none_or(|it| !hook.is_of(&it));
                    (!is_new && registry.another_member_has(hook.hash, Instant::now()), None)
                }
            }
        };
        if in_use {
            // It is no new hook: its entry is to come, or vanished, and another instance knows its position.
            self.reload_entry(hook).await;
            return Ok(());
        }
        let tail = self.refresh_tail().await?;
        let position = match (&hook.tag.origin, from) {
            // Of a stream that was rolled back, or made again.
            (Some(origin), _) if origin.log == self.log_name => origin.position.min(tail.last),
            (Some(_), _) => 0,
            (None, from) => self.before_first(from, tail).await?,
        };
        // A hook that was not defined before goes on where it was.
        let before = left.as_ref().map(|(record, _)| record).filter(|it| it.of.is_none() && it.log == self.log_name);
        let began = before.map_or(Some(position), |before| before.began);
        let (log, of) = (self.log_name.clone(), hook.mark());
        let record = HookRecord { owner: None, log, position, began, of, acked_ranges: Vec::new() };
        self.begin_entry(hook, record, left.map(|(_, revision)| revision)).await
    }

    /// Writes the first entry of a hook, in place of one that another hook of its name left.
    async fn begin_entry(&self, hook: &Hook, record: HookRecord, left: Option<u64>) -> Result<(), BusError> {
        let (key, value) = (Key::Hook(&hook.tag.token).to_string(), record.encode());
        let failed = |error: &dyn std::error::Error| {
            Err(unavailable(&format!("keep the position of the hook `{}`", hook.id), error))
        };
        let written = match left {
            Some(revision) => match self.storage.bucket.update(&key, value, revision).await {
                Err(error) if is_conflict(&error) => None,
                Err(error) => return failed(&error),
                Ok(revision) => Some(revision),
            },
            None => match self.storage.bucket.create(&key, value).await {
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => None,
                Err(error) => return failed(&error),
                Ok(revision) => Some(revision),
            },
        };
        match written {
            Some(revision) => self.registry.lock().set(&hook.tag.token, record, revision),
            // Another instance was faster.
            None => drop(self.reload_entry(hook).await),
        }
        Ok(())
    }

    /// True if a hook was undefined, or another one has its name by now: nobody makes its entry again.
    pub(super) fn is_undefined(&self, hook: &Hook) -> bool {
        self.registry.lock().definitions.has_ended(&hook.id, hook.tag.origin.as_ref())
    }
}
