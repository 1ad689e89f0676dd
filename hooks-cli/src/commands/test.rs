//! `hooks test`.

use std::sync::Arc;
use std::time::Duration;

use hooks_bus::MemoryBus;
use hooks_core::names::nearest;
use hooks_core::{Dispatcher, Hook, TestError, TestReport, chain, sink::Answer};

use super::{print, runtime, warn};
use crate::args::TestArgs;
use crate::config::{self, WithoutBus};
use crate::console::complain;
use crate::exit::Exit;

pub(crate) fn run(args: &TestArgs) -> Exit {
    let config = match config::load(&args.config, WithoutBus::Either) {
        Ok(config) => config,
        Err(problems) => {
            complain(problems);
            return Exit::Config;
        }
    };
    warn(&config);
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
    runtime.block_on(test(hooks.swap_remove(at)))
}

async fn test(hook: Hook) -> Exit {
    let id = hook.id.clone();
    let dispatcher = Dispatcher::new(Arc::new(MemoryBus::default()));
    if let Err(error) = dispatcher.add(hook).await {
        complain(chain(&error));
        return Exit::Failed;
    }
    let result = dispatcher.test(&id).await;
    dispatcher.shutdown(Some(Duration::ZERO)).await;
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
