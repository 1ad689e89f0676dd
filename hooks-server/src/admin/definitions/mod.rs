//! Hooks that are managed at run time: defined, changed and removed over HTTP, and kept by the bus.

mod addresses;
mod condition;
mod document;
mod merge;
mod operations;
mod owner;
mod page;
mod places;
mod reader;
mod rekey;
mod reread;
mod routes;
mod sealer;
mod signing;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hooks_core::bus::{Definition, Expected, Revision};
use hooks_core::settings::Strangers;
use hooks_core::{Bus, DispatchError, Dispatcher, Hook, HookId, Restored, Secret, TenantId, chain};
use http::StatusCode;
use parking_lot::Mutex;
use schemars::SchemaGenerator;
use serde_json::Value as Json;

use super::response::Problem;
use crate::Keys;
use condition::Condition;
use merge::merge;
use owner::Owner;
use places::Places;
use reader::{Kept, Reader, Restorer, seconds};
use reread::Bounds;
use signing::{fill_in_secret, keep_first_secret, overlaps, rotate, signing_secret};
use table::{about_id, keep_tenant, take_id};

use document::Defined;
pub use document::{HookDocument, HookPage, Origin};
pub(super) use routes::routes;

/// How often a change without a condition begins anew because the hook was changed meanwhile.
const TRIES: usize = 100;

/// The hooks that are managed at run time. Clones are the same.
#[derive(Clone)]
pub struct HookDefinitions(Arc<Inner>);

struct Inner {
    bus: Arc<dyn Bus>,
    dispatcher: Arc<Dispatcher>,
    reader: Arc<Reader>,
    /// Hooks whose old secrets end, and when, in seconds since 1970.
    overlaps: Mutex<BTreeMap<HookId, u64>>,
    places: Places,
    /// Hooks that are defined and could not be started, and why.
    failures: Mutex<BTreeMap<HookId, String>>,
    bounds: Bounds,
}

/// A change of one hook.
enum Change {
    /// Defines the hook, or replaces its definition.
    Put(Json),
    /// A merge patch, RFC 7396.
    Patch(Json),
    /// Puts a new secret in front of the one that signs now. Both sign for so long; with no time at all the new one alone.
    Rotate(Duration),
    /// Drops the old secrets, if they end now.
    EndOverlap,
}

impl HookDefinitions {
    /// For hooks on this bus, which is of this kind, and its dispatcher. Definitions are sealed with these keys, which
    /// have to be the same wherever and whenever the bus is used; without any, no hook can be defined. Clients may set
    /// what [`Strangers`] may.
    pub fn new(
        bus: Arc<dyn Bus>,
        kind: impl Into<String>,
        dispatcher: Arc<Dispatcher>,
        keys: Option<&Keys>,
        strangers: Strangers,
    ) -> Self {
        let reader = Arc::new(Reader::new(kind.into(), bus.traits(), keys, strangers));
        Self(Arc::new(Inner {
            bus,
            dispatcher,
            reader,
            overlaps: Mutex::default(),
            places: Places::default(),
            failures: Mutex::default(),
            bounds: Bounds::default(),
        }))
    }

    /// Other keys and other bounds; `max_hooks` is how many a tenant may have, which takes none away that is there. What
    /// was sealed with keys that are not among these can't be read any more. Call [`restore`](Self::restore) then.
    pub fn set(&self, keys: Option<&Keys>, strangers: Strangers, max_hooks: usize) {
        self.0.places.set_most(max_hooks);
        if self.0.reader.set(keys, strangers) {
            self.0.bounds.change();
        }
    }

    /// Starts every hook that the bus keeps the definition of and that does not run yet: before anything is published, and
    /// again when the keys or bounds changed, so that hooks that could not be read run. Hooks that the new bounds forbid stop,
    /// and are in the answer; those that the operator's options make others change. Those that take a key which is not
    /// here are not in the answer: they are logged, together.
    ///
    /// # Errors
    /// When the definitions can't be read from the bus. The next call does what this one left.
    ///
    /// # Cancel safety
    /// A call that is dropped may have started, changed or stopped some of the hooks, each of them whole. The next one does
    /// the rest.
    pub async fn restore(&self) -> Result<Restored, DispatchError> {
        let mut restored = self.0.dispatcher.restore(Restorer(self.0.reader.clone())).await?;
        restored.failed.extend(self.reread().await?);
        let failures = restored.failed.iter().map(|(hook, error)| (hook.clone(), chain(error)));
        *self.0.failures.lock() = failures.collect();
        let closed = self.look_at_seals().await?;
        restored.failed.retain(|(hook, _)| !closed.contains(hook));
        for (hook, until) in self.0.reader.take_overlaps() {
            self.end_overlap_at(&hook, Some(until));
        }
        Ok(restored)
    }

    /// The JSON Schema of what clients may define a hook by.
    pub(super) fn schema(&self, generator: &mut SchemaGenerator) -> Json {
        self.0.reader.schema(generator)
    }

    /// The reason why a hook that is defined could not be started, when that was last tried.
    pub(in crate::admin) fn failure(&self, hook: &HookId) -> Option<String> {
        self.0.failures.lock().get(hook).cloned()
    }

    /// Returns the revision that it had; `None` if it is not defined.
    async fn remove(&self, hook: &HookId, condition: &Condition, owner: &Owner) -> Result<Option<Revision>, Problem> {
        for _ in 0..TRIES {
            let before = match owner.tenant() {
                Some(_) => self.owned(hook, owner).await?.0,
                // Also one that can't be read.
                None => self.definition(hook).await?,
            };
            let Some(before) = before else { return Ok(None) };
            condition.check(Some(before.revision))?;
            match self.0.dispatcher.undefine(hook, Expected::At(before.revision)).await {
                Err(DispatchError::Conflict { .. }) => {}
                Ok(removed) => return Ok(removed.then_some(before.revision)),
                Err(error) => return Err(problem(hook, &error)),
            }
        }
        Err(contended(hook))
    }

    /// The definition of a hook, if it has one.
    async fn definition(&self, hook: &HookId) -> Result<Option<Definition>, Problem> {
        self.0.bus.hooks().definition(hook).await.map_err(|error| unavailable(error.to_string()))
    }

    /// What is kept of a hook, where it is the owner's. Every try looks again: another tenant may have made it meanwhile.
    async fn owned(&self, hook: &HookId, owner: &Owner) -> Result<(Option<Definition>, Option<Kept>), Problem> {
        let Some(definition) = self.definition(hook).await? else {
            // Of a hook that was added without a definition, the running one knows whose it is.
            let is_others = self.0.dispatcher.hook(hook).is_some_and(|hook| !owner.owns(hook.tenant()));
            return if is_others { Err(unknown(hook)) } else { Ok((None, None)) };
        };
        let kept = match self.0.reader.open(hook, &definition.text) {
            Ok(kept) => kept,
            // Nobody knows whose it is.
            Err(_) if owner.tenant().is_some() => return Err(unknown(hook)),
            Err(why) => return Err(unavailable(why)),
        };
        if owner.tenant().is_some_and(|own| kept.hook["tenant"] != own.as_str()) {
            return Err(unknown(hook));
        }
        Ok((Some(definition), Some(kept)))
    }

    /// The reason why a hook without a definition is not changed.
    fn undefined(&self, hook: &HookId) -> Problem {
        if self.0.dispatcher.hook(hook).is_some() { of_config_file(hook) } else { unknown(hook) }
    }

    /// Returns the same definition as before where nothing differs.
    async fn change(
        &self,
        hook: &HookId,
        change: Change,
        condition: &Condition,
        owner: &Owner,
    ) -> Result<Defined, Problem> {
        self.0.reader.check_key()?;
        for _ in 0..TRIES {
            let (before, kept) = self.owned(hook, owner).await?;
            let revision = before.as_ref().map(|before| before.revision);
            if revision.is_none() && !matches!(change, Change::Put(_)) {
                return Err(self.undefined(hook));
            }
            condition.check(revision)?;
            let wanted = self.wanted(hook, kept.as_ref(), &change, owner)?;
            let Some((wanted, secret)) = wanted else {
                let (Some(definition), Some(kept)) = (before, kept) else { return Err(unknown(hook)) };
                let settings = self.0.reader.shown(kept.hook);
                return Ok(Defined { definition, settings, secret: None, is_new: false });
            };
            let bounds = self.0.reader.settings();
            let read = self.check(hook, &wanted.hook)?;
            let tenant = read.tenant().cloned();
            let _place = self.place(before.is_none(), tenant.as_ref()).await?;
            let text = self.0.reader.seal(hook, &wanted).map_err(unavailable)?;
            let seen = revision.map_or(Expected::Absent, Expected::At);
            let settings = read.settings.clone();
            match self.0.dispatcher.define_as(read, &text, seen).await {
                Ok(definition) => {
                    log(&definition, &change, before.is_none(), tenant.as_ref(), owner);
                    self.keep_in_bounds(&bounds, &definition, tenant).await;
                    self.end_overlap_at(hook, wanted.overlap_until);
                    let settings = settings.and_then(|text| serde_json::from_str(&text).ok());
                    return Ok(Defined { definition, settings, secret, is_new: before.is_none() });
                }
                // Somebody else changed it since; what this client expects is looked at again.
                Err(DispatchError::Conflict { .. }) => {}
                Err(error) => return Err(problem(hook, &error)),
            }
        }
        Err(contended(hook))
    }

    /// What the definition is to be, and the secret that was made for it. `None`: as it is.
    fn wanted(
        &self,
        hook: &HookId,
        kept: Option<&Kept>,
        change: &Change,
        owner: &Owner,
    ) -> Result<Option<(Kept, Option<Secret>)>, Problem> {
        let mut overlap_until = kept.and_then(|kept| kept.overlap_until);
        let mut made = None;
        let known = || kept.map(|kept| kept.hook.clone()).ok_or_else(|| unknown(hook));
        let table = match change {
            Change::Put(table) => {
                let mut table = table.clone();
                take_id(hook, &mut table);
                keep_tenant(&mut table, kept);
                let given = signing_secret(&mut table).is_some_and(|secret| !secret.is_absent());
                if given {
                    overlap_until = None;
                } else {
                    made = fill_in_secret(&mut table, kept.map(|kept| &kept.hook))?;
                }
                table
            }
            Change::Patch(patch) => {
                let mut table = known()?;
                let secret = signing_secret(&mut table).map(|secret| secret.value());
                merge(&mut table, patch);
                take_id(hook, &mut table);
                if signing_secret(&mut table).map(|secret| secret.value()) != secret {
                    overlap_until = None;
                }
                table
            }
            Change::Rotate(overlap) => {
                let mut table = known()?;
                let now = SystemTime::now();
                if let Some(until) = overlap_until.filter(|until| *until > seconds(now) && !overlap.is_zero()) {
                    return Err(overlaps(hook, until));
                }
                made = Some(rotate(hook, &mut table)?);
                overlap_until = (!overlap.is_zero()).then(|| seconds(now + *overlap));
                if overlap.is_zero() {
                    keep_first_secret(&mut table);
                }
                table
            }
            Change::EndOverlap => {
                let mut table = known()?;
                if overlap_until.take().is_none_or(|until| until > seconds(SystemTime::now())) {
                    return Ok(None);
                }
                keep_first_secret(&mut table);
                table
            }
        };
        let mut table = table;
        owner.fill_in(&mut table)?;
        let wanted = Kept { hook: table, overlap_until };
        Ok((kept != Some(&wanted)).then_some((wanted, made)))
    }

    /// The hook of this table.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn check(&self, hook: &HookId, table: &Json) -> Result<Hook, Problem> {
        let read = self.0.reader.read(table.clone()).and_then(|settings| settings.into_hook(hook.clone()));
        read.map_err(|mut faults| {
            about_id(hook, &mut faults);
            let count = faults.len();
            let why =
                format!("the definition has {count} {}: see `faults`", if count == 1 { "fault" } else { "faults" });
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why).with_faults(faults)
        })
    }

    /// Old secrets go when their time is over.
    fn end_overlap_at(&self, hook: &HookId, until: Option<u64>) {
        let Some(until) = until else {
            self.0.overlaps.lock().remove(hook);
            return;
        };
        if self.0.overlaps.lock().insert(hook.clone(), until) == Some(until) {
            return;
        }
        let (inner, hook) = (Arc::downgrade(&self.0), hook.clone());
        let wait = Duration::from_secs(until.saturating_sub(seconds(SystemTime::now())) + 1);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let Some(inner) = inner.upgrade() else { return };
            if let Err(problem) =
                Self(inner).change(&hook, Change::EndOverlap, &Condition::default(), &Owner::default()).await
            {
                tracing::warn!(%hook, error = %problem, "the hook's old secret still signs beside the new one: the change could not be kept");
            }
        });
    }
}

impl fmt::Debug for HookDefinitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookDefinitions").finish_non_exhaustive()
    }
}

/// Says what became of a hook, and who made it so.
fn log(definition: &Definition, change: &Change, is_new: bool, tenant: Option<&TenantId>, owner: &Owner) {
    let what = match change {
        Change::Put(_) | Change::Patch(_) if is_new => "the hook was defined over the API",
        Change::Put(_) | Change::Patch(_) => "the hook was changed over the API",
        Change::Rotate(_) => "the hook got a new secret over the API",
        Change::EndOverlap => "the hook's old secret signs no longer",
    };
    let (hook, revision, tenant) = (&definition.hook, definition.revision, tenant.map(TenantId::as_str));
    tracing::info!(%hook, %revision, tenant, by = owner.by(), "{what}");
}

fn contended(hook: &HookId) -> Problem {
    let why = format!("hook `{hook}` is being changed by others all the time: try again");
    Problem::new(StatusCode::CONFLICT, why)
}

fn unknown(hook: &HookId) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is no hook `{hook}`"))
}

fn of_config_file(hook: &HookId) -> Problem {
    let why = format!("hook `{hook}` is in the config file: change it there and reload, or choose another id");
    Problem::new(StatusCode::CONFLICT, why)
}

fn unavailable(why: impl Into<String>) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, why)
}

fn problem(hook: &HookId, error: &DispatchError) -> Problem {
    let status = match error {
        DispatchError::Conflict { .. } => StatusCode::PRECONDITION_FAILED,
        DispatchError::NotKept => StatusCode::NOT_IMPLEMENTED,
        DispatchError::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        DispatchError::NotDefined(_) => return of_config_file(hook),
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Problem::new(status, chain(error))
}

#[cfg(test)]
mod tests;
