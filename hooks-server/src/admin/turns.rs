//! How much of what takes long runs at a time: each holds memory, and no tenant takes all of it.

use std::collections::HashMap;
use std::sync::Arc;

use hooks_core::TenantId;
use http::StatusCode;
use parking_lot::Mutex;

use super::response::Problem;

/// The bounds for one kind of work.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Of one tenant.
    of_tenant: usize,
    /// Of all tenants together, so that operators have some.
    of_tenants: usize,
    /// Of everybody.
    of_all: usize,
    /// The work, in the plural.
    what: &'static str,
}

/// What runs or waits of one kind of work.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    bounds: Bounds,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of_tenants: usize,
    by_tenant: HashMap<TenantId, usize>,
}

/// Work that runs or waits, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    taken: Arc<Mutex<Taken>>,
    tenant: Option<TenantId>,
}

impl Turns {
    fn new(bounds: Bounds) -> Self {
        Self { bounds, taken: Arc::default() }
    }

    /// Looks into the log or the history. They wait for one another, and the bus has 32 places for those that wait.
    pub(super) fn looks() -> Self {
        Self::new(Bounds { of_tenant: 4, of_tenants: 24, of_all: usize::MAX, what: "looks" })
    }

    /// Resends and replays: each has up to 4 MiB of events in memory.
    pub(super) fn sendings() -> Self {
        Self::new(Bounds { of_tenant: 4, of_tenants: 32, of_all: 64, what: "resends and replays" })
    }

    /// Clients that follow attempts: each looks at them several times in a second.
    pub(super) fn follows() -> Self {
        Self::new(Bounds { of_tenant: 1, of_tenants: 4, of_all: 8, what: "clients that follow attempts" })
    }

    /// Clients that follow how it stands: each looks once in a second.
    pub(super) fn lives() -> Self {
        Self::new(Bounds { of_tenant: 4, of_tenants: 48, of_all: 64, what: "clients that follow how it stands" })
    }

    /// A turn of this tenant, or of nobody's.
    ///
    /// # Errors
    /// When the tenant has as many as it may, or all have.
    pub(super) fn take(&self, tenant: Option<TenantId>) -> Result<Turn, Problem> {
        let Bounds { of_tenant, of_tenants, of_all, what } = self.bounds;
        let refused = |most: usize, whose: &str| {
            let why =
                format!("there are {most} {what}{whose} already, and no more may be: try again once one has ended");
            Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, why))
        };
        let mut taken = self.taken.lock();
        if taken.all >= of_all {
            return refused(of_all, "");
        }
        if let Some(tenant) = &tenant {
            let own = taken.by_tenant.get(tenant).copied().unwrap_or(0);
            if own >= of_tenant {
                return refused(of_tenant, &format!(" of tenant `{tenant}`"));
            }
            if taken.of_tenants >= of_tenants {
                return refused(of_tenants, " of tenants");
            }
            taken.by_tenant.insert(tenant.clone(), own + 1);
            taken.of_tenants += 1;
        }
        taken.all += 1;
        Ok(Turn { taken: self.taken.clone(), tenant })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.all -= 1;
        let Some(tenant) = &self.tenant else { return };
        taken.of_tenants -= 1;
        if let Some(own) = taken.by_tenant.get_mut(tenant) {
            *own -= 1;
            if *own == 0 {
                taken.by_tenant.remove(tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Option<TenantId> {
        Some(TenantId::new(name).unwrap())
    }

    fn is_free(turns: &Turns) -> bool {
        let taken = turns.taken.lock();
        taken.by_tenant.is_empty() && (taken.all, taken.of_tenants) == (0, 0)
    }

    #[test]
    fn a_tenant_has_so_many_turns_and_takes_none_from_others() {
        let turns = Turns::looks();
        let mut taken: Vec<_> = (0..4).map(|_| turns.take(tenant("acme")).unwrap()).collect();
        let problem = turns.take(tenant("acme")).unwrap_err();
        assert!(problem.status == 429 && problem.detail.contains("4 looks of tenant `acme` already"), "{problem}");
        assert!(turns.take(tenant("other")).is_ok() && turns.take(None).is_ok());
        taken.pop();
        assert!(turns.take(tenant("acme")).is_ok());
        taken.clear();
        assert!(is_free(&turns));
    }

    #[test]
    fn tenants_leave_turns_to_operators_and_what_is_refused_takes_none() {
        let turns = Turns::sendings();
        let name = |number: usize| tenant(&format!("tenant-{}", number / 4));
        let mut taken: Vec<_> = (0..32).map(|number| turns.take(name(number)).unwrap()).collect();
        let problem = turns.take(tenant("acme")).unwrap_err();
        assert!(problem.status == 429 && problem.detail.contains("32 resends and replays of tenants"), "{problem}");
        taken.extend((0..32).map(|_| turns.take(None).unwrap()));
        let problem = turns.take(None).unwrap_err();
        assert!(problem.detail.starts_with("there are 64 resends and replays already"), "{problem}");
        drop(taken);
        assert!(is_free(&turns));
    }
}
