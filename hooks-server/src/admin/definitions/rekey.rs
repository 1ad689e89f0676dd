//! Which keys definitions are sealed with, and sealing all of them anew with the first.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _};
use hooks_core::bus::Definition;
use hooks_core::{BusError, DispatchError, HookId, chain};

use super::places::Stopped;
use super::sealer::Seal;
use super::{HookDefinitions, Problem, TRIES, unavailable};
use crate::admin::response::{NotRekeyed, Rekeyed};

/// Definitions that are read at a time.
const PAGE: usize = 1_000;

/// Definitions that are sealed at a time.
const AT_ONCE: usize = 64;

/// Hooks that a line of the log names.
const NAMED: usize = 20;

/// What was done to one definition.
enum Done {
    Sealed,
    /// It was sealed with the first key already, or is gone.
    Nothing,
}

impl HookDefinitions {
    /// Seals every definition with the first key that is not sealed with it. The hooks go on as they are. Each definition is
    /// changed for itself, by its revision: a call that is cut off can be made again. With `dry_run` it only counts.
    ///
    /// # Errors
    /// When there is no key, or the definitions can't be read. What could not be done to single ones is in the answer.
    pub(in crate::admin) async fn rekey(&self, dry_run: bool) -> Result<Rekeyed, Problem> {
        self.0.reader.check_key()?;
        let key = self.0.reader.key().unwrap_or_default();
        let mut rekeyed = Rekeyed { key, rekeyed: 0, current: 0, failed: Vec::new() };
        let mut after = None;
        loop {
            let page = self.defined_after(after.as_ref()).await.map_err(|error| unavailable(error.to_string()))?;
            let Some(last) = page.last() else { break };
            after = Some(last.hook.clone());
            let sealed = stream::iter(page).map(async |definition| {
                let hook = definition.hook.clone();
                (hook, self.rekey_one(definition, dry_run).await)
            });
            let mut sealed = sealed.buffer_unordered(AT_ONCE);
            while let Some((hook, sealed)) = sealed.next().await {
                match sealed {
                    Ok(Done::Sealed) => rekeyed.rekeyed += 1,
                    Ok(Done::Nothing) => rekeyed.current += 1,
                    Err(why) => rekeyed.failed.push(NotRekeyed { hook, why }),
                }
            }
        }
        if !dry_run {
            let (key, count, failed) = (&rekeyed.key, rekeyed.rekeyed, rekeyed.failed.len());
            tracing::info!(key, definitions = count, failed, "definitions were sealed anew by an operator");
        }
        Ok(rekeyed)
    }

    async fn rekey_one(&self, definition: Definition, dry_run: bool) -> Result<Done, String> {
        let hook = definition.hook.clone();
        let mut definition = Some(definition);
        for _ in 0..TRIES {
            let Some(before) = definition else { return Ok(Done::Nothing) };
            if self.0.reader.seal_of(&hook, &before.text).0 == Seal::Current {
                return Ok(Done::Nothing);
            }
            let text = self.0.reader.seal(&hook, &self.0.reader.open(&hook, &before.text)?)?;
            if dry_run {
                return Ok(Done::Sealed);
            }
            match self.0.dispatcher.rewrite(&hook, &text, before.revision).await {
                Ok(_) => return Ok(Done::Sealed),
                // Somebody changed it since.
                Err(DispatchError::Conflict { .. }) => {}
                Err(error) => return Err(chain(&error)),
            }
            definition = self.definition(&hook).await.map_err(|problem| problem.detail)?;
        }
        Err("others change it all the time: try again".to_owned())
    }

    async fn defined_after(&self, after: Option<&HookId>) -> Result<Vec<Definition>, BusError> {
        self.0.bus.hooks().definitions(after, PAGE).await
    }

    /// Says in the log which definitions take a key that is not here, and which an old one; returns the former. Enters
    /// whose the hooks are that don't run.
    pub(super) async fn look_at_seals(&self) -> Result<BTreeSet<HookId>, DispatchError> {
        let (mut closed, mut old) = (BTreeMap::<_, Vec<HookId>>::new(), BTreeMap::<_, usize>::new());
        let (mut stopped, mut after) = (Stopped::new(), None);
        loop {
            let page = self.defined_after(after.as_ref()).await.map_err(DispatchError::Definitions)?;
            let Some(last) = page.last() else { break };
            after = Some(last.hook.clone());
            for Definition { hook, text, .. } in page {
                if self.0.dispatcher.hook(&hook).is_none()
                    && let Some(tenant) = self.0.reader.tenant(&hook, &text)
                {
                    stopped.entry(tenant).or_default().insert(hook.clone());
                }
                match self.0.reader.seal_of(&hook, &text).0 {
                    Seal::Current => {}
                    Seal::Old(key) => *old.entry(key).or_default() += 1,
                    Seal::Closed(key) => closed.entry(key).or_default().push(hook),
                }
            }
        }
        self.0.places.set_stopped(stopped);
        for (key, definitions) in old {
            tracing::info!(
                key,
                definitions,
                "definitions of hooks are sealed with an old key: `hooks secrets rekey` seals them with the first, and then the old one can go"
            );
        }
        for (key, hooks) in &closed {
            say_closed(key.as_deref(), hooks);
        }
        Ok(closed.into_values().flatten().collect())
    }
}

fn say_closed(key: Option<&str>, hooks: &[HookId]) {
    let mut names: Vec<&str> = hooks.iter().take(NAMED).map(HookId::as_str).collect();
    let others = format!("{} others", hooks.len().saturating_sub(NAMED));
    if hooks.len() > NAMED {
        names.push(&others);
    }
    tracing::error!(
        key = key.unwrap_or("unknown"),
        hooks = names.join(", "),
        "definitions of hooks are sealed with a key that is not here: until it is, these hooks don't start and can't be changed; put that key back as one more line of api.secrets_key_file (without it: of secrets.key in the bus's folder) and reload, run `hooks secrets rekey`, and take it out then"
    );
}
