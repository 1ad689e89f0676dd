//! `hooks test`.

use std::sync::Arc;
use std::time::Duration;

use hooks_bus::MemoryBus;
use hooks_core::names::nearest;
use hooks_core::{Dispatcher, Envelope, Hook, HookId, TestError, TestReport, chain, sink::Answer};

use super::{matches, print, runtime, warn};
use crate::args::TestArgs;
use crate::config::{self, Config, Origin, WithoutBus};
use crate::console::complain;
use crate::exit::Exit;

pub(crate) fn run(args: &TestArgs) -> Exit {
    let config = match config::load(&Origin::from(args.config.as_path()), WithoutBus::Either) {
        Ok(config) => config,
        Err(problems) => {
            complain(problems);
            return Exit::Config;
        }
    };
    warn(&config);
    let events = match events(&config, args) {
        Ok(events) => events,
        Err(exit) => return exit,
    };
    let mut hooks: Vec<Hook> = config.hooks.into_iter().map(|hook| hook.hook).collect();
    let Some(at) = hooks.iter().position(|hook| hook.id.as_str() == args.id) else {
        complain(unknown(&args.id, &config.file, &hooks));
        return Exit::Failed;
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(error);
            return Exit::Failed;
        }
    };
    runtime.block_on(with_hook(hooks.swap_remove(at), events, args.dry_run))
}

async fn with_hook(hook: Hook, events: Vec<Envelope>, dry_run: bool) -> Exit {
    let id = hook.id.clone();
    let unwanted = events.iter().filter(|event| !hook.filter.matches(event)).count();
    let dispatcher = Dispatcher::new(Arc::new(MemoryBus::default()));
    if let Err(error) = dispatcher.add(hook).await {
        complain(chain(&error));
        return Exit::Failed;
    }
    let exit = if dry_run { show(&dispatcher, &id, events).await } else { test(&dispatcher, &id, events).await };
    dispatcher.shutdown(Some(Duration::ZERO)).await;
    if unwanted > 0 {
        complain(format_args!(
            "hook `{id}`: its filter leaves out {unwanted} of these events: it would not receive them"
        ));
    }
    exit
}

/// Shows what the hook would send.
async fn show(dispatcher: &Dispatcher, id: &HookId, events: Vec<Envelope>) -> Exit {
    let shown = match dispatcher.preview(id, events).await {
        Ok(shown) => shown,
        Err(error) => {
            complain(chain(&error));
            return Exit::Failed;
        }
    };
    let is_fit = shown.iter().all(Result::is_ok);
    let texts: Vec<String> =
        shown.into_iter().map(|shown| shown.unwrap_or_else(|error| error.chain() + "\n")).collect();
    print(&texts.join("\n"));
    if is_fit { Exit::Done } else { Exit::Failed }
}

async fn test(dispatcher: &Dispatcher, id: &HookId, mut events: Vec<Envelope>) -> Exit {
    let result = match events.pop() {
        None => dispatcher.test(id).await,
        Some(event) => dispatcher.test_with(id, event).await,
    };
    match result {
        Ok(TestReport { refused: None, answer, took, notes, .. }) => {
            print(&format!("hook `{id}`: delivered in {took:.1?}{}{}", said(&answer), told(&notes)));
            Exit::Done
        }
        Ok(TestReport { refused: Some(reason), answer, took, notes, .. }) => {
            print(&format!("hook `{id}`: refused after {took:.1?}: {reason}{}{}", said(&answer), told(&notes)));
            Exit::Failed
        }
        Err(TestError::Failed { error, took, notes }) => {
            let answer = error.answer.as_ref().map(detail).unwrap_or_default();
            print(&format!("hook `{id}`: failed after {took:.1?}: {}\n{answer}{}", error.chain(), told(&notes)));
            Exit::Failed
        }
        Err(error) => {
            complain(chain(&error));
            Exit::Failed
        }
    }
}

/// The events of the file that was named, or none. Only a dry run shows several.
fn events(config: &Config, args: &TestArgs) -> Result<Vec<Envelope>, Exit> {
    let Some(file) = &args.event else { return Ok(Vec::new()) };
    let text = matches::read(file)?;
    let accepted = |(number, json): (usize, &[u8])| {
        matches::accepted(config, json).map_err(|error| format!("event {number}: {error}"))
    };
    let events =
        matches::split(&text).and_then(|events| events.into_iter().map(accepted).collect::<Result<Vec<_>, _>>());
    let events = events.and_then(|events| match events.len() {
        count if count > 1 && !args.dry_run => Err(format!("{count} events: a test sends one, --dry-run shows more")),
        _ => Ok(events),
    });
    events.map_err(|why| {
        complain(format_args!("{}: {why}", file.display()));
        Exit::Failed
    })
}

/// The sink's notes on the attempt, as a table.
fn told(notes: &[(String, String)]) -> String {
    let width = notes.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines = notes.iter().map(|(name, text)| format!("{name:width$}  {text}").trim_end().to_owned() + "\n");
    let table: String = lines.collect();
    if table.is_empty() { table } else { format!("\n{table}") }
}

fn said(answer: &Answer) -> String {
    let summary = if answer.summary.is_empty() { String::new() } else { format!(": {}", answer.summary) };
    format!("{summary}\n{}", detail(answer))
}

fn detail(answer: &Answer) -> String {
    answer.detail.lines().map(|line| format!("  {line}\n")).collect()
}

fn unknown(id: &str, file: &str, hooks: &[Hook]) -> String {
    let ids: Vec<_> = hooks.iter().map(|hook| hook.id.as_str()).collect();
    let near = nearest(id, ids.iter().copied());
    let near =
        near.map_or_else(|| "; its hooks: ".to_owned() + &ids.join(", "), |near| format!(", did you mean `{near}`?"));
    format!(
        "{file} has no hook `{id}`{near}\na hook that was made over the API is tested by its daemon: POST /v1/hooks/{id}/test"
    )
}
