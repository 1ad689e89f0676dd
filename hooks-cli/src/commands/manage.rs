//! `hooks get`, `hooks delete`: the hooks that a daemon has.

use std::collections::BTreeMap;

use hooks_core::BoxError;
use hooks_server::admin::{HookDocument, Origin};
use serde_json::Value as Json;

use super::operate::with_daemon;
use super::print;
use crate::args::manage::GetArgs;
use crate::args::operate::HookArgs;
use crate::exit::Exit;
use crate::outcome;

pub(crate) fn get(args: &GetArgs) -> Exit {
    with_daemon(&args.whom, async |daemon| {
        let hooks = match &args.id {
            Some(id) => vec![daemon.hook(id).await?],
            None => daemon.all().await?,
        };
        match (&args.id, hooks.as_slice()) {
            _ if args.json => show_json(&hooks)?,
            (Some(_), [hook]) => print(&whole(hook)),
            _ => print(&table(&hooks)),
        }
        Ok(Exit::Done)
    })
}

pub(crate) fn delete(args: &HookArgs) -> Exit {
    with_daemon(&args.whom, async |daemon| {
        daemon.delete(&args.id, None).await?;
        print(&format!("hook `{}` is deleted\n", args.id));
        Ok(Exit::Done)
    })
}

fn show_json(hooks: &[HookDocument]) -> Result<(), BoxError> {
    hooks.iter().try_for_each(|hook| {
        print(&(serde_json::to_string(hook)? + "\n"));
        Ok(())
    })
}

fn table(hooks: &[HookDocument]) -> String {
    let head = ["hook", "origin", "tenant", "sink", "state", "changed"].map(str::to_owned);
    let rows = hooks.iter().map(|hook| {
        let setting = |pointer: &str| {
            let value = hook.settings.as_ref().and_then(|settings| settings.pointer(pointer)?.as_str());
            value.unwrap_or("-").to_owned()
        };
        let changed = hook.changed.clone().unwrap_or_else(|| "-".to_owned());
        [hook.id.to_string(), origin(hook).to_owned(), setting("/tenant"), setting("/sink/kind"), state(hook), changed]
    });
    outcome::columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

/// A hook with its settings, a line each.
fn whole(hook: &HookDocument) -> String {
    let mut rows = vec![["hook".to_owned(), hook.id.to_string()], ["origin".to_owned(), origin(hook).to_owned()]];
    let revision = hook.revision.map(|revision| revision.to_string());
    let last_error = hook.status.as_ref().and_then(|status| status.last_error.clone());
    let more = [
        ("revision", revision),
        ("created", hook.created.clone()),
        ("changed", hook.changed.clone()),
        ("state", Some(state(hook))),
        ("last error", hook.error.clone().or(last_error)),
    ];
    rows.extend(more.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?])));
    rows.extend(lines(hook.settings.as_ref().unwrap_or(&Json::Null)).into_iter().map(|(name, value)| [name, value]));
    outcome::columns(&rows)
}

/// Settings, each with its path (`sink.url`) and its value as JSON.
pub(super) fn lines(settings: &Json) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    collect("", settings, &mut lines);
    lines
}

fn collect(path: &str, value: &Json, lines: &mut BTreeMap<String, String>) {
    match value {
        Json::Object(members) if path.is_empty() || !members.is_empty() => {
            let dot = if path.is_empty() { "" } else { "." };
            members.iter().for_each(|(name, value)| collect(&format!("{path}{dot}{name}"), value, lines));
        }
        _ if path.is_empty() => {}
        value => {
            lines.insert(path.to_owned(), value.to_string());
        }
    }
}

fn origin(hook: &HookDocument) -> &'static str {
    if hook.origin == Origin::Api { "api" } else { "file" }
}

fn state(hook: &HookDocument) -> String {
    let state = hook.status.as_ref().map(|status| status.state.clone());
    state.unwrap_or_else(|| "-".to_owned())
}
