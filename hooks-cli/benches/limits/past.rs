//! Looking into a log on disk: how fast it is read, and what that costs those who publish and deliver meanwhile.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use hooks_bus::{DurableBus, DurableConfig};
use hooks_core::bus::{PastFilter, PastOrder, PastQuery, Read, Subscription};
use hooks_core::{BoxError, Bus, Filter, HookId, Ledger, Outcome, Slice};

use crate::contest::{Verdict, median};
use crate::inside::{runtime, slices};
use crate::process::role;
use crate::{Report, Setup};

/// Events in the log that is read, at least.
const LOGGED: usize = 1_500_000;

/// Looks in each order, and the events that are not found.
pub(crate) fn past(setup: &Setup) -> Result<Report, BoxError> {
    let (folder, file) = (setup.folder.join("past"), setup.events.file.display().to_string());
    let mut rounds = Vec::new();
    for _ in 0..setup.rounds {
        rounds.push(role(&["past", &folder.display().to_string(), &file])?);
        fs::remove_dir_all(&folder)?;
    }
    let figure = |at: usize| median(rounds.iter().map(|figures| figures[at]).collect());
    let more = median(rounds.iter().map(|figures| (figures[3] / figures[2] - 1.0) * 100.0).collect());
    let text = format!(
        "| what | oldest first | newest first |\n|---|---|---|\n| a look for one id, GB of log a second | {:.2} | {:.2} |\n",
        figure(0),
        figure(1)
    );
    let verdicts = vec![
        Verdict::at_least("a look, oldest first", figure(0), " GB/s", 1.0),
        Verdict::at_least("a look, newest first", figure(1), " GB/s", 1.0),
        Verdict::at_most("CPU of publishing and delivering, more while looks run", more, " %", 5.0),
    ];
    Ok(Report { title: "looking into the log", text, verdicts })
}

/// Gigabytes of log that are read a second, oldest and newest first; then CPU seconds of publishing and delivering, alone
/// and while one look follows another.
pub(crate) fn look(folder: &str, file: &str) -> Result<Vec<f64>, BoxError> {
    let slices = slices(file)?;
    let events: usize = slices.iter().map(|slice| slice.len()).sum();
    runtime()?.block_on(async {
        let bus = DurableBus::open(&DurableConfig::new(Path::new(folder)))?;
        bus.all_subscribed();
        for _ in 0..LOGGED.div_ceil(events) {
            for slice in &slices {
                bus.publish(slice.clone()).await?;
            }
        }
        let mut figures = Vec::new();
        for order in [PastOrder::OldestFirst, PastOrder::NewestFirst] {
            // Once without counting: it gets what only the first look needs.
            everything(&bus, order).await?;
            let began = Instant::now();
            let bytes = everything(&bus, order).await?;
            figures.push(bytes as f64 / began.elapsed().as_secs_f64() / 1e9);
        }
        figures.push(live(&bus, "alone", &slices).await?);
        let stop = Arc::new(AtomicBool::new(false));
        let (looks, stops) = (bus.clone(), stop.clone());
        let looking = tokio::spawn(async move {
            while !stops.load(Ordering::Relaxed) {
                if everything(&looks, PastOrder::OldestFirst).await.is_err() {
                    break;
                }
            }
        });
        figures.push(live(&bus, "beside", &slices).await?);
        stop.store(true, Ordering::Relaxed);
        looking.await?;
        Ok(figures)
    })
}

/// Looks for an event that is not there. Returns the bytes of log.
async fn everything(bus: &DurableBus, order: PastOrder) -> Result<u64, BoxError> {
    let past = bus.past().ok_or("it keeps no past")?;
    let filter = PastFilter::default().ids(["nobody".to_owned()].into());
    let (mut bytes, mut next) = (0, Some(PastQuery::default().filter(filter).order(order)));
    while let Some(query) = next {
        let page = past.read(&query).await?;
        bytes += page.scanned;
        next = query.next(&page);
    }
    Ok(bytes)
}

/// The CPU seconds of publishing these and reading and settling them, by the threads that do that.
async fn live(bus: &DurableBus, hook: &str, slices: &[Slice]) -> Result<f64, BoxError> {
    let subscription = Subscription::new(HookId::new(hook)?, Filter::all(), Arc::new(Ledger::default()));
    let (mut reader, settler) = bus.subscribe(subscription).await?;
    let before = live_cpu()?;
    let mut read = Vec::new();
    for slice in slices {
        bus.publish(slice.clone()).await?;
        let mut left = slice.len();
        while left > 0 {
            if let Read::Events(events) = reader.next(left, &mut read).await? {
                left -= events;
            }
        }
        let positions: Vec<_> = read.drain(..).map(|delivery| delivery.position).collect();
        settler.settle(&positions, Outcome::Delivered);
    }
    Ok(live_cpu()? - before)
}

/// CPU seconds of the main thread and of the log's own threads. Looks have others.
fn live_cpu() -> Result<f64, BoxError> {
    let main = std::process::id().to_string();
    let mut nanoseconds = 0.0;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?;
        let name = fs::read_to_string(task.path().join("comm"))?;
        if task.file_name().to_string_lossy() == main || name.starts_with("hooks-") {
            let times = fs::read_to_string(task.path().join("schedstat"))?;
            nanoseconds += times.split(' ').next().unwrap_or_default().parse::<f64>()?;
        }
    }
    Ok(nanoseconds / 1e9)
}
