//! Defines and undefines hooks: by the revision that was seen, never without.

use std::sync::Arc;

use async_nats::jetstream::kv::{CreateErrorKind, Operation};
use hooks_core::bus::{DefineError, Definition, Expected};
use hooks_core::{BusError, ByteSize, HookId, StartAt, uuid_v7};

use super::connect::{connected, unavailable};
use super::dead_letters::NatsDeadLetters;
use super::definitions::{DefinitionRecord, Origin, now};
use super::record::Key;
use super::refusal::is_conflict;
use super::{Inner, subject};

/// Most tries of a change that others get ahead of.
const ATTEMPTS: usize = 16;

/// Bytes of a message that its value can't have: subject and headers.
const HEAD: usize = 512;

/// A write that others were ahead of.
enum Failed {
    Conflict,
    Bus(BusError),
}

impl Inner {
    pub(super) async fn define(
        self: &Arc<Self>,
        hook: &HookId,
        text: &str,
        expected: Expected,
        from: StartAt,
    ) -> Result<Definition, DefineError> {
        connected(&self.client)?;
        let mut known = self.expected_definition(hook, expected).await?;
        for _ in 0..ATTEMPTS {
            let changed = now();
            let record = match &known {
                Some((before, _)) => DefinitionRecord { changed, text: text.to_owned(), ..before.clone() },
                None => {
                    self.remove_leftovers(hook).await?;
                    let origin = self.origin(hook, from).await?;
                    DefinitionRecord { origin, created: changed, changed, text: text.to_owned() }
                }
            };
            match self.write_definition(hook, &record, known.map(|(_, revision)| revision)).await {
                Ok(revision) => {
                    let definition = record.definition(hook, revision);
                    self.registry.lock().definitions.set(hook, record, revision);
                    return Ok(definition);
                }
                Err(Failed::Bus(error)) => return Err(error.into()),
                Err(Failed::Conflict) => known = self.reload_definition(hook, expected).await?,
            }
        }
        Err(overtaken(hook).into())
    }

    pub(super) async fn undefine(self: &Arc<Self>, hook: &HookId, expected: Expected) -> Result<bool, DefineError> {
        connected(&self.client)?;
        let mut known = self.expected_definition(hook, expected).await?;
        if known.is_none() {
            // The watch may not have brought it yet.
            known = self.reload_definition(hook, expected).await?;
        }
        let key = definition_key(hook);
        for _ in 0..ATTEMPTS {
            let Some((_, revision)) = known else { return Ok(false) };
            if self.hooks.lock().contains_key(hook) {
                return Err(BusError::Unavailable(format!("hook `{hook}` is in use: remove it first")).into());
            }
            match self.storage.bucket.purge_expect_revision(&key, Some(revision)).await {
                Ok(()) => {
                    self.registry.lock().definitions.remove(hook, revision);
                    if let Err(error) = self.remove_rest(hook).await {
                        tracing::warn!(%hook, %error, "the hook is undefined, and its dead letters or its override can't be removed now: they are when a hook of this name comes again");
                    }
                    return Ok(true);
                }
                Err(error) if is_conflict(&error) => known = self.reload_definition(hook, expected).await?,
                Err(error) => return Err(unavailable("undefine a hook", &error).into()),
            }
        }
        Err(overtaken(hook).into())
    }

    /// The definition of a hook and its revision, if they are as expected.
    async fn expected_definition(
        &self,
        hook: &HookId,
        expected: Expected,
    ) -> Result<Option<(DefinitionRecord, u64)>, DefineError> {
        match self.known_definition(hook, expected) {
            // The watch may not have brought yet what another instance has answered.
            Err(_) => self.reload_definition(hook, expected).await,
            known => known,
        }
    }

    fn known_definition(
        &self,
        hook: &HookId,
        expected: Expected,
    ) -> Result<Option<(DefinitionRecord, u64)>, DefineError> {
        let registry = self.registry.lock();
        let known = registry.definitions.get(hook).map(|(record, revision)| (record.clone(), revision));
        expected.check(known.as_ref().map(|(_, revision)| (*revision).into()))?;
        Ok(known)
    }

    /// The same, as the server has it.
    async fn reload_definition(
        &self,
        hook: &HookId,
        expected: Expected,
    ) -> Result<Option<(DefinitionRecord, u64)>, DefineError> {
        let entry = self.storage.bucket.entry(definition_key(hook)).await;
        let entry = entry.map_err(|error| unavailable("read the definition of a hook", &error))?;
        if let Some(entry) = entry {
            let record = match entry.operation {
                Operation::Put => Some(DefinitionRecord::decode(hook.as_str(), &entry.value).ok_or_else(|| {
                    BusError::Unavailable(format!(
                        "the definition of `{hook}` can't be read: a newer version may have written it"
                    ))
                })?),
                _ => None,
            };
            if self.registry.lock().definitions.see(hook, record, entry.revision) {
                self.defined.notify_one();
            }
        }
        self.known_definition(hook, expected)
    }

    /// Where a new hook begins, or one that was known before goes on.
    async fn origin(&self, hook: &HookId, from: StartAt) -> Result<Origin, BusError> {
        let tail = self.refresh_tail().await?;
        let known = self.registry.lock().record(&subject::of_hook(hook.as_str())).cloned();
        let position = match (known.filter(|known| known.of.is_none() && known.log == self.log_name), from) {
            (Some(known), _) => known.position,
            (None, from) => self.before_first(from, tail).await?,
        };
        Ok(Origin { of: uuid_v7().simple().to_string(), log: self.log_name.clone(), position })
    }

    async fn write_definition(
        &self,
        hook: &HookId,
        record: &DefinitionRecord,
        before: Option<u64>,
    ) -> Result<u64, Failed> {
        let (key, value) = (definition_key(hook), record.encode());
        let most = self.client.server_info().max_payload.saturating_sub(HEAD);
        if value.len() > most {
            let (len, most) = (ByteSize::new(value.len() as u64), ByteSize::new(most as u64));
            let text =
                format!("the definition of `{hook}` takes {len}, and the NATS server at most {most} (`max_payload`)");
            return Err(Failed::Bus(BusError::TooLarge(text)));
        }
        let failed = |error: &dyn std::error::Error| Failed::Bus(unavailable("keep the definition of a hook", error));
        match before {
            Some(revision) => match self.storage.bucket.update(&key, value, revision).await {
                Err(error) if is_conflict(&error) => Err(Failed::Conflict),
                written => written.map_err(|error| failed(&error)),
            },
            None => match self.storage.bucket.create(&key, value).await {
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Err(Failed::Conflict),
                written => written.map_err(|error| failed(&error)),
            },
        }
    }

    /// Keeps a definition again that vanished.
    pub(super) async fn recreate_definition(&self, hook: &HookId, record: DefinitionRecord) -> Result<(), BusError> {
        match self.write_definition(hook, &record, None).await {
            Ok(revision) => self.registry.lock().definitions.set(hook, record, revision),
            // Another instance was faster: the watch brings it.
            Err(Failed::Conflict) => {}
            Err(Failed::Bus(error)) => return Err(error),
        }
        Ok(())
    }

    /// Removes what a hook of this name left that was undefined while its instance or NATS was cut off.
    async fn remove_leftovers(self: &Arc<Self>, hook: &HookId) -> Result<(), BusError> {
        let token = subject::of_hook(hook.as_str());
        let (is_known, has_facts) = {
            let registry = self.registry.lock();
            let is_known = registry.record(&token).is_some_and(|record| record.of.is_none());
            (is_known, registry.overrides.get(&token).is_some() || registry.failing.get(&token).is_some())
        };
        // A hook that was not defined keeps what it has.
        if is_known {
            return Ok(());
        }
        let has_letters = NatsDeadLetters::new(self.clone(), hook).known() > 0;
        if has_facts || has_letters { self.remove_rest(hook).await } else { Ok(()) }
    }

    /// Removes what is kept of a hook beside its definition.
    async fn remove_rest(self: &Arc<Self>, hook: &HookId) -> Result<(), BusError> {
        let token = subject::of_hook(hook.as_str());
        NatsDeadLetters::new(self.clone(), hook).purge().await?;
        for key in [Key::Hook(&token), Key::Override(&token), Key::Failing(&token)] {
            let purged = self.storage.bucket.delete(key.to_string()).await;
            purged.map_err(|error| unavailable("forget a hook", &error))?;
        }
        self.registry.lock().forget(&token);
        Ok(())
    }
}

fn definition_key(hook: &HookId) -> String {
    Key::Definition(&subject::of_hook(hook.as_str())).to_string()
}

fn overtaken(hook: &HookId) -> BusError {
    BusError::Unavailable(format!("others change the hook `{hook}` again and again: try again"))
}
