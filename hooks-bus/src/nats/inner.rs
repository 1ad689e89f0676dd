//! What all parts of the bus ask: the stream, the server, the table.

use async_nats::jetstream::kv::CreateErrorKind;
use async_nats::jetstream::stream::RawMessageErrorKind;
use hooks_core::{BusError, HookId, Lag, StartAt};
use tokio::time::Instant;

use super::connect::unavailable;
use super::hook::Hook;
use super::record::{HookRecord, Key};
use super::step::Place;
use super::{Inner, Tail, stream, subject};

impl Inner {
    pub(super) fn tail(&self) -> Tail {
        *self.tail.borrow()
    }

    /// Asks the stream.
    pub(super) async fn look_at_tail(&self) -> Result<Tail, BusError> {
        let info = self.kept.events.get_info().await.map_err(|error| unavailable("look at the stream", &error))?;
        if stream::log_id(&info) != self.log {
            let text =
                format!("the stream `{}` was deleted and made again: restart to go on with it", self.config.name);
            return Err(BusError::Unavailable(text));
        }
        let state = info.state;
        let tail = Tail {
            first: state.first_sequence,
            last: state.last_sequence,
            messages: state.messages,
            bytes: state.bytes,
        };
        self.tail.send_replace(tail);
        Ok(tail)
    }

    /// Whether the stream has nothing for a hook behind this place, up to this end. Asks the leader of the
    /// stream, because consumers may live on a server that is behind.
    pub(super) async fn has_nothing(&self, place: &Place, end: u64) -> Result<bool, BusError> {
        for subject in &place.subjects {
            match self.kept.events.raw_message_builder().sequence(place.after + 1).next_by_subject(subject).send().await
            {
                Ok(next) if next.sequence <= end => return Ok(false),
                Ok(_) => {}
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {}
                Err(error) => return Err(unavailable("read the stream", &error)),
            }
        }
        Ok(true)
    }

    /// What lies between the position that was written last of a hook and the end of the stream.
    pub(super) fn written_lag(&self, hook: &HookId) -> Option<Lag> {
        let (record, _) = self.table.lock().entry(&subject::of_hook(hook.as_str()))?;
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
    pub(super) fn is_elsewhere(&self, hook: &Hook) -> bool {
        !hook.is_owned() && self.table.lock().is_owned_by_another(&hook.token, Instant::now())
    }

    pub(super) async fn hears_itself(&self) {
        while self.table.lock().is_deaf(Instant::now()) {
            self.born.notified().await;
        }
    }

    /// A hook that nobody knew begins where it wants to.
    pub(super) async fn ensure_entry(&self, hook: &Hook, from: StartAt) -> Result<(), BusError> {
        if self.table.lock().entry(&hook.token).is_some() {
            return Ok(());
        }
        let tail = self.look_at_tail().await?;
        let position = match from {
            StartAt::End => tail.last,
            StartAt::Earliest => tail.first.saturating_sub(1),
        };
        let record = HookRecord { owner: None, log: self.log_name.clone(), position, beyond: Vec::new() };
        match self.kept.bucket.create(Key::Hook(&hook.token).to_string(), record.encode()).await {
            Ok(revision) => self.table.lock().set(&hook.token, record, revision),
            // Somebody knew it after all.
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
            Err(error) => return Err(unavailable(&format!("keep the position of the hook `{}`", hook.id), &error)),
        }
        Ok(())
    }
}
