//! What a request may do.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use hooks_core::TenantId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A right of a token. None has another in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// To publish events.
    Publish,
    /// To see hooks, dead letters, the log, past events and the metrics.
    Read,
    /// To change hooks, to replay and drop dead letters, and to make tokens.
    Manage,
}

impl Right {
    /// Its name in a config file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Manage => "manage",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a request may do. The server puts it into the request's extensions; so may a server of yours in front of
/// [`AdminService::router`](crate::admin::AdminService::router).
#[derive(Debug, Clone)]
pub struct Access {
    rights: BTreeSet<Right>,
    tenant: Option<TenantId>,
    expires: Option<SystemTime>,
    name: Option<Arc<str>>,
}

/// Equal if they allow the same, whatever their names.
impl PartialEq for Access {
    fn eq(&self, other: &Self) -> bool {
        let allowed = |access: &Self| (access.rights.clone(), access.tenant.clone(), access.expires);
        allowed(self) == allowed(other)
    }
}

impl Eq for Access {}

impl Access {
    /// These rights, of one tenant or of the whole daemon.
    pub fn new(rights: impl IntoIterator<Item = Right>, tenant: Option<TenantId>) -> Self {
        Self { rights: rights.into_iter().collect(), tenant, expires: None, name: None }
    }

    /// Everything, as whoever reaches the operators' socket may do.
    pub fn everything() -> Self {
        Self::new([Right::Publish, Right::Read, Right::Manage], None)
    }

    /// The same up to this time.
    #[must_use]
    pub fn until(self, expires: SystemTime) -> Self {
        Self { expires: Some(expires), ..self }
    }

    /// The same, of somebody whom the log calls by this name: that of a token, say.
    #[must_use]
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// True if it has this right.
    pub fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }

    /// The rights.
    pub fn rights(&self) -> &BTreeSet<Right> {
        &self.rights
    }

    /// The one tenant whose events and hooks it is about. `None`: everybody's.
    pub fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    /// The name in the log of whoever has it.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// The time at which it ends.
    pub fn expires(&self) -> Option<SystemTime> {
        self.expires
    }
}
