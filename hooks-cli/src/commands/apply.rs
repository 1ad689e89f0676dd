//! `hooks apply`: a daemon gets the hooks of a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use hooks_core::{BoxError, HookId};
use hooks_server::admin::{HookDocument, Origin, Problem};
use serde_json::Value as Json;

use super::manage::lines;
use super::operate::with_daemon;
use super::print;
use crate::args::manage::ApplyArgs;
use crate::config::{self, FileHook, HookFile};
use crate::console::complain;
use crate::exit::Exit;
use crate::operator::{Defined, Managed};
use crate::outcome::count;

/// The hooks that a daemon has.
type Present = BTreeMap<HookId, HookDocument>;

pub(crate) fn run(args: &ApplyArgs) -> Exit {
    let file = match config::load_hooks(&args.file) {
        Ok(file) => file,
        Err(problems) => {
            complain(problems);
            return Exit::Config;
        }
    };
    with_daemon(&args.whom, async |daemon| {
        let present = daemon.all().await?.into_iter().map(|hook| (hook.id.clone(), hook)).collect();
        let taken = taken(&file, &present);
        if !taken.is_empty() {
            complain(file.problems(taken));
            return Ok(Exit::Config);
        }
        let surplus = if args.prune { surplus(&file, &present) } else { Vec::new() };
        match args.dry_run {
            true => Ok(preview(&file, &present, &surplus)),
            false => apply(daemon, &file, &present, &surplus).await,
        }
    })
}

/// The file's hooks whose names the daemon's own config file has.
fn taken<'a>(file: &'a HookFile, present: &Present) -> Vec<(&'a FileHook, Vec<(String, String)>)> {
    let why = || (String::new(), "the daemon's config file has a hook of this name: take it out there".to_owned());
    let taken = file.hooks.iter().filter(|hook| present.get(&hook.id).is_some_and(|hook| hook.origin == Origin::File));
    taken.map(|hook| (hook, vec![why()])).collect()
}

/// The hooks that were defined at the daemon, and that the file does not have.
fn surplus<'a>(file: &HookFile, present: &'a Present) -> Vec<&'a HookDocument> {
    let defined = present.values().filter(|hook| hook.origin == Origin::Api);
    defined.filter(|hook| !file.hooks.iter().any(|wanted| wanted.id == hook.id)).collect()
}

/// Says what would be done.
fn preview(file: &HookFile, present: &Present, surplus: &[&HookDocument]) -> Exit {
    let mut text = String::new();
    let mut compared = true;
    for hook in &file.hooks {
        let before = present.get(&hook.id);
        let difference = difference(before.and_then(|hook| hook.settings.as_ref()), hook);
        let what = if before.is_some() { "changed" } else { "defined" };
        if before.is_none() || !difference.is_empty() {
            let _ = write!(text, "hook `{}` would be {what}:\n{difference}", hook.id);
        }
        compared &= before.is_none() || !hook.has_secrets();
    }
    for hook in surplus {
        let _ = writeln!(text, "hook `{}` would be deleted", hook.id);
    }
    if text.is_empty() {
        text = nothing_to_do(file);
    }
    print(&text);
    if !compared {
        complain("secrets of hooks that are there already were not compared: a daemon does not show them");
    }
    Exit::Done
}

/// The settings that differ, a line for each and its value before and after. Of a new hook, those that are written.
fn difference(before: Option<&Json>, hook: &FileHook) -> String {
    let (mut after, written) = (lines(&hook.shown), lines(&hook.table()));
    if before.is_none() {
        after.retain(|path, _| written.contains_key(path));
    }
    let before = lines(before.unwrap_or(&Json::Null));
    let paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut text = String::new();
    for path in paths.into_iter().filter(|path| before.get(*path) != after.get(*path)) {
        for (sign, side) in [('-', &before), ('+', &after)] {
            if let Some(value) = side.get(path) {
                let _ = writeln!(text, "  {sign} {path} = {value}");
            }
        }
    }
    hook.redact(&text)
}

fn nothing_to_do(file: &HookFile) -> String {
    format!("nothing to do: {} as the file has it\n", count(file.hooks.len() as u64, "hook"))
}

/// Defines what is missing or differs, and says so. A hook with something wrong does not stop the others.
async fn apply(
    daemon: &mut Managed,
    file: &HookFile,
    present: &Present,
    surplus: &[&HookDocument],
) -> Result<Exit, BoxError> {
    let (mut idle, mut wrong, mut stopped) = (true, Vec::new(), None);
    for hook in &file.hooks {
        let revision = present.get(&hook.id).and_then(|hook| hook.revision);
        match daemon.define(&hook.id, &hook.table(), revision).await {
            Ok(defined) => idle &= !show(&defined, revision),
            Err(error) => match error.downcast::<Problem>() {
                Ok(problem) if !problem.faults.is_empty() => wrong.push((hook, faults(&problem))),
                Ok(problem) => stopped = Some(format!("hook `{}`: {problem}", hook.id).into()),
                Err(error) => stopped = Some(error),
            },
        }
        if stopped.is_some() {
            break;
        }
    }
    let is_sound = wrong.is_empty();
    if !is_sound {
        complain(file.problems(wrong));
    }
    if !surplus.is_empty() && (!is_sound || stopped.is_some()) {
        complain("nothing was deleted, because not all of the file could be applied");
    }
    match stopped {
        Some(error) => return Err(error),
        None if !is_sound => return Ok(Exit::Config),
        None => {}
    }
    for hook in surplus {
        daemon.delete(&hook.id, hook.revision).await?;
        print(&format!("hook `{}` is deleted\n", hook.id));
    }
    if idle && surplus.is_empty() {
        print(&nothing_to_do(file));
    }
    Ok(Exit::Done)
}

/// Says what was done, if anything was.
fn show(defined: &Defined, before: Option<u64>) -> bool {
    let Defined { is_new, hook } = defined;
    if hook.revision == before {
        return false;
    }
    print(&format!("hook `{}` is {}\n", hook.id, if *is_new { "defined" } else { "changed" }));
    if let Some(secret) = &hook.secret {
        print(&format!("  its secret, which is not shown again: {secret}\n"));
    }
    true
}

/// What the daemon finds wrong with a hook.
fn faults(problem: &Problem) -> Vec<(String, String)> {
    let text = |fault: &Json, name: &str| Some(fault.get(name)?.as_str()?.to_owned());
    let faults = problem.faults.iter();
    faults.filter_map(|fault| Some((text(fault, "pointer")?, text(fault, "reason")?))).collect()
}
