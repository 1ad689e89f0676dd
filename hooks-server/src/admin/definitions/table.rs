//! What the table of a hook that a client sends says of its name and its tenant.

use hooks_core::HookId;
use hooks_core::settings::Fault;
use serde_json::Value as Json;

use super::reader::Kept;

/// A hook that says nothing of its tenant keeps the one it has: without one it would receive everybody's events.
pub(super) fn keep_tenant(table: &mut Json, kept: Option<&Kept>) {
    let tenant = kept.and_then(|kept| kept.hook.get("tenant")).filter(|tenant| !tenant.is_null());
    if let (Some(tenant), Some(table)) = (tenant, table.as_object_mut()) {
        table.entry("tenant").or_insert_with(|| tenant.clone());
    }
}

/// Takes the id out of a table, where it may stand as long as it is the path's.
pub(super) fn take_id(hook: &HookId, table: &mut Json) {
    if table.get("id").is_some_and(|id| id == hook.as_str())
        && let Some(table) = table.as_object_mut()
    {
        table.remove("id");
    }
}

/// Another id is unknown to the reader, which does not know why.
pub(super) fn about_id(hook: &HookId, faults: &mut [Fault]) {
    let of_id = faults.iter_mut().filter(|fault| fault.pointer == "/id");
    of_id.for_each(|fault| fault.message = format!("id: it is not `{hook}`, as the path has it: leave it out"));
}
