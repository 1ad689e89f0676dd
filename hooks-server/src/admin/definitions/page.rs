//! Pages of hooks, and which hooks they have.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use hooks_core::bus::Definition;
use hooks_core::{EndpointState, HookId, RunningHook, TenantId};
use memchr::memmem::Finder;

use super::document::{Found, HookDocument, HookPage, Origin};
use super::{HookDefinitions, Problem, unavailable};

/// Which hooks a page has.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) after: Option<HookId>,
    pub(super) limit: usize,
    pub(super) tenant: Option<TenantId>,
    pub(super) origin: Option<Origin>,
    pub(super) state: Option<EndpointState>,
    /// The paths of addresses, and values in their queries, are neither shown nor found.
    pub(super) hides_addresses: bool,
    pub(super) text: Option<Text>,
}

/// A part of the id or of the settings, in any case.
#[derive(Debug)]
pub(super) struct Text(Finder<'static>);

impl Text {
    pub(super) fn new(text: &str) -> Self {
        Self(Finder::new(text.to_lowercase().as_bytes()).into_owned())
    }

    fn is_in(&self, place: &str) -> bool {
        self.0.find(place.to_lowercase().as_bytes()).is_some()
    }
}

/// Most hooks that are looked at for one page.
const MOST_LOOKED_AT: usize = 4_000;

/// Hooks that are looked at at a time, where not every hook is shown.
const AT_ONCE: usize = 500;

impl HookDefinitions {
    /// A page of hooks. Where many have to be looked at for few, it ends early and says where to go on.
    pub(super) async fn page(&self, selection: &Selection) -> Result<HookPage, Problem> {
        let (mut hooks, mut after, mut looked_at) = (Vec::new(), selection.after.clone(), 0);
        if selection.limit == 0 {
            return Ok(HookPage { hooks, next: None });
        }
        loop {
            // One more says whether there is another page.
            let count = if selection.has_all() { selection.limit - hooks.len() + 1 } else { AT_ONCE };
            let found = self.found(after.as_ref(), count, selection.tenant.as_ref()).await?;
            if found.is_empty() {
                return Ok(HookPage { hooks, next: None });
            }
            for found in found {
                if hooks.len() == selection.limit || looked_at == MOST_LOOKED_AT {
                    return Ok(HookPage { hooks, next: after });
                }
                looked_at += 1;
                after = Some(found.id.clone());
                if selection.may_have(&found) {
                    let mut document = self.shown(found);
                    if let Some(document) = document.as_mut().filter(|_| selection.hides_addresses) {
                        document.hide_addresses();
                    }
                    hooks.extend(document.filter(|document| selection.has(document)));
                }
            }
        }
    }

    /// The next hooks, of those that run here and those that are defined. Of a tenant's those that run here, and those that
    /// did not when that was last looked at: of the others it is not known whose they are.
    async fn found(
        &self,
        after: Option<&HookId>,
        count: usize,
        tenant: Option<&TenantId>,
    ) -> Result<Vec<Found>, Problem> {
        let (running, store) = (self.0.dispatcher.hooks(after, count, tenant), self.0.bus.hooks());
        let Some(tenant) = tenant else {
            let defined = store.definitions(after, count).await.map_err(|error| unavailable(error.to_string()))?;
            return Ok(joined(running, defined, count));
        };
        let stopped = self.0.places.stopped_of(tenant, after).into_iter().map(|id| (id, None));
        let mut hooks: BTreeMap<_, _> = stopped.collect();
        hooks.extend(running.into_iter().map(|running| (running.hook.id.clone(), Some(running))));
        let names: Vec<_> = hooks.keys().take(count).cloned().collect();
        let defined = store.definitions_of(&names).await.map_err(|error| unavailable(error.to_string()))?;
        Ok(hooks.into_iter().zip(defined).map(|((id, running), defined)| Found { id, running, defined }).collect())
    }
}

/// The first ones of both by name.
fn joined(running: Vec<RunningHook>, defined: Vec<Definition>, count: usize) -> Vec<Found> {
    let (mut running, mut defined) = (running.into_iter().peekable(), defined.into_iter().peekable());
    let next = || {
        let (id, order) = match (running.peek(), defined.peek()) {
            (Some(running), Some(defined)) => {
                let order = running.hook.id.cmp(&defined.hook);
                (if order.is_le() { &running.hook.id } else { &defined.hook }, order)
            }
            (Some(running), None) => (&running.hook.id, Ordering::Less),
            (None, Some(defined)) => (&defined.hook, Ordering::Greater),
            (None, None) => return None,
        };
        let id = id.clone();
        let (running, defined) = (running.next_if(|_| order.is_le()), defined.next_if(|_| order.is_ge()));
        Some(Found { id, running, defined })
    };
    std::iter::from_fn(next).take(count).collect()
}

impl Selection {
    /// True if it leaves no hook out, or only those of other tenants.
    fn has_all(&self) -> bool {
        self.origin.is_none() && self.state.is_none() && self.text.is_none()
    }

    /// False if it is seen before the hook is shown that it does not fit.
    fn may_have(&self, found: &Found) -> bool {
        let text = || found.as_defined().and_then(|running| running.hook.settings.as_deref());
        let is_in = |wanted: &Text| text().is_none_or(|text| wanted.is_in(text)) || wanted.is_in(found.id.as_str());
        let state = found.running.as_ref().map(|running| running.state);
        self.origin.is_none_or(|origin| origin == found.origin())
            && self.state.is_none_or(|wanted| state == Some(wanted))
            && self.text.as_ref().is_none_or(is_in)
    }

    fn has(&self, hook: &HookDocument) -> bool {
        let state = hook.status.as_ref().map(|status| status.state.as_str());
        let settings = || hook.settings.as_ref().map(ToString::to_string).unwrap_or_default();
        self.tenant.as_ref().is_none_or(|tenant| hook.is_of(tenant))
            && self.origin.is_none_or(|origin| origin == hook.origin)
            && self.state.is_none_or(|wanted| state == Some(wanted.name()))
            && self.text.as_ref().is_none_or(|text| text.is_in(hook.id.as_str()) || text.is_in(&settings()))
    }
}
