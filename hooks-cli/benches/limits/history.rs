//! The history of attempts: what it costs to keep, and how long it takes to find something in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use hooks_core::uuid::Uuid;
use hooks_core::{BoxError, ByteSize, HookId};
use hooks_server::history::{AttemptQuery, History, HistorySettings, fill};

use crate::bare;
use crate::contest::{Contestant, Results, Verdict, median};
use crate::events::{Events, SIZE};
use crate::pipe::{arrive, pipe, written};
use crate::process::role;
use crate::receiver::Receiver;
use crate::{Report, Setup};

/// Attempts for each event of the setup.
const ATTEMPTS: usize = 10;

/// Hooks that each event was sent to.
const HOOKS: u64 = 50;

/// How often each page is asked for.
const ASKED: usize = 20;

pub(crate) fn history(setup: &Setup) -> Result<Report, BoxError> {
    let receiver = Receiver::start()?;
    // Requests with one event cost as much as those with a hundred.
    let few = Events::prepare(&setup.folder, setup.events.count / 20, SIZE)?;
    let (mut text, mut verdicts) = (String::new(), Vec::new());
    for (name, events, size, most) in
        [("batches of 100", &setup.events, bare::BATCH, 1.03), ("one event a request", &few, 1, 1.1)]
    {
        let without = config(&setup.folder, &receiver, size, None)?;
        let kept = setup.folder.join("attempts");
        let with = config(&setup.folder, &receiver, size, Some(&kept))?;
        let contestants = vec![
            Contestant::new("without a history", || arrive(&receiver, events, || pipe(&without, &events.file))),
            Contestant::new("with one", || {
                if kept.exists() {
                    fs::remove_dir_all(&kept)?;
                }
                arrive(&receiver, events, || pipe(&with, &events.file))
            }),
        ];
        let results = Results::of(contestants, setup.rounds, events.millions())?;
        let ratio = results.ratio("with one", &["without a history"]);
        verdicts.push(Verdict::at_most(format!("pipe → webhook with a history, {name}"), ratio, " ×", most));
        text.push_str(&format!("{name}:\n\n{}\n", results.table()));
    }
    let (folder, attempts) = (setup.folder.join("many"), (setup.events.count * ATTEMPTS).to_string());
    let found = role(&["attempts", &folder.display().to_string(), &attempts])?;
    for ((name, most), took) in FOUND.iter().zip(found) {
        verdicts.push(Verdict::at_most(format!("{name}, among {attempts}"), took * 1e3, " ms", *most));
    }
    Ok(Report { title: "history of attempts", text, verdicts })
}

fn config(folder: &Path, receiver: &Receiver, size: usize, history: Option<&Path>) -> Result<PathBuf, BoxError> {
    let history = history.map(|folder| format!("[history]\nfolder = \"{}\"\n\n", folder.display()));
    let (name, history) = (if history.is_some() { "with.toml" } else { "without.toml" }, history.unwrap_or_default());
    let url = receiver.url();
    let text = format!(
        "{history}[[hooks]]\nid = \"bench\"\nbatch = {{ max_events = {size} }}\nsink = {{ kind = \"http\", url = \"{url}\" }}\n"
    );
    written(folder.join(name), &text)
}

/// What is looked for, and the most milliseconds that it may take.
const FOUND: [(&str, f64); 4] = [
    ("the last 50 attempts of a hook", 20.0),
    ("the ten attempts of a rare hook", 20.0),
    ("all attempts with an event", 200.0),
    ("opening the folder", 1_000.0),
];

/// Makes a history of so many attempts, and finds some. The seconds that each took, by [`FOUND`].
pub(crate) fn find(folder: &str, attempts: &str) -> Result<Vec<f64>, BoxError> {
    let (folder, attempts): (&Path, u64) = (Path::new(folder), attempts.parse()?);
    let settings = HistorySettings { max_bytes: ByteSize::new(8 << 30), ..HistorySettings::default() };
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fill(folder, &settings, Uuid::nil(), attempts, HOOKS)?;
    let opened = Instant::now();
    let history = History::look(folder, &settings, Uuid::nil())?;
    let opened = opened.elapsed().as_secs_f64();
    let hook = |name: &str| HookId::new(name).ok();
    let query = |position, name: Option<&str>| {
        let mut query = AttemptQuery::default();
        (query.position, query.hook, query.limit) = (position, name.and_then(hook), 50);
        query
    };
    let queries = [
        (query(None, Some("7")), 50),
        (query(None, Some("rare")), attempts.div_ceil(1_000_000) as usize),
        (query(Some(attempts / HOOKS / 2), None), HOOKS as usize),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut figures = Vec::new();
    for (query, count) in queries {
        let mut took = Vec::new();
        for _ in 0..ASKED {
            let began = Instant::now();
            let page = runtime.block_on(history.page(query.clone()))?;
            took.push(began.elapsed().as_secs_f64());
            if page.attempts.len() < count.min(50) - 1 {
                return Err(format!("{} attempts were found of {count}", page.attempts.len()).into());
            }
        }
        figures.push(median(took));
    }
    fs::remove_dir_all(folder)?;
    figures.push(opened);
    Ok(figures)
}
