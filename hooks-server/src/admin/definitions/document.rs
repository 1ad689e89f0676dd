//! Hooks as the API shows them. No secret is in them.

use hooks_core::bus::Definition;
use hooks_core::{HookId, HookReport, Secret, TenantId, timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

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

/// Which hooks a page has.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) after: Option<HookId>,
    pub(super) limit: usize,
    pub(super) tenant: Option<TenantId>,
    pub(super) origin: Option<Origin>,
    pub(super) state: Option<String>,
    /// A part of the id or of the settings, in any case.
    pub(super) text: Option<String>,
}

/// Most hooks that are looked at for one page.
const MOST_LOOKED_AT: usize = 10_000;

/// The error of a hook with which nothing is wrong by now.
const NOT_RUNNING: &str = "it does not run: it could not be read at start; reload the config";

/// Names that are read at a time.
const NAMES: usize = 500;

impl HookDefinitions {
    /// A hook, if it runs here or the bus keeps its definition.
    pub(super) async fn document(&self, hook: &HookId) -> Result<Option<HookDocument>, Problem> {
        // In this order: a hook that runs is as its revision says, or newer, and then so is its definition.
        let revision = self.0.dispatcher.revision(hook);
        let runs = self.0.dispatcher.hook(hook);
        let defined = self.definition(hook).await?;
        if defined.is_none() && runs.is_none() {
            return Ok(None);
        }
        let settings = match &defined {
            Some(defined) if revision != Some(defined.revision) => {
                self.0.reader.open(hook, &defined.text).ok().and_then(|kept| self.0.reader.shown(kept.hook))
            }
            _ => runs.and_then(|hook| serde_json::from_str(hook.settings.as_deref()?).ok()),
        };
        let status = self.0.dispatcher.hook_status(hook).map(HookReport::from);
        let error = match (&defined, &status) {
            (Some(defined), None) => Some(self.why_not(hook, &defined.text).unwrap_or_else(|| NOT_RUNNING.to_owned())),
            _ => None,
        };
        Ok(Some(HookDocument {
            id: hook.clone(),
            origin: if defined.is_some() { Origin::Api } else { Origin::File },
            revision: defined.as_ref().map(|defined| defined.revision.get()),
            created: defined.as_ref().map(|defined| timestamp(defined.created)),
            changed: defined.as_ref().map(|defined| timestamp(defined.changed)),
            settings,
            error,
            status,
            secret: None,
        }))
    }

    fn why_not(&self, hook: &HookId, text: &str) -> Option<String> {
        let kept = match self.0.reader.open(hook, text) {
            Ok(kept) => kept,
            Err(why) => return Some(why),
        };
        self.0.reader.check(kept.hook).err().map(said)
    }

    /// A page of hooks. Where many have to be looked at for few, it ends early and says where to go on.
    pub(super) async fn page(&self, selection: &Selection) -> Result<HookPage, Problem> {
        let (mut hooks, mut after, mut looked_at) = (Vec::new(), selection.after.clone(), 0);
        if selection.limit == 0 {
            return Ok(HookPage { hooks, next: None });
        }
        loop {
            let names = self.names(after.as_ref()).await?;
            if names.is_empty() {
                return Ok(HookPage { hooks, next: None });
            }
            for name in names {
                if hooks.len() == selection.limit || looked_at == MOST_LOOKED_AT {
                    return Ok(HookPage { hooks, next: after });
                }
                looked_at += 1;
                // Of the others nothing more is looked at.
                if selection.tenant.is_none() || self.0.dispatcher.tenant_of(&name) == selection.tenant {
                    let document = self.document(&name).await?;
                    hooks.extend(document.filter(|document| selection.fits(document)));
                }
                after = Some(name);
            }
        }
    }

    /// The next names, of hooks that run here and of hooks that are defined.
    async fn names(&self, after: Option<&HookId>) -> Result<Vec<HookId>, Problem> {
        let defined = self.0.bus.hooks().definitions(after, NAMES).await;
        let defined = defined.map_err(|error| super::unavailable(error.to_string()))?;
        let mut names = self.0.dispatcher.hooks(after, NAMES);
        names.extend(defined.into_iter().map(|definition| definition.hook));
        names.sort();
        names.dedup();
        names.truncate(NAMES);
        Ok(names)
    }
}

impl HookDocument {
    /// True if what is shown is this tenant's: the hook may have become another's since it was looked for.
    pub(super) fn is_of(&self, tenant: &TenantId) -> bool {
        match (&self.settings, &self.status) {
            (Some(settings), _) => settings["tenant"] == tenant.as_str(),
            (None, Some(status)) => status.tenant.as_ref() == Some(tenant),
            (None, None) => false,
        }
    }
}

impl Selection {
    fn fits(&self, hook: &HookDocument) -> bool {
        let state = hook.status.as_ref().map(|status| status.state.as_str());
        self.tenant.as_ref().is_none_or(|tenant| hook.is_of(tenant))
            && self.origin.is_none_or(|origin| origin == hook.origin)
            && self.state.as_deref().is_none_or(|wanted| state == Some(wanted))
            && self.text.as_deref().is_none_or(|text| {
                let settings = hook.settings.as_ref().map(ToString::to_string).unwrap_or_default();
                [hook.id.as_str(), &settings].iter().any(|place| place.to_lowercase().contains(&text.to_lowercase()))
            })
    }
}
