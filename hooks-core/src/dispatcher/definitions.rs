//! Hooks that the bus keeps the definition of: restored at start, changed at run time, and followed where processes
//! share the bus.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex as SyncMutex;

use super::hook_locks::uncancelled;
use super::{DispatchError, Dispatcher, Inner};
use crate::BoxError;
use crate::bus::{DefineError, Definition, Expected, Revision, StartAt};
use crate::hook::Hook;
use crate::id::HookId;

/// Makes a hook of its definition's text. A closure is one.
///
/// ```
/// use hooks_core::{BoxError, DefinitionReader, Hook, HookId};
/// # #[derive(Debug)] struct Stdout;
/// # impl hooks_core::sink::SinkFactory for Stdout {
/// #     fn kind(&self) -> &str { "stdout" }
/// #     fn build(&self, _: &hooks_core::sink::SinkContext) -> Result<Box<dyn hooks_core::Sink>, BoxError> { Err("".into()) }
/// # }
/// fn reader() -> impl DefinitionReader {
///     |id: &HookId, text: &str| match text {
///         "stdout" => Ok(Hook::new(id.as_str(), Stdout)?),
///         other => Err(format!("there is no sink `{other}`").into()),
///     }
/// }
/// assert!(reader().read(&HookId::new("a")?, "stdout").is_ok());
/// # Ok::<(), BoxError>(())
/// ```
pub trait DefinitionReader: Send + Sync + 'static {
    /// The hook of this name and text.
    ///
    /// # Errors
    /// Everything that is wrong with the text. It is logged, so it must hold no secret.
    fn read(&self, hook: &HookId, text: &str) -> Result<Hook, BoxError>;
}

impl<F: Fn(&HookId, &str) -> Result<Hook, BoxError> + Send + Sync + 'static> DefinitionReader for F {
    fn read(&self, hook: &HookId, text: &str) -> Result<Hook, BoxError> {
        self(hook, text)
    }
}

/// The outcome of [`Dispatcher::restore`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Restored {
    /// Number of hooks that were added.
    pub hooks: usize,
    /// Hooks that could not be added, by name, and why. The bus keeps their events.
    pub failed: Vec<(HookId, DispatchError)>,
}

/// The hooks of this dispatcher that the bus keeps the definition of.
#[derive(Default)]
pub(super) struct Defined {
    reader: SyncMutex<Option<Arc<dyn DefinitionReader>>>,
    pub(super) revisions: SyncMutex<BTreeMap<HookId, Revision>>,
}

impl Defined {
    pub(super) fn forget(&self, hook: &HookId) {
        self.revisions.lock().remove(hook);
    }
}

/// Definitions that are read from the bus at a time.
const PAGE: usize = 1_000;

/// Hooks that a task adds, one after the other.
const IN_A_TASK: usize = 16;

/// Tasks that add hooks at a time.
const AT_ONCE: usize = 64;

impl Dispatcher {
    /// Adds every hook that the bus keeps the definition of, and from then on [`define`](Self::define) and
    /// [`undefine`](Self::undefine) change them. On a bus that processes share, hooks that another process defines,
    /// changes or undefines later are added, changed and removed here, too.
    ///
    /// A hook that can't be added stays defined, and the bus keeps its events: what keeps it from being added is in the
    /// answer. Call it before anything is published; a later call, with another reader say, adds those that are not there
    /// yet.
    ///
    /// # Errors
    /// When the definitions can't be read from the bus. Some hooks may have been added then.
    ///
    /// # Cancel safety
    /// A call that is dropped may have added some of the hooks, each of them whole.
    pub async fn restore(&self, reader: impl DefinitionReader) -> Result<Restored, DispatchError> {
        self.0.is_open()?;
        *self.0.defined.reader.lock() = Some(Arc::new(reader));
        self.0.follow();
        let mut restored = Restored::default();
        let mut after = None;
        loop {
            let page =
                self.0.bus.hooks().definitions(after.as_ref(), PAGE).await.map_err(DispatchError::Definitions)?;
            let Some(last) = page.last() else { return Ok(restored) };
            after = Some(last.hook.clone());
            // Some at a time share a task, which costs as much as a hook.
            let parts: Vec<_> = page.chunks(IN_A_TASK).map(<[_]>::to_vec).collect();
            let parts = stream::iter(parts).map(|part| uncancelled(self.0.clone().restore_part(part)));
            let mut parts = parts.buffer_unordered(AT_ONCE);
            while let Some(part) = parts.next().await {
                restored.hooks += part.hooks;
                restored.failed.extend(part.failed);
            }
        }
    }

    /// Defines a hook: a new one, or a change of one that was defined before. Returns what the bus keeps now. Every event
    /// that is accepted after this returns reaches the hook, by whichever process of a shared bus it is accepted, and
    /// also when this process ends at once.
    ///
    /// # Errors
    /// When the text makes no hook, or the definition is not the expected one; nothing has changed then. Also when the
    /// hook was [added](Self::add) without a definition, [`restore`](Self::restore) was not called, or the bus can't keep
    /// definitions. After an error of the bus itself the change may hold all the same.
    ///
    /// # Cancel safety
    /// As for [`add`](Self::add).
    pub async fn define(&self, id: &HookId, text: &str, expected: Expected) -> Result<Definition, DispatchError> {
        let (hook, text) = (id.clone(), text.to_owned());
        self.locked(id, |inner| async move {
            inner.refuse_other(&hook)?;
            let hook = inner.hook_of(&hook, &text)?;
            inner.define(hook, &text, expected).await
        })
        .await
    }

    /// Does the same for a hook that was made of the text already: the text is not read again.
    ///
    /// # Errors
    /// As for [`define`](Self::define).
    ///
    /// # Cancel safety
    /// As for [`add`](Self::add).
    pub async fn define_as(&self, hook: Hook, text: &str, expected: Expected) -> Result<Definition, DispatchError> {
        let (id, text) = (hook.id.clone(), text.to_owned());
        self.locked(&id, |inner| async move {
            inner.refuse_other(&hook.id)?;
            inner.reader(&hook.id)?;
            super::changes::validate(&hook)?;
            inner.define(hook, &text, expected).await
        })
        .await
    }

    /// Removes a hook that is defined: its definition, its position, its override and its dead letters. Returns false if
    /// the bus keeps no definition of it.
    ///
    /// # Errors
    /// When the definition is not the expected one, or the bus can't remove it; the hook then stays.
    ///
    /// # Cancel safety
    /// As for [`add`](Self::add).
    pub async fn undefine(&self, id: &HookId, expected: Expected) -> Result<bool, DispatchError> {
        let hook = id.clone();
        self.locked(id, |inner| async move { inner.undefine(&hook, expected).await }).await
    }

    /// Keeps another text that makes the same hook: one that is sealed with another key, say. The hook that runs goes on as
    /// if nothing had happened; also one that could not be restored can get another text.
    ///
    /// # Errors
    /// When the definition has another revision, or the bus can't keep it.
    ///
    /// # Cancel safety
    /// As for [`add`](Self::add).
    pub async fn rewrite(&self, id: &HookId, text: &str, before: Revision) -> Result<Definition, DispatchError> {
        let (hook, text) = (id.clone(), text.to_owned());
        self.locked(id, |inner| async move { inner.rewrite(&hook, &text, before).await }).await
    }

    /// Makes a hook of its definition once more, because what makes a hook of it has changed: the reader of the last
    /// [`restore`](Self::restore). The definition is the one that was read from the bus since. A hook that is another one now is changed, and one that can't be made any more is
    /// [removed](Self::remove) here. It stays defined, and a later `restore` adds it again if it can.
    ///
    /// # Errors
    /// When the hook can't be made of its definition, or the bus refuses.
    ///
    /// # Cancel safety
    /// As for [`add`](Self::add).
    pub async fn reread(&self, definition: &Definition) -> Result<(), DispatchError> {
        let read = definition.clone();
        self.locked(&definition.hook, |inner| async move { inner.reread(read).await }).await
    }

    /// The revision of a hook that the bus keeps the definition of. `None` for a hook that was [added](Self::add) without
    /// one.
    pub fn revision(&self, id: &HookId) -> Option<Revision> {
        self.0.defined.revisions.lock().get(id).copied()
    }
}

impl Inner {
    /// Adds hooks that are defined.
    async fn restore_part(self: Arc<Self>, definitions: Vec<Definition>) -> Restored {
        let mut restored = Restored::default();
        for definition in definitions {
            let lock = self.lock_hook(&definition.hook).await;
            let is_new = !self.defined.revisions.lock().contains_key(&definition.hook);
            let applied = match self.is_open() {
                Ok(()) => self.apply(&definition).await,
                closed => closed,
            };
            drop(lock);
            match applied {
                Ok(()) => restored.hooks += usize::from(is_new),
                Err(error) => restored.failed.push((definition.hook, error)),
            }
        }
        restored
    }
}

/// Callers hold the hook's lock.
impl Inner {
    async fn define(self: &Arc<Self>, hook: Hook, text: &str, expected: Expected) -> Result<Definition, DispatchError> {
        let id = &hook.id;
        let defined = self.bus.hooks().define(id, text, expected, hook.starts_at()).await.map_err(refused(id))?;
        self.put(hook, defined.revision).await?;
        Ok(defined)
    }

    async fn rewrite(&self, id: &HookId, text: &str, before: Revision) -> Result<Definition, DispatchError> {
        let store = self.bus.hooks();
        // It has its place on the bus already.
        let rewritten = store.define(id, text, Expected::At(before), StartAt::End).await.map_err(refused(id))?;
        // One that runs with an older definition has yet to follow.
        if let Some(known) = self.defined.revisions.lock().get_mut(id).filter(|known| **known == before) {
            *known = rewritten.revision;
        }
        Ok(rewritten)
    }

    async fn undefine(self: &Arc<Self>, id: &HookId, expected: Expected) -> Result<bool, DispatchError> {
        self.refuse_other(id)?;
        let before = self.bus.hooks().definition(id).await.map_err(|error| refused(id)(error.into()))?;
        expected.check(before.as_ref().map(|before| before.revision)).map_err(refused(id))?;
        let Some(before) = before else { return Ok(false) };
        self.take(id).await?;
        match self.bus.hooks().undefine(id, expected).await {
            Ok(removed) => Ok(removed),
            Err(error) => {
                // It is defined still, as far as is known.
                self.apply(&before).await?;
                Err(refused(id)(error))
            }
        }
    }

    /// Makes the hook what its definition says.
    async fn apply(self: &Arc<Self>, definition: &Definition) -> Result<(), DispatchError> {
        if self.defined.revisions.lock().get(&definition.hook) >= Some(&definition.revision) {
            return Ok(());
        }
        self.refuse_other(&definition.hook)?;
        let hook = self.hook_of(&definition.hook, &definition.text)?;
        self.put(hook, definition.revision).await
    }

    /// Adds or changes a hook that is defined, and valid.
    async fn put(self: &Arc<Self>, hook: Hook, revision: Revision) -> Result<(), DispatchError> {
        let id = hook.id.clone();
        match self.slot(&id) {
            // Another process has rewritten its definition: what it has on its way goes on.
            Ok(slot) if slot.hook.is_like(&hook) => {}
            Ok(_) => self.change(hook).await?,
            Err(_) => self.add_valid(hook).await?,
        }
        self.defined.revisions.lock().insert(id, revision);
        Ok(())
    }

    /// Removes a hook that is defined, if it is here.
    async fn take(self: &Arc<Self>, id: &HookId) -> Result<(), DispatchError> {
        match self.remove(id).await {
            Ok(_) | Err(DispatchError::UnknownHook(_)) => {}
            Err(error) => return Err(error),
        }
        self.defined.forget(id);
        Ok(())
    }

    async fn reread(self: &Arc<Self>, read: Definition) -> Result<(), DispatchError> {
        let id = &read.hook.clone();
        let Some(known) = self.defined.revisions.lock().get(id).copied() else { return Ok(()) };
        let definition = if known > read.revision {
            // It was changed or rewritten since it was read.
            self.bus.hooks().definition(id).await.map_err(|error| refused(id)(error.into()))?
        } else {
            Some(read)
        };
        let Some(definition) = definition else { return Ok(()) };
        match self.hook_of(id, &definition.text) {
            Ok(hook) => self.put(hook, definition.revision).await,
            Err(error) => {
                self.take(id).await?;
                Err(error)
            }
        }
    }

    /// A hook that was added without a definition keeps its name to itself.
    fn refuse_other(&self, id: &HookId) -> Result<(), DispatchError> {
        let is_other = self.slot(id).is_ok() && !self.defined.revisions.lock().contains_key(id);
        if is_other { Err(DispatchError::NotDefined(id.clone())) } else { Ok(()) }
    }

    fn hook_of(&self, id: &HookId, text: &str) -> Result<Hook, DispatchError> {
        let hook = self.reader(id)?.read(id, text).map_err(|error| invalid(id, &error))?;
        super::changes::validate(&hook)?;
        Ok(hook)
    }

    fn reader(&self, id: &HookId) -> Result<Arc<dyn DefinitionReader>, DispatchError> {
        let reader = self.defined.reader.lock().clone();
        reader.ok_or_else(|| invalid(id, &"the dispatcher has not restored the bus's hooks"))
    }

    /// Makes one hook what another process defined it to be.
    pub(super) async fn follow_definition(self: &Arc<Self>, hook: HookId) -> HookId {
        if self.defined.reader.lock().is_none() {
            return hook;
        }
        let lock = self.lock_hook(&hook).await;
        let (inner, id) = (self.clone(), hook.clone());
        let followed = uncancelled(async move {
            let followed = inner.apply_definition(&id).await;
            drop(lock);
            followed
        });
        if let Err(error) = followed.await {
            tracing::error!(%hook, error = crate::chain(&error), "another process defined, changed or undefined the hook, but this one could not: it goes on as before");
        }
        hook
    }

    async fn apply_definition(self: &Arc<Self>, id: &HookId) -> Result<(), DispatchError> {
        self.is_open()?;
        let definition = self.bus.hooks().definition(id).await.map_err(|error| refused(id)(error.into()))?;
        match definition {
            Some(definition) => self.apply(&definition).await,
            None if self.defined.revisions.lock().contains_key(id) => self.take(id).await,
            None => Ok(()),
        }
    }
}

fn invalid(hook: &HookId, why: &dyn fmt::Display) -> DispatchError {
    DispatchError::Invalid { hook: hook.clone(), problems: vec![why.to_string()] }
}

fn refused(hook: &HookId) -> impl Fn(DefineError) -> DispatchError {
    move |error| match error {
        DefineError::Conflict { current } => DispatchError::Conflict { hook: hook.clone(), current },
        DefineError::NotKept => DispatchError::NotKept,
        DefineError::Bus(error) => DispatchError::Bus { hook: hook.clone(), error },
    }
}
