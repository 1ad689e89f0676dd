//! How many hooks a tenant may have.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};

use hooks_core::{HookId, TenantId};
use http::StatusCode;
use parking_lot::Mutex;

use super::{HookDefinitions, unavailable};
use crate::admin::response::Problem;

/// Hooks of one tenant, unless [`HookDefinitions::set`] says otherwise.
const MOST: usize = 1_000;

/// What counts beside the hooks that run.
pub(super) struct Places {
    most: AtomicUsize,
    /// Hooks of a tenant that are being made.
    making: Mutex<BTreeMap<TenantId, usize>>,
    stopped: Mutex<Stopped>,
}

/// Hooks of tenants that are defined and did not run when that was last looked at.
pub(super) type Stopped = BTreeMap<TenantId, BTreeSet<HookId>>;

impl Default for Places {
    fn default() -> Self {
        Self { most: MOST.into(), making: Mutex::default(), stopped: Mutex::default() }
    }
}

impl Places {
    pub(super) fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    pub(super) fn set_stopped(&self, stopped: Stopped) {
        *self.stopped.lock() = stopped;
    }

    pub(super) fn add_stopped(&self, tenant: TenantId, hook: HookId) {
        self.stopped.lock().entry(tenant).or_default().insert(hook);
    }

    /// A tenant's hooks that did not run when that was last looked at, by name: those after this name.
    pub(super) fn stopped_of(&self, tenant: &TenantId, after: Option<&HookId>) -> Vec<HookId> {
        let later = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let stopped = self.stopped.lock();
        stopped.get(tenant).into_iter().flat_map(|names| names.range::<HookId, _>(later)).cloned().collect()
    }

    fn forget_stopped(&self, tenant: &TenantId, hooks: &[HookId]) {
        let mut stopped = self.stopped.lock();
        if let Some(names) = stopped.get_mut(tenant) {
            names.retain(|name| !hooks.contains(name));
            if names.is_empty() {
                stopped.remove(tenant);
            }
        }
    }
}

/// A hook that is being made: it counts until it is there, or is not.
pub(super) struct Making<'a>(&'a Places, TenantId);

impl Drop for Making<'_> {
    fn drop(&mut self) {
        let mut making = self.0.making.lock();
        if let Some(count) = making.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                making.remove(&self.1);
            }
        }
    }
}

impl HookDefinitions {
    /// A place for one more hook of a tenant.
    pub(super) async fn place(&self, is_new: bool, tenant: Option<&TenantId>) -> Result<Option<Making<'_>>, Problem> {
        let Some(tenant) = tenant.filter(|_| is_new) else { return Ok(None) };
        let places = &self.0.places;
        let most = places.most.load(Ordering::Relaxed);
        let (taken, making) = {
            let mut making = places.making.lock();
            let count = making.entry(tenant.clone()).or_default();
            *count += 1;
            (Making(places, tenant.clone()), *count)
        };
        if making + self.0.dispatcher.hooks_of(tenant) + self.stopped(tenant).await? <= most {
            return Ok(Some(taken));
        }
        let why = format!("tenant `{tenant}` has {most} hooks, the most that it may have: delete one first");
        Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, why))
    }

    /// The number of a tenant's hooks that are defined and don't run.
    async fn stopped(&self, tenant: &TenantId) -> Result<usize, Problem> {
        let names = self.0.places.stopped_of(tenant, None);
        let defined = self.0.bus.hooks().definitions_of(&names).await;
        let defined = defined.map_err(|error| unavailable(error.to_string()))?;
        let (stopped, others): (Vec<_>, Vec<_>) = names
            .into_iter()
            .zip(defined)
            .partition(|(hook, defined)| defined.is_some() && self.0.dispatcher.hook(hook).is_none());
        let others: Vec<_> = others.into_iter().map(|(hook, _)| hook).collect();
        self.0.places.forget_stopped(tenant, &others);
        Ok(stopped.len())
    }
}
