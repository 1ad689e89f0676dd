//! Whose hooks they are.

use axum::extract::FromRequestParts;
use hooks_core::TenantId;
use http::StatusCode;
use http::request::Parts;
use serde_json::Value as Json;

use crate::admin::response::Problem;
use crate::admin::routes::tenant;

/// Whose hooks a client may see and change.
#[derive(Debug, Clone, Default)]
pub(super) struct Owner(Option<TenantId>);

impl Owner {
    /// # Errors
    /// When nothing says what the sender may.
    pub(super) fn of(parts: &Parts) -> Result<Self, Problem> {
        Ok(Self(tenant(parts)?.cloned()))
    }

    pub(super) fn tenant(&self) -> Option<&TenantId> {
        self.0.as_ref()
    }

    pub(super) fn owns(&self, tenant: Option<&TenantId>) -> bool {
        self.0.is_none() || self.tenant() == tenant
    }

    /// A tenant's hooks are its own.
    pub(super) fn fill_in(&self, table: &mut Json) -> Result<(), Problem> {
        let (Some(own), Some(table)) = (&self.0, table.as_object_mut()) else { return Ok(()) };
        let tenant = table.entry("tenant").or_insert_with(|| own.as_str().into());
        if *tenant == own.as_str() {
            return Ok(());
        }
        Err(Problem::new(StatusCode::FORBIDDEN, format!("tenant: the token is for `{own}`: leave it out")))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Owner {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(parts)
    }
}
