//! Whose hooks they are.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use hooks_core::TenantId;
use http::StatusCode;
use http::request::Parts;
use serde_json::Value as Json;

use crate::admin::response::Problem;
use crate::admin::routes::tenant;
use crate::{Access, Right};

/// Whose hooks a client may see and change.
#[derive(Debug, Clone, Default)]
pub(super) struct Owner {
    tenant: Option<TenantId>,
    manages: bool,
    by: Option<Arc<str>>,
}

impl Owner {
    /// # Errors
    /// When nothing says what the sender may.
    pub(super) fn of(parts: &Parts) -> Result<Self, Problem> {
        let access = parts.extensions.get::<Access>();
        let manages = access.is_some_and(|access| access.may(Right::Manage));
        Ok(Self { tenant: tenant(parts)?.cloned(), manages, by: access.and_then(Access::name).cloned() })
    }

    /// The name of the client's token, for the log.
    pub(super) fn by(&self) -> Option<&str> {
        self.by.as_deref()
    }

    pub(super) fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    /// True if it may change hooks, and so see everything of them but their secrets.
    pub(super) fn manages(&self) -> bool {
        self.manages
    }

    pub(super) fn owns(&self, tenant: Option<&TenantId>) -> bool {
        self.tenant.is_none() || self.tenant() == tenant
    }

    /// A tenant's hooks are its own.
    pub(super) fn fill_in(&self, table: &mut Json) -> Result<(), Problem> {
        let (Some(own), Some(table)) = (&self.tenant, table.as_object_mut()) else { return Ok(()) };
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
