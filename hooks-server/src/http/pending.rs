//! How much each tenant has pending: published by its tokens, and not settled yet by the hook of it that is furthest
//! behind. That is its share of what the bus has to keep.
//!
//! A request costs one look-up here. What the hooks are behind is looked at only when what was published since the last
//! look might exceed the limit.

use std::collections::HashMap;

use hooks_core::{ByteSize, TenantId, bus::Lag};
use parking_lot::Mutex;

/// The tenants that published.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<HashMap<TenantId, Account>>);

/// An upper bound of what a tenant has pending.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    /// Bytes that were pending at the last look.
    seen: u64,
    /// Bytes that were published since.
    since: u64,
}

impl Pending {
    /// Lets a tenant publish so many bytes more. `lags` looks at its hooks.
    ///
    /// # Errors
    /// When too much would be pending. A request is let through when nothing is, however large it is.
    pub(super) fn admit(
        &self,
        tenant: &TenantId,
        bytes: u64,
        limit: ByteSize,
        lags: impl FnOnce() -> Vec<Lag>,
    ) -> Result<(), String> {
        let most = {
            let mut accounts = self.0.lock();
            let account = accounts.entry(tenant.clone()).or_default();
            let most = account.seen + account.since;
            if most + bytes <= limit.bytes() {
                account.since += bytes;
                return Ok(());
            }
            most
        };
        // Outside the lock: it may take long, and others publish meanwhile.
        let behind = lags().into_iter().map(|lag| bytes_of(lag, most)).max().unwrap_or(0);
        let fits = behind == 0 || behind + bytes <= limit.bytes();
        let account = Account { seen: behind, since: if fits { bytes } else { 0 } };
        self.0.lock().insert(tenant.clone(), account);
        if fits { Ok(()) } else { Err(refused(tenant, behind, limit)) }
    }
}

/// Where others' events are counted too, the tenant's are at most those that it published.
fn bytes_of(lag: Lag, most: u64) -> u64 {
    if lag.exact { lag.bytes } else { lag.bytes.min(most) }
}

fn refused(tenant: &TenantId, behind: u64, limit: ByteSize) -> String {
    format!(
        "{behind} bytes of tenant `{tenant}` wait for its receivers, and {limit} may (api.max_pending): publish more when they have caught up"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lag(bytes: u64, exact: bool) -> Lag {
        Lag { events: 1, bytes, exact, ..Lag::default() }
    }

    #[test]
    fn a_tenant_publishes_until_its_hooks_are_too_far_behind() {
        let (pending, acme, other) =
            (Pending::default(), TenantId::new("acme").unwrap(), TenantId::new("other").unwrap());
        let limit = ByteSize::new(100);
        let no_look = || -> Vec<Lag> { panic!("there is no need to look") };
        pending.admit(&acme, 60, limit, no_look).unwrap();
        pending.admit(&acme, 40, limit, no_look).unwrap();
        let why = pending.admit(&acme, 1, limit, || vec![lag(30, true), lag(100, true)]).unwrap_err();
        assert!(why.starts_with("100 bytes of tenant `acme` wait for its receivers, and 100 may"), "{why}");
        pending.admit(&other, 100, limit, no_look).unwrap();
        pending.admit(&acme, 10, limit, || vec![lag(30, true), lag(90, true)]).unwrap();
        // All is delivered: one request may be larger than the limit.
        pending.admit(&acme, 500, limit, || vec![lag(0, true)]).unwrap();
        pending.admit(&acme, 1, limit, || vec![lag(500, true)]).unwrap_err();
        pending.admit(&acme, 1, limit, Vec::new).unwrap();
    }

    #[test]
    fn the_events_of_others_do_not_count() {
        let (pending, acme) = (Pending::default(), TenantId::new("acme").unwrap());
        let limit = ByteSize::new(100);
        pending.admit(&acme, 60, limit, Vec::new).unwrap();
        // A hook that reads from the disk says how much all is that comes to it.
        let why = pending.admit(&acme, 50, limit, || vec![lag(1_000_000, false)]).unwrap_err();
        assert!(why.starts_with("60 bytes of"), "{why}");
        pending.admit(&acme, 40, limit, Vec::new).unwrap();
        pending.admit(&acme, 50, limit, || vec![lag(20, false)]).unwrap();
    }
}
