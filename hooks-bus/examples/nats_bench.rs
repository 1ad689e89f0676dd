//! What the NATS bus costs, beside a plain client in the same run: events per second, and seconds of CPU
//! of the client (not of the server) per million events.
//!
//! `nats_bench SERVER EVENTS INSTANCE`: SERVER is used up, so give it one of its own; INSTANCE is the
//! example `nats_instance`. Prints a table.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, stream};
use futures_util::StreamExt as _;
use hooks_bus::{NatsBus, NatsConfig};
use hooks_core::{
    BoxError, Bus as _, Dispatcher, Hook, Sink, Slice, SliceBuilder, StartAt, async_trait,
    sink::{Batch, Delivered, DeliveryError, SinkContext, SinkFactory},
};

/// Events of one call.
const SLICE: usize = 500;

/// Hooks that several instances share.
const HOOKS: usize = 12;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, count, instance] = &arguments[..] else {
        return Err("usage: nats_bench SERVER EVENTS INSTANCE".into());
    };
    let count: usize = count.parse()?;
    println!("| {count} events of {} bytes | events/s | CPU s/M |\n|---|---|---|", event(0).len());
    let client = async_nats::connect(server).await?;
    let context = jetstream::context::ContextBuilder::new().max_ack_inflight(4096).build(client);
    let settings = stream::Config {
        name: "plain".into(),
        subjects: vec!["plain.>".into()],
        max_bytes: 8 << 30,
        ..Default::default()
    };
    let plain = context.create_stream(settings).await?;
    let mut meter = Meter::start(own_cpu());
    publish_plainly(&context, count).await?;
    meter.row("plain client, publish", count, own_cpu());
    let bus = Arc::new(NatsBus::connect(NatsConfig { servers: vec![server.clone()], ..NatsConfig::default() }).await?);
    let slices: Vec<Slice> = (0..count / SLICE).map(|at| slice(at * SLICE)).collect();
    meter = Meter::start(own_cpu());
    for slice in &slices {
        bus.publish(slice.clone()).await?;
    }
    meter.row("NatsBus, publish, one caller, slices of 500", count, own_cpu());
    drop(slices);
    meter = Meter::start(own_cpu());
    read_plainly(&plain, count).await?;
    meter.row("plain client, read, 500 at a time", count, own_cpu());
    meter = Meter::start(own_cpu());
    deliver(&bus, count).await?;
    meter.row("NatsBus and dispatcher, one hook to nowhere", count, own_cpu());
    for instances in 1..=3 {
        share(server, instance, instances, count / HOOKS).await?;
    }
    Ok(())
}

fn event(number: usize) -> String {
    let data = "x".repeat(200);
    format!(
        r#"{{"specversion":"1.0","id":"{number:08}","source":"/bench","type":"probe","time":"2026-11-23T10:00:00Z","data":"{data}"}}"#
    )
}

fn slice(first: usize) -> Slice {
    let mut slice = SliceBuilder::new("/bench");
    for number in first..first + SLICE {
        let _ = slice.push_json(event(number).as_bytes());
    }
    slice.finish()
}

async fn publish_plainly(context: &jetstream::Context, count: usize) -> Result<(), BoxError> {
    let mut open = std::collections::VecDeque::new();
    for number in 0..count {
        if open.len() == 4000 {
            acknowledged(open.pop_front()).await?;
        }
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("{number:032}"));
        let message = PublishMessage::build().headers(headers).payload(event(number).into());
        open.push_back(context.send_publish("plain.events", message).await?);
    }
    while !open.is_empty() {
        acknowledged(open.pop_front()).await?;
    }
    Ok(())
}

async fn acknowledged(sent: Option<jetstream::context::PublishAckFuture>) -> Result<(), BoxError> {
    if let Some(sent) = sent {
        sent.await?;
    }
    Ok(())
}

async fn read_plainly(plain: &stream::Stream, count: usize) -> Result<(), BoxError> {
    let config = pull::Config { ack_policy: AckPolicy::None, ..Default::default() };
    let consumer = plain.create_consumer(config).await?;
    let mut messages = consumer.stream().max_messages_per_batch(500).messages().await?;
    for _ in 0..count {
        messages.next().await.ok_or("the stream ended")??;
    }
    Ok(())
}

/// Delivers everything in the stream to one hook.
async fn deliver(bus: &Arc<NatsBus>, count: usize) -> Result<(), BoxError> {
    let dispatcher = Dispatcher::new(bus.clone());
    dispatcher.add(Hook::new("one", Nowhere)?.from(StartAt::Earliest)).await?;
    while dispatcher.status()[0].counts.delivered < count as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    dispatcher.remove(&dispatcher.status()[0].id.clone()).await?;
    Ok(())
}

/// Instances share hooks that all receive every event; counts deliveries.
async fn share(server: &str, program: &str, instances: usize, count: usize) -> Result<(), BoxError> {
    let mut running = Vec::new();
    for _ in 0..instances {
        let mut command = Command::new(program);
        let arguments = [server, &HOOKS.to_string(), "1", "5000", "-"];
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut ready = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().ok_or("no output")?, &mut ready)?;
        running.push(child);
    }
    let bus = NatsBus::connect(NatsConfig { servers: vec![server.to_owned()], ..NatsConfig::default() }).await?;
    // Until the hooks are shared.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let base = 100_000_000 * (1 + instances);
    let slices: Vec<Slice> = (0..count.div_ceil(SLICE)).map(|at| slice(base + at * SLICE)).collect();
    let total = |running: &[Child]| running.iter().map(|child| cpu(&child.id().to_string())).sum::<f64>();
    let mut meter = Meter::start(total(&running));
    for slice in &slices {
        bus.publish(slice.clone()).await?;
    }
    let bucket = jetstream::new(async_nats::connect(server).await?).get_key_value("hooks-hooks").await?;
    let end = bus.monitor().stats().accepted;
    let last =
        jetstream::new(async_nats::connect(server).await?).get_stream("hooks").await?.cached_info().state.last_sequence;
    for hook in 0..HOOKS {
        loop {
            let entry = bucket.get(format!("hook.h{hook}")).await?.ok_or("no entry")?;
            let entry: serde_json::Value = serde_json::from_slice(&entry)?;
            if entry["position"].as_u64() >= Some(last) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    meter.row(
        &format!("{instances} instance(s), {HOOKS} hooks, deliveries until their positions are written"),
        end as usize * HOOKS,
        total(&running),
    );
    for mut child in running {
        drop(child.stdin.take());
        child.wait()?;
    }
    Ok(())
}

/// Takes everything and keeps nothing.
#[derive(Debug, Clone)]
struct Nowhere;

impl SinkFactory for Nowhere {
    fn kind(&self) -> &str {
        "nowhere"
    }

    fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        Ok(Box::new(Self))
    }
}

#[async_trait]
impl Sink for Nowhere {
    async fn deliver(&mut self, _: &Batch) -> Result<Delivered, DeliveryError> {
        Ok(Delivered::all())
    }
}

struct Meter {
    begin: Instant,
    cpu: f64,
}

impl Meter {
    fn start(cpu: f64) -> Self {
        Self { begin: Instant::now(), cpu }
    }

    fn row(&mut self, what: &str, events: usize, cpu: f64) {
        let rate = events as f64 / self.begin.elapsed().as_secs_f64();
        println!("| {what} | {:.0} k | {:.2} |", rate / 1e3, (cpu - self.cpu) / events as f64 * 1e6);
    }
}

fn own_cpu() -> f64 {
    cpu("self")
}

/// Seconds of CPU of a process (user and system: fields 14 and 15 of proc(5), in hundredths).
fn cpu(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
