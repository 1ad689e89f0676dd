//! What all parts of the bus ask: the stream, the server, the table.

use std::time::Duration;

use async_nats::jetstream::kv::CreateErrorKind;
use async_nats::jetstream::stream::Info;
use hooks_core::{BusError, Envelope, HookId, Lag, StartAt};
use tokio::time::Instant;

use super::connect::{connected, unavailable};
use super::hook::Hook;
use super::limits::{Admitted, NoRoom};
use super::record::{HookRecord, Key};
use super::step::Place;
use super::{Inner, stream, subject};

/// How long other instances may take to say what they have in a new bucket, in nanoseconds.
const ANNOUNCE_NANOS: i128 = 5_000_000_000;

/// The stream, seen lately.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tail {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl Tail {
    /// Bytes of an event.
    pub(super) fn average(&self) -> u64 {
        self.bytes / self.messages.max(1)
    }
}

impl Inner {
    pub(super) fn tail(&self) -> Tail {
        *self.tail.borrow()
    }

    /// Asks the stream.
    pub(super) async fn refresh_tail(&self) -> Result<Tail, BusError> {
        let known = self.high_water();
        let info = self.storage.events.get_info().await.map_err(|error| unavailable("look at the stream", &error))?;
        if stream::log_id(&info) != self.log {
            // Whoever began after that reads the new one, and takes the hooks.
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

    /// Lets events through to the stream, all or none, as far as that is known.
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

    /// What keeps the bus from doing its work.
    pub(super) fn trouble(&self) -> Option<String> {
        if connected(&self.client).is_err() {
            return Some(format!("not connected to NATS at {}; trying to", self.config.servers.join(", ")));
        }
        let trouble = self.health.trouble()?;
        let denied = self.denied.recently(&self.config.name);
        Some(denied.map_or(trouble.clone(), |denied| format!("{trouble}: {denied}")))
    }

    /// Whether the stream has nothing for a hook behind this place, up to this end. Asks the leader of the
    /// stream, because consumers may live on a server that is behind.
    pub(super) async fn has_nothing(&self, place: &Place, end: u64) -> Result<bool, BusError> {
        let next = self.fetch(place.after.saturating_add(1), &place.subjects).await?;
        Ok(next.is_none_or(|next| next.seq > end))
    }

    /// What lies between the position that was written last of a hook and the end of the stream.
    pub(super) fn committed_lag(&self, hook: &HookId) -> Option<Lag> {
        let record = self.registry.lock().record(&subject::of_hook(hook.as_str())).cloned()?;
        let tail = self.tail();
        let from = if record.log == self.log_name { record.position } else { 0 };
        let events = tail.last.saturating_sub(from.max(tail.first.saturating_sub(1)));
        Some(Lag { events, bytes: events * tail.average(), oldest: None, exact: events == 0 })
    }

    /// Whether the server takes several filters for one consumer.
    pub(super) fn several_filters(&self) -> bool {
        self.client.is_server_compatible(2, 10, 0)
    }

    /// Whether another instance that lives owns the hook.
    pub(super) fn is_owned_elsewhere(&self, hook: &Hook) -> bool {
        !hook.is_owned() && self.registry.lock().is_owned_by_another(&hook.token, Instant::now())
    }

    /// Waits until this instance hears itself, and heard what others have to say.
    pub(super) async fn wait_for_watch(&self) {
        while self.registry.lock().is_watch_stale(Instant::now()) {
            self.member_joined.notified().await;
        }
        self.wait_for_announcements().await;
    }

    /// Others that live say within this time that they have hooks, which then are no new ones, also where the bucket
    /// was deleted a moment ago and made again by whoever starts now.
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

    /// A hook that nobody knew begins where it wants to.
    pub(super) async fn ensure_entry(&self, hook: &Hook, from: StartAt) -> Result<(), BusError> {
        let in_use = {
            let registry = self.registry.lock();
            if registry.entry(&hook.token).is_some() {
                return Ok(());
            }
            registry.another_member_has(hook.hash, Instant::now())
        };
        if in_use {
            // It is no new hook: its entry is to come, or vanished, and whoever has the hook knows how far it is.
            self.reload_entry(hook).await;
            return Ok(());
        }
        let tail = self.refresh_tail().await?;
        let position = match from {
            StartAt::End => tail.last,
            StartAt::Earliest => tail.first.saturating_sub(1),
        };
        let record = HookRecord { owner: None, log: self.log_name.clone(), position, acked_ranges: Vec::new() };
        match self.storage.bucket.create(Key::Hook(&hook.token).to_string(), record.encode()).await {
            Ok(revision) => self.registry.lock().set(&hook.token, record, revision),
            // Somebody knew it after all.
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => drop(self.reload_entry(hook).await),
            Err(error) => return Err(unavailable(&format!("keep the position of the hook `{}`", hook.id), &error)),
        }
        Ok(())
    }
}
