//! `hooks demo`.

use hooks_core::{BoxError, chain};

use super::{print, runtime};
use crate::args::demo::DemoArgs;
use crate::console::complain;
use crate::demo::{self, Live, RunTime, View};
use crate::exit::Exit;
use crate::signals::StopSignals;

/// `has_logs`: they were asked for, and a screen that is drawn again and again would hide them.
pub(crate) fn run(args: &DemoArgs, has_logs: bool) -> Exit {
    let ended = runtime().map_err(BoxError::from).and_then(|runtime| {
        let ended = runtime.block_on(demonstrate(args.seconds, demo::is_live() && !has_logs));
        runtime.shutdown_background();
        ended
    });
    ended.unwrap_or_else(|error| {
        complain(chain(&*error));
        Exit::Failed
    })
}

async fn demonstrate(run_time: RunTime, is_live: bool) -> Result<Exit, BoxError> {
    let mut stops = StopSignals::new()?;
    let folder = tempfile::tempdir()?;
    let mut live = is_live.then(Live::default);
    let mut said = None;
    let show = |view: &View| match &mut live {
        Some(live) => live.draw(&demo::look().moment(view)),
        None => say(view, &mut said),
    };
    let (facts, took) = tokio::select! {
        ended = demo::run(run_time, folder.path(), show) => ended?,
        name = stops.next() => return Err(format!("stopped by {name}").into()),
    };
    let mut report = demo::look().report(&facts, took);
    match &mut live {
        Some(live) => live.draw(&report),
        None => {
            report.insert(0, String::new());
            print(&(report.join("\n") + "\n"));
        }
    }
    drop(live);
    print(NEXT);
    let is_kept = facts.promises().iter().all(|promise| promise.is_kept);
    Ok(if is_kept { Exit::Done } else { Exit::Failed })
}

/// Prints the journal since the last time, a line each; the first time, the introduction.
fn say(view: &View, said: &mut Option<usize>) {
    let look = demo::look();
    let known = said.replace(view.journal.len()).unwrap_or_else(|| {
        print(&(look.intro(view).join("\n") + "\n\n"));
        0
    });
    for entry in view.journal.get(known..).unwrap_or_default() {
        print(&(look.entry(entry) + "\n"));
    }
}

const NEXT: &str = "
Try next (`cargo install --profile dist --path hooks-cli` puts hooks on your path):
  hooks pipe -c examples/pipe.toml < examples/github-events.ndjson
  hooks listen --fail-rate 0.2       a receiver of your own that fails, too
  hooks check -c examples/pipe.toml  what is wrong with a config file
";
