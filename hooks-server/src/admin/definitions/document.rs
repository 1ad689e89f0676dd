//! Hooks as the API shows them. No secret is in them.

use hooks_core::bus::Definition;
use hooks_core::{HookId, HookReport, RunningHook, Secret, TenantId, timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::addresses::hide_addresses;
use super::reader::said;
use super::{HookDefinitions, Problem};

/// Where a hook comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Defined at run time; the bus keeps it.
    Api,
    /// Added by the process itself: from the config file, or in code. It can't be changed over the API.
    File,
}

/// A hook: its settings without secrets, and its status.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct HookDocument {
    /// Its name.
    pub id: HookId,
    /// Where it comes from.
    pub origin: Origin,
    /// The number of its last change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// When it was defined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<String>,
    /// What a `[[hooks]]` table holds, without `id` and secrets. `None`: it was built in code, or can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, Json>>")]
    pub settings: Option<Json>,
    /// Why it does not run, where it can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its status, where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<HookReport>,
    /// The secret that was made for it. It is shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Whose it is, where its settings can't be shown.
    #[serde(skip)]
    pub(super) tenant: Option<TenantId>,
}

/// A page of hooks, by name.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct HookPage {
    /// The hooks.
    pub hooks: Vec<HookDocument>,
    /// There may be more: what to ask for with `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<HookId>,
}

/// A hook that was defined or changed.
#[derive(Debug)]
pub(super) struct Defined {
    /// What the bus keeps.
    pub(super) definition: Definition,
    /// Its settings without secrets.
    pub(super) settings: Option<Json>,
    /// The secret that was made for it.
    pub(super) secret: Option<Secret>,
    /// True if it was not there before.
    pub(super) is_new: bool,
}

/// The error of a hook with which nothing is wrong by now.
const NOT_RUNNING: &str = "it does not run: it could not be read at start; reload the config";

/// A hook that was looked up: what runs, and what the bus keeps.
pub(super) struct Found {
    pub(super) id: HookId,
    pub(super) running: Option<RunningHook>,
    /// Read after what runs: a hook that runs is as its revision says, or newer, and then so is its definition.
    pub(super) defined: Option<Definition>,
}

impl Found {
    pub(super) fn origin(&self) -> Origin {
        if self.defined.is_some() { Origin::Api } else { Origin::File }
    }

    /// What runs, where that is what is defined or added without a definition.
    pub(super) fn as_defined(&self) -> Option<&RunningHook> {
        let running = self.running.as_ref()?;
        (running.revision == self.defined.as_ref().map(|defined| defined.revision)).then_some(running)
    }
}

impl HookDefinitions {
    /// A hook, if it runs here or the bus keeps its definition.
    pub(super) async fn document(&self, hook: &HookId) -> Result<Option<HookDocument>, Problem> {
        let running = self.0.dispatcher.running(hook);
        let defined = self.definition(hook).await?;
        Ok(self.shown(Found { id: hook.clone(), running, defined }))
    }

    /// A hook as it is shown. `None`: there is none, or no more.
    pub(super) fn shown(&self, found: Found) -> Option<HookDocument> {
        let (origin, as_defined) = (found.origin(), found.as_defined());
        let (settings, tenant) = match (as_defined, &found.defined) {
            (Some(running), _) => {
                let settings = running.hook.settings.as_deref().and_then(|text| serde_json::from_str(text).ok());
                (settings, running.hook.tenant().cloned())
            }
            (None, Some(defined)) => self.settings_of(defined),
            (None, None) => return None,
        };
        let Found { id, defined, .. } = found;
        let status = self.0.dispatcher.hook_status(&id).map(HookReport::from);
        let error = match (&defined, &status) {
            (Some(defined), None) => Some(self.why_not(&id, &defined.text).unwrap_or_else(|| NOT_RUNNING.to_owned())),
            _ => None,
        };
        Some(HookDocument {
            id,
            origin,
            revision: defined.as_ref().map(|defined| defined.revision.get()),
            created: defined.as_ref().map(|defined| timestamp(defined.created)),
            changed: defined.as_ref().map(|defined| timestamp(defined.changed)),
            settings,
            error,
            status,
            secret: None,
            tenant,
        })
    }

    /// Settings without secrets, and whose they are, as far as they can be read.
    fn settings_of(&self, definition: &Definition) -> (Option<Json>, Option<TenantId>) {
        let Ok(kept) = self.0.reader.open(&definition.hook, &definition.text) else { return (None, None) };
        let tenant = kept.hook["tenant"].as_str().and_then(|tenant| TenantId::new(tenant).ok());
        (self.0.reader.shown(kept.hook), tenant)
    }

    fn why_not(&self, hook: &HookId, text: &str) -> Option<String> {
        let kept = match self.0.reader.open(hook, text) {
            Ok(kept) => kept,
            Err(why) => return Some(why),
        };
        self.0.reader.read(kept.hook).err().map(said)
    }
}

impl HookDocument {
    /// Hides what the paths and queries of the sink's addresses hold, which is often a token.
    pub(super) fn hide_addresses(&mut self) {
        if let Some(sink) = self.settings.as_mut().and_then(|settings| settings.get_mut("sink")) {
            hide_addresses(sink);
        }
    }

    /// True if what is shown is this tenant's: the hook may have become another's since it was looked for.
    pub(super) fn is_of(&self, tenant: &TenantId) -> bool {
        let of_status = || self.status.as_ref().and_then(|status| status.tenant.as_ref());
        match &self.settings {
            Some(settings) => settings["tenant"] == tenant.as_str(),
            None => self.tenant.as_ref().or_else(of_status) == Some(tenant),
        }
    }
}
