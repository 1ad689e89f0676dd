//! What can be asked of the hooks that are managed at run time.

use hooks_core::{EndpointState, HookId, TenantId};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value as Json, json};

use super::document::{HookDocument, HookPage, Origin};
use super::routes::{Rotated, Rotation, Tested};
use crate::admin::response::Done;
use crate::admin::routes::JSON;
use crate::admin::{Content, Operation, page};

const HOOK: &str = "/v1/hooks/{id}";

fn states() -> Json {
    let names: Vec<_> = EndpointState::ALL.iter().map(|state| state.name()).collect();
    json!({ "type": "string", "enum": names })
}

/// A page has so many hooks, and at most so many.
pub(super) fn list() -> Operation {
    Operation::get("/v1/hooks", "listHooks", "A page of hooks, by name")
        .parameter("query", "after", "The page begins behind this name.", schema::<HookId>())
        .parameter("query", "limit", "Most hooks of the page.", page::limit_schema())
        .parameter("query", "tenant", "Only this tenant's hooks.", schema::<TenantId>())
        .parameter("query", "state", "Only hooks in this state, as `status` has it.", states())
        .parameter("query", "origin", "Only hooks from there.", schema::<Origin>())
        .parameter("query", "q", "Only hooks with this text in their name or settings.", json!({ "type": "string" }))
        .answers::<HookPage>(200, "The page.")
        .problems(&[501])
}

pub(super) fn show() -> Operation {
    Operation::get(HOOK, "getHook", "A hook: its settings without secrets, and its status")
        .answers::<HookDocument>(200, "The hook.")
        .with_header("ETag", "Its revision. A hook of the config file has none.")
        .problems(&[404, 501])
}

pub(super) fn put() -> Operation {
    changes(Operation::put(HOOK, "putHook", "Makes a hook, or replaces its settings"))
        .parameter(
            "header",
            "If-None-Match",
            "`*`: only if there is no hook of this name; else the revisions that it must not have.",
            tags(),
        )
        .takes(JSON, Content::Definition)
        .answers::<HookDocument>(200, "The hook as it is now.")
        .with_header("ETag", "Its revision.")
        .answers::<HookDocument>(201, "The new hook. Events that are accepted from now on reach it.")
        .with_header("ETag", "Its revision.")
        .with_header("Location", "Where it is.")
        .problems(&[404, 409, 412, 422, 429, 501])
}

pub(super) fn patch(media_types: &[&'static str]) -> Operation {
    let operation = changes(Operation::patch(HOOK, "patchHook", "Changes some of a hook's settings (RFC 7396)"));
    let operation =
        media_types.iter().fold(operation, |operation, media_type| operation.takes(media_type, Content::Patch));
    operation
        .answers::<HookDocument>(200, "The hook as it is now.")
        .with_header("ETag", "Its revision.")
        .problems(&[404, 409, 412, 422, 501])
}

pub(super) fn remove() -> Operation {
    changes(Operation::delete(HOOK, "deleteHook", "Removes a hook with its position and dead letters"))
        .parameter("query", "stopped", "`true` spares a hook that runs.", json!({ "const": "true" }))
        .answers::<Done>(200, "It is gone.")
        .problems(&[404, 409, 412, 501])
}

pub(super) fn test() -> Operation {
    Operation::post("/v1/hooks/{id}/test", "testHook", "Delivers a test event at once")
        .answers::<Tested>(200, "What came of it, also where it was not delivered.")
        .problems(&[404, 409])
}

pub(super) fn rotate() -> Operation {
    changes(Operation::post("/v1/hooks/{id}/rotate-secret", "rotateSecret", "Makes a new signing secret"))
        .takes(JSON, Content::of::<Rotation>())
        .answers::<Rotated>(200, "The new secret. It is shown this once.")
        .with_header("ETag", "The hook's revision.")
        .problems(&[404, 409, 412, 422, 501])
}

/// The schema of a parameter, without references.
fn schema<T: JsonSchema>() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().subschema_for::<T>().to_value()
}

/// A hook may be changed on condition that it is as the client knows it.
fn changes(operation: Operation) -> Operation {
    let description = "The revisions that the hook may have, as `ETag` has them; `*`: any.";
    operation.parameter("header", "If-Match", description, tags())
}

/// A list of entity tags (RFC 9110, section 8.8.3), or `*`.
fn tags() -> Json {
    let tag = "(W/)?\"[!#-~]*\"";
    json!({ "type": "string", "if": { "const": "*" }, "else": { "pattern": format!("^{tag}(, ?{tag})*$") } })
}
