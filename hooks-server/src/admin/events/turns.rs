//! How many looks into the log a tenant may make at a time: looks wait for one another, and no tenant fills the queue.

use std::collections::HashMap;
use std::sync::Arc;

use hooks_core::TenantId;
use http::StatusCode;
use parking_lot::Mutex;

use crate::admin::response::Problem;

/// Most looks of a tenant at a time.
const MOST: usize = 4;

/// The looks of tenants that run or wait.
#[derive(Debug, Clone, Default)]
pub(in crate::admin) struct Turns(Arc<Mutex<HashMap<TenantId, usize>>>);

/// A look that runs or waits, until it is dropped.
#[derive(Debug)]
pub(in crate::admin) struct Turn {
    turns: Turns,
    tenant: Option<TenantId>,
}

impl Turns {
    /// A turn of this tenant. Whoever looks for all tenants has as many as there are.
    ///
    /// # Errors
    /// When the tenant has as many as it may.
    pub(in crate::admin) fn take(&self, tenant: Option<TenantId>) -> Result<Turn, Problem> {
        if let Some(tenant) = &tenant {
            let mut turns = self.0.lock();
            let taken = turns.entry(tenant.clone()).or_default();
            if *taken == MOST {
                let why =
                    format!("{MOST} looks of tenant `{tenant}` run or wait: make this one after they are answered");
                return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, why));
            }
            *taken += 1;
        }
        Ok(Turn { turns: self.clone(), tenant })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(tenant) = &self.tenant else { return };
        let mut turns = self.turns.0.lock();
        if let Some(taken) = turns.get_mut(tenant) {
            *taken -= 1;
            if *taken == 0 {
                turns.remove(tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_so_many_turns_and_takes_none_from_others() {
        let turns = Turns::default();
        let take = |tenant: &str| turns.take(Some(TenantId::new(tenant).unwrap()));
        let mut taken: Vec<_> = (0..MOST).map(|_| take("acme").unwrap()).collect();
        assert_eq!(take("acme").unwrap_err().status, 429);
        assert!(take("other").is_ok() && turns.take(None).is_ok());
        taken.pop();
        assert!(take("acme").is_ok());
        taken.clear();
        assert!(turns.0.lock().is_empty());
    }
}
