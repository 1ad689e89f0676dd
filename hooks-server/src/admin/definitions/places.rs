//! How many hooks a tenant may have.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use hooks_core::{HookId, TenantId};
use http::StatusCode;
use parking_lot::Mutex;

use super::HookDefinitions;
use crate::admin::response::Problem;

/// Hooks of one tenant, unless [`HookDefinitions::set`] says otherwise.
const MOST: usize = 1_000;

/// What counts beside the hooks that run.
pub(super) struct Places {
    most: AtomicUsize,
    /// Hooks of a tenant that are being made.
    making: Mutex<BTreeMap<TenantId, usize>>,
    /// Hooks that are defined and did not run when that was last looked at, and whose they are.
    stopped: Mutex<BTreeMap<HookId, TenantId>>,
}

impl Default for Places {
    fn default() -> Self {
        Self { most: MOST.into(), making: Mutex::default(), stopped: Mutex::default() }
    }
}

impl Places {
    pub(super) fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    pub(super) fn set_stopped(&self, stopped: BTreeMap<HookId, TenantId>) {
        *self.stopped.lock() = stopped;
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
        let stopped = self.0.places.stopped.lock().clone();
        let mut count = 0;
        for hook in stopped.into_iter().filter_map(|(hook, of)| (of == *tenant).then_some(hook)) {
            if self.0.dispatcher.hook(&hook).is_none() && self.definition(&hook).await?.is_some() {
                count += 1;
            } else {
                self.0.places.stopped.lock().remove(&hook);
            }
        }
        Ok(count)
    }
}
