//! `hooks check`.

use std::fmt::Write as _;

use hooks_core::{AttributePatterns, Filter, Pattern};

use super::{matches, print, warn};
use crate::args::{CheckArgs, ConfigUser};
use crate::config::{self, Config, Origin, WithoutBus};
use crate::console::complain;
use crate::exit::Exit;
use crate::operator;

pub(crate) fn run(args: &CheckArgs) -> Exit {
    if let (None, Some(event)) = (&args.config, &args.event) {
        return matches::of_daemon(&args.daemon, event);
    }
    let Some(file) = &args.config else {
        print(&format!("{:#}\n", config::schema()));
        return Exit::Done;
    };
    let origin = Origin::from(file.as_path());
    let config = match args.user {
        None => config::load(&origin, WithoutBus::Either),
        Some(ConfigUser::Serve) => super::serve::check(&origin),
        Some(ConfigUser::Pipe) => super::pipe::load(&origin),
    };
    match config {
        Ok(config) => {
            warn(&config);
            let faults = config.file_problems();
            if !faults.is_empty() {
                faults.iter().for_each(complain);
                return Exit::Config;
            }
            if args.user == Some(ConfigUser::Serve)
                && let Some(why) = operator::obstacle(&config.bus)
            {
                complain(format!("{}: warning: operators could not reach the daemon: {why}", config.file));
            }
            if let Some(event) = &args.event {
                return matches::of_config(&config, event);
            }
            print(&summary(&config));
            Exit::Done
        }
        Err(problems) => {
            complain(problems);
            Exit::Config
        }
    }
}

fn summary(config: &Config) -> String {
    let count = config.hooks.len();
    let mut text = format!("{} is fine: {count} {}\n", config.file, if count == 1 { "hook" } else { "hooks" });
    let width = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let hooks = || config.hooks.iter().map(|hook| &hook.hook);
    let ids = width(&mut hooks().map(|hook| hook.id.as_str().len()));
    let kinds = width(&mut hooks().map(|hook| hook.sink.kind().len()));
    for hook in hooks() {
        let off = if hook.enabled { "" } else { " (disabled)" };
        let _ =
            writeln!(text, "  {:ids$}  {:kinds$}  {}{off}", hook.id.as_str(), hook.sink.kind(), wanted(&hook.filter));
    }
    text
}

/// The events of a filter, in words.
fn wanted(filter: &Filter) -> String {
    let list = |patterns: &[Pattern]| patterns.iter().map(Pattern::as_str).collect::<Vec<_>>().join(", ");
    let parts = [
        ("types", &filter.types),
        ("no types", &filter.rare.types_except),
        ("subjects", &filter.subjects),
        ("no subjects", &filter.rare.subjects_except),
        ("sources", &filter.rare.sources),
        ("no sources", &filter.rare.sources_except),
    ];
    let named = |no: &'static str, table| {
        let words = move |(name, patterns): (&String, &Vec<Pattern>)| format!("{no}{name} {}", list(patterns));
        AttributePatterns::iter(table).map(words)
    };
    let named = named("", &filter.rare.attributes).chain(named("no ", &filter.rare.attributes_except));
    let set = parts.iter().filter(|(_, patterns)| !patterns.is_empty());
    let tenant = filter.tenant.iter().map(|tenant| format!("tenant {tenant}"));
    let data = filter.rare.data.iter().map(|data| format!("data {}", data.json()));
    let lists = set.map(|(name, patterns)| format!("{name} {}", list(patterns)));
    let words: Vec<_> = tenant.chain(lists).chain(named).chain(data).collect();
    if words.is_empty() { "every event".to_owned() } else { words.join("; ") }
}
