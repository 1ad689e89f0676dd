//! Publishes numbered events through a durable bus and delivers them to files, until `cargo xtask crash` kills it.
//!
//! ```sh
//! crash_child run FOLDER FIRST     # publishes from number FIRST on; prints `ack N` when N is accepted
//! crash_child drain FOLDER         # delivers what is left; prints `letter HOOK N` for each dead letter
//! ```
//!
//! Every hook appends `milliseconds number` to `FOLDER/HOOK.out`:
//! `all` every event, `some` every third, `lanes` every event on four lanes, `picky` refuses every tenth.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hooks_bus::{DurableBus, DurableConfig};
use hooks_core::{
    BoxError, Bus, ByteSize, Dispatcher, Filter, Hook, Sink, SliceBuilder, StartAt, async_trait,
    sink::{Batch, Delivered, DeliveryError, SinkContext, SinkFactory},
};

/// Publishers that run at the same time.
const PUBLISHERS: u64 = 4;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["run", folder, first] => run(Path::new(folder), first.parse()?).await,
        ["drain", folder] => drain(Path::new(folder)).await,
        _ => Err("usage: crash_child run FOLDER FIRST | drain FOLDER".into()),
    }
}

async fn start(folder: &Path) -> Result<(DurableBus, Dispatcher), BoxError> {
    let config = DurableConfig {
        segment_size: ByteSize::new(64 << 10),
        max_bytes: ByteSize::new(1 << 30),
        ..DurableConfig::new(folder.join("data"))
    };
    let bus = DurableBus::open(&config)?;
    if let Some(damage) = bus.damage().first() {
        return Err(format!("damaged: {damage}").into());
    }
    // In the end, what `picky` refuses last is a dead letter, too.
    let dispatcher = Dispatcher::new(Arc::new(bus.clone())).with_an_end();
    for (id, filter, lanes) in [
        ("all", Filter::all(), 1),
        ("some", Filter::types(["test.0"]), 1),
        ("lanes", Filter::all(), 4),
        ("picky", Filter::all(), 1),
    ] {
        let file = Append { path: folder.join(format!("{id}.out")), refuses: id == "picky" };
        // A hook that a crash kept from being remembered has missed nothing if it begins at the beginning.
        let hook = Hook::new(id, file)?.filter(filter).from(StartAt::Earliest);
        dispatcher.add(hook.lanes(lanes.try_into()?)).await?;
    }
    Ok((bus, dispatcher))
}

async fn run(folder: &Path, first: u64) -> Result<(), BoxError> {
    let (bus, _dispatcher) = start(folder).await?;
    println!("open");
    let publishers = (0..PUBLISHERS).map(|publisher| tokio::spawn(publish(bus.clone(), first, publisher)));
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await??;
    }
    Ok(())
}

/// Publishes rising numbers, different ones for each publisher.
async fn publish(bus: DurableBus, first: u64, publisher: u64) -> Result<(), BoxError> {
    let mut next = first + publisher;
    for round in 0.. {
        let numbers: Vec<u64> = (0..round % 7 + 1).map(|at| next + at * PUBLISHERS).collect();
        next += numbers.len() as u64 * PUBLISHERS;
        let mut slice = SliceBuilder::new("/crash");
        for number in &numbers {
            let kind = number % 3;
            let event = format!(
                r#"{{"id":"{number}","type":"test.{kind}","subject":"{publisher}","data":"{}"}}"#,
                "x".repeat(150)
            );
            slice.push_json(event.as_bytes())?;
        }
        bus.publish(slice.finish()).await?;
        let acks: String = numbers.iter().map(|number| format!("ack {number}\n")).collect();
        std::io::stdout().write_all(acks.as_bytes())?;
    }
    Ok(())
}

async fn drain(folder: &Path) -> Result<(), BoxError> {
    let (bus, dispatcher) = start(folder).await?;
    let report = dispatcher.shutdown(None).await;
    for hook in &report.hooks {
        if !hook.counts.balances() || hook.counts.in_flight > 0 {
            return Err(format!("hook {}: {}", hook.id, hook.counts).into());
        }
        let dead_letters = bus.hooks().dead_letters(&hook.id).ok_or("no dead letters")?;
        for (_, letter) in dead_letters.list(None, usize::MAX).await? {
            println!("letter {} {}", hook.id, letter.envelope.id());
        }
    }
    println!("done");
    Ok(())
}

/// Appends lines to a file, and refuses some events if it is told to.
#[derive(Debug, Clone)]
struct Append {
    path: PathBuf,
    refuses: bool,
}

impl SinkFactory for Append {
    fn kind(&self) -> &str {
        "append"
    }

    fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        Ok(Box::new(Open { file, refuses: self.refuses }))
    }
}

struct Open {
    file: File,
    refuses: bool,
}

#[async_trait]
impl Sink for Open {
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let mut lines = String::new();
        let mut refused = Vec::new();
        for (at, event) in batch.events().enumerate() {
            if self.refuses && event.id().ends_with('0') {
                refused.push((at, "it ends with 0".into()));
            } else {
                lines += &format!("{now} {}\n", event.id());
            }
        }
        self.file.write_all(lines.as_bytes()).map_err(|error| DeliveryError::retry(error.to_string()))?;
        let mut delivered = Delivered::all();
        delivered.refused = refused;
        Ok(delivered)
    }
}
