//! The cost of the durable bus, in CPU seconds per million events.
//!
//! ```sh
//! cargo run --profile dist -p hooks-bus --example durable_bench -- FOLDER [EVENTS]
//! ```
//!
//! FOLDER should be on the disk that is to be measured; a folder in it is made and removed.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use hooks_bus::{DurableBus, DurableConfig};
use hooks_core::{
    BoxError, Bus, ByteSize, Filter, HookId, HumanDuration, Ledger, Outcome, Position, Slice, SliceBuilder,
    bus::{Read, Subscription},
};

/// Hooks that lag.
const READ: &str = "read";
const READ_NOTHING: &str = "read-nothing-that-matches";

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: durable_bench FOLDER [EVENTS]")?;
    let events: usize = arguments.next().map_or(Ok(1_000_000), |events| events.parse())?;
    println!("{:<44} {:>10} {:>10} {:>12}", "", "CPU s / M", "wall s / M", "events / s");
    for per_commit in [100, 1000] {
        for hooks in [0, 1, 10] {
            let dir = Path::new(&folder).join("durable-bench");
            // Some events are published again and again.
            let duplicate_window = HumanDuration::default();
            let max_bytes = ByteSize::new(1 << 40);
            let config = DurableConfig { duplicate_window, max_bytes, ..DurableConfig::new(&dir) };
            append(&config, events, per_commit, hooks).await?;
            if hooks == 0 {
                read(&config, events, Filter::all(), READ).await?;
                read(&config, events, Filter::types(["other.*"]), READ_NOTHING).await?;
            }
            std::fs::remove_dir_all(&dir)?;
        }
    }
    let dir = Path::new(&folder).join("durable-bench");
    crowd(&DurableConfig::new(&dir), events, 100_000).await?;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

/// Many hooks that have nothing to do.
async fn crowd(config: &DurableConfig, events: usize, hooks: usize) -> Result<(), BoxError> {
    let bus = DurableBus::open(config)?;
    let before = resident_bytes();
    let mut idle = Vec::with_capacity(hooks);
    for number in 0..hooks {
        let filter = Filter::types([format!("tenant-{number}.*")]);
        idle.push(bus.subscribe(subscription(&format!("hook-{number}"), filter)?).await?);
    }
    println!("{hooks} idle hooks take {} bytes each", (resident_bytes() - before) / hooks as u64);
    let slice = slice(1000)?;
    bus.publish(slice.clone()).await?;
    let meter = Meter::start();
    for _ in 0..events / slice.len() {
        bus.publish(slice.clone()).await?;
    }
    bus.sync_positions().await?;
    meter.report(&format!("append, 1000 per commit, {hooks} idle hooks"), events);
    Ok(())
}

/// Memory of this process (proc(5), `statm`, in pages of 4 KiB).
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * 4096
}

/// Publishes, while hooks read and settle.
async fn append(config: &DurableConfig, events: usize, per_commit: usize, hooks: usize) -> Result<(), BoxError> {
    let slice = slice(per_commit)?;
    let bus = DurableBus::open(config)?;
    for what in [READ, READ_NOTHING] {
        // It holds the log.
        bus.subscribe(subscription(what, Filter::all())?).await?;
    }
    let mut running = Vec::new();
    for number in 0..hooks {
        running.push(tokio::spawn(drain(bus.clone(), format!("hook-{number}"), Filter::all(), events)));
    }
    // A later subscription would begin behind the first events.
    while bus.hooks().known_hooks().len() < hooks + 2 {
        tokio::task::yield_now().await;
    }
    let meter = Meter::start();
    for _ in 0..events / per_commit {
        bus.publish(slice.clone()).await?;
    }
    for hook in running {
        hook.await??;
    }
    bus.sync_positions().await?;
    meter.report(&format!("append, {per_commit} per commit, {hooks} hooks follow"), events);
    Ok(())
}

/// A hook that lags behind by everything.
async fn read(config: &DurableConfig, events: usize, filter: Filter, what: &str) -> Result<(), BoxError> {
    let bus = DurableBus::open(config)?;
    let expected = if filter == Filter::all() { events } else { 0 };
    let meter = Meter::start();
    drain(bus.clone(), what.to_owned(), filter, expected).await?;
    meter.report(what, events);
    Ok(())
}

async fn drain(bus: DurableBus, hook: String, filter: Filter, events: usize) -> Result<(), BoxError> {
    let (mut reader, settler) = bus.subscribe(subscription(&hook, filter)?).await?;
    if events == 0 {
        reader.close();
    }
    let mut read = Vec::new();
    let mut left = events;
    loop {
        read.clear();
        match reader.next(1000, &mut read).await? {
            Read::Events(count) => left -= count,
            Read::Dry | Read::Lost => return Ok(()),
            Read::Flush => {}
        }
        let positions: Vec<Position> = read.iter().map(|delivery| delivery.position).collect();
        settler.settle(&positions, Outcome::Delivered);
        if left == 0 && events > 0 {
            return Ok(());
        }
    }
}

fn subscription(hook: &str, filter: Filter) -> Result<Subscription, BoxError> {
    let (hook, filter, ledger) = (HookId::new(hook)?, Arc::new(filter), Arc::new(Ledger::default()));
    Ok(Subscription::new(hook, filter, ledger))
}

/// Events of about 350 bytes.
fn slice(events: usize) -> Result<Slice, BoxError> {
    let mut slice = SliceBuilder::new("/bench");
    for number in 0..events {
        let data = format!(r#"{{"number":{number},"text":"{}"}}"#, "x".repeat(160));
        let json = format!(
            r#"{{"specversion":"1.0","id":"{number:08}","source":"/bench","type":"invoice.paid","subject":"customer-{:04}","time":"2026-11-23T10:00:00Z","data":{data}}}"#,
            number % 1000
        );
        slice.push_json(json.as_bytes())?;
    }
    Ok(slice.finish())
}

struct Meter {
    wall: Instant,
    cpu: f64,
}

impl Meter {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_seconds() }
    }

    fn report(&self, what: &str, events: usize) {
        let millions = events as f64 / 1e6;
        let wall = self.wall.elapsed().as_secs_f64();
        let cpu = cpu_seconds() - self.cpu;
        println!("{what:<44} {:>10.2} {:>10.2} {:>12.0}", cpu / millions, wall / millions, events as f64 / wall);
    }
}

/// User and system time of this process, in seconds; Linux counts in hundredths (proc(5), fields 14 and 15).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}
