//! The library alone, in this process: many hooks, and how soon an event is at its receiver.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use hooks_bus::{MemoryBus, MemoryConfig};
use hooks_core::bus::Subscription;
use hooks_core::{
    BatchLimits, BoxError, Bus, Dispatcher, Envelope, EventPattern, Filter, Hook, HookId, HumanDuration, Overflow,
    QueueLimits, Sink, Slice, SliceBuilder, TenantId, async_trait,
    sink::{Batch, Delivered, DeliveryError, SinkContext, SinkFactory},
};
use hooks_sink_http::HttpConfig;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::bare::BATCH;
use crate::process::{Clock, memory};
use crate::receiver::Receiver;

/// The number of times that the same events are published past idle hooks: once takes too short a time to measure.
pub(crate) const PUBLISHED_AGAIN: usize = 500;

/// One event in so many is for the first hook, where hooks have patterns for `data`.
const ONE_IN: usize = 50;

/// The tenants whose events are published.
pub(crate) const ACTIVE_TENANTS: usize = 10;

/// Takes everything and does nothing.
#[derive(Debug)]
struct Null;

impl SinkFactory for Null {
    fn kind(&self) -> &str {
        "null"
    }

    fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        Ok(Box::new(Self))
    }
}

#[async_trait]
impl Sink for Null {
    async fn deliver(&mut self, _: &Batch) -> Result<Delivered, DeliveryError> {
        Ok(Delivered::all())
    }
}

pub(crate) fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Slices of [`BATCH`] events.
pub(crate) fn slices(file: &str) -> Result<Vec<Slice>, BoxError> {
    slices_of(file, |line, _| line.to_vec())
}

/// The same, each event changed.
fn slices_of(file: &str, change: impl Fn(&[u8], usize) -> Vec<u8>) -> Result<Vec<Slice>, BoxError> {
    let text = std::fs::read(file)?;
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let slice = |lines: &[&[u8]]| {
        let mut slice = SliceBuilder::new("/bench");
        lines.iter().zip(0..).try_for_each(|(line, at)| slice.push_json(&change(line, at)))?;
        Ok(slice.finish())
    };
    lines.chunks(BATCH).map(slice).collect()
}

/// Every event goes to so many hooks. CPU and wall time from the first publish to the last delivery.
pub(crate) fn fanout(hooks: &str, file: &str) -> Result<Vec<f64>, BoxError> {
    let (hooks, slices) = (hooks.parse()?, slices(file)?);
    runtime()?.block_on(async {
        let bus = Arc::new(MemoryBus::default());
        let dispatcher = Dispatcher::new(bus.clone());
        let queue = QueueLimits::default().overflow(Overflow::Block);
        for number in 0..hooks {
            dispatcher.add(Hook::new(&format!("hook-{number}"), Null)?.queue(queue)).await?;
        }
        let clock = Clock::start();
        for slice in &slices {
            bus.publish(slice.clone()).await?;
            tokio::task::yield_now().await;
        }
        let report = dispatcher.shutdown(None).await;
        let figures = clock.stop();
        let delivered: u64 = report.hooks.iter().map(|hook| hook.counts.delivered).sum();
        let expected = hooks as u64 * slices.iter().map(|slice| slice.len() as u64).sum::<u64>();
        if delivered == expected { Ok(figures) } else { Err(format!("{delivered} of {expected} delivered").into()) }
    })
}

/// Events of [`ACTIVE_TENANTS`] tenants, where so many tenants have a hook. CPU and wall time from the first publish to
/// the last delivery.
pub(crate) fn tenants(tenants: &str, file: &str) -> Result<Vec<f64>, BoxError> {
    let of_tenant = |line: &[u8], at: usize| {
        let attribute = format!(r#"{{"tenant":"tenant-{}","#, at % ACTIVE_TENANTS);
        [attribute.as_bytes(), &line[1..]].concat()
    };
    let (tenants, slices): (usize, _) = (tenants.parse()?, slices_of(file, of_tenant)?);
    runtime()?.block_on(async {
        let bus = Arc::new(MemoryBus::default());
        let dispatcher = Dispatcher::new(bus.clone());
        let queue = QueueLimits::default().overflow(Overflow::Block);
        for number in 0..tenants {
            let filter = Filter::all().tenant(TenantId::new(format!("tenant-{number}"))?);
            dispatcher.add(Hook::new(&format!("hook-{number}"), Null)?.queue(queue).filter(filter)).await?;
        }
        tokio::task::yield_now().await;
        let clock = Clock::start();
        for slice in &slices {
            bus.publish(slice.clone()).await?;
            tokio::task::yield_now().await;
        }
        while bus.monitor().lag(&HookId::new("hook-0")?).is_some_and(|lag| lag.events > 0) {
            tokio::task::yield_now().await;
        }
        let figures = clock.stop();
        let report = dispatcher.shutdown(None).await;
        let delivered: u64 = report.hooks.iter().map(|hook| hook.counts.delivered).sum();
        let expected = slices.iter().map(|slice| slice.len() as u64).sum::<u64>();
        if delivered == expected { Ok(figures) } else { Err(format!("{delivered} of {expected} delivered").into()) }
    })
}

/// So many hooks with patterns for `data`, of which the first receives one event in [`ONE_IN`]: CPU and wall time of
/// publishing past the others. `exact`: each has a customer; `mixed`: a range of totals, a beginning of names, or kinds
/// that it does not want.
pub(crate) fn patterns(kind: &str, hooks: &str, file: &str) -> Result<Vec<f64>, BoxError> {
    let number = Cell::new(0);
    let with_customer = |line: &[u8], at: usize| {
        number.set(number.get() + 1);
        let customer = if at.is_multiple_of(ONE_IN) { 0 } else { 1_000_000 + number.get() };
        let fields = format!(r#""data":{{"customer":"c-{customer}","name":"n-{customer}","kind":"draft","#);
        String::from_utf8_lossy(line).replacen(r#""data":{"#, &fields, 1).into_bytes()
    };
    let (hooks, slices): (usize, _) = (hooks.parse()?, slices_of(file, with_customer)?);
    runtime()?.block_on(async {
        let bus =
            MemoryBus::new(&MemoryConfig { duplicate_window: HumanDuration::default(), ..MemoryConfig::default() });
        for number in 0..hooks {
            let pattern = match (kind, number % 3) {
                (_, _) if number == 0 || kind == "exact" => json!({ "customer": [format!("c-{number}")] }),
                (_, 0) => json!({ "total": [{ "numeric": [">", 1_000 + number, "<=", 1_001 + number] }] }),
                (_, 1) => json!({ "name": [{ "prefix": format!("n-{number}-") }] }),
                (_, _) => json!({ "kind": [{ "anything-but": ["draft", format!("kind-{number}")] }] }),
            };
            let filter = Filter::all().data(EventPattern::new(&pattern)?);
            let subscription = Subscription::new(HookId::new(format!("hook-{number}"))?, filter, Arc::default());
            bus.subscribe(subscription.queue(QueueLimits::default())).await?;
        }
        let clock = Clock::start();
        for _ in 0..PUBLISHED_AGAIN {
            for slice in &slices {
                bus.publish(slice.clone()).await?;
            }
        }
        let figures = clock.stop();
        // It can't do so without having found it.
        let lag = bus.monitor().lag(&HookId::new("hook-0")?);
        if lag.is_some_and(|lag| lag.events > 0) { Ok(figures) } else { Err("the first hook received nothing".into()) }
    })
}

/// So many webhooks that match nothing: CPU and wall time of publishing past them, and KiB of memory for
/// each of them.
pub(crate) fn idle(hooks: &str, file: &str) -> Result<Vec<f64>, BoxError> {
    let (hooks, slices): (usize, _) = (hooks.parse()?, slices(file)?);
    runtime()?.block_on(async {
        let bus = Arc::new(MemoryBus::default());
        let dispatcher = Dispatcher::new(bus.clone());
        let resident = || memory("self").map_or(0.0, |(now, _)| now * 1024.0);
        let before = resident();
        for number in 0..hooks {
            let sink = HttpConfig::new(format!("http://tenant-{number}.example.com/hooks"));
            let filter = Filter::types([format!("tenant-{number}.*")]);
            dispatcher.add(Hook::new(&format!("tenant-{number}"), sink)?.filter(filter)).await?;
        }
        tokio::task::yield_now().await;
        let each = (resident() - before) / hooks.max(1) as f64;
        let clock = Clock::start();
        for _ in 0..PUBLISHED_AGAIN {
            for slice in &slices {
                bus.publish(slice.clone()).await?;
            }
        }
        let mut figures = clock.stop();
        figures.push(each);
        Ok(figures)
    })
}

/// The time from publish to the first byte at the receiver, at 1,000 events a second: median and
/// 99th percentile, in milliseconds. `bare`: from a reqwest client that posts each event.
pub(crate) fn latency(kind: &str, count: &str) -> Result<Vec<f64>, BoxError> {
    let (count, began) = (count.parse()?, Instant::now());
    let (sender, arrived) = channel();
    let on_body = move |first: Instant, body: &[u8]| note(&sender, (first - began).as_nanos() as u64, body);
    let receiver = Receiver::with(Duration::ZERO, Arc::new(on_body))?;
    let url = receiver.url();
    runtime()?.block_on(async {
        match kind {
            "bare" => post_each(&url, count, began).await,
            _ => publish_each(&url, count, began).await,
        }
    })?;
    let mut delays: Vec<u64> = arrived.try_iter().collect();
    if delays.len() != count {
        return Err(format!("{} of {count} events arrived", delays.len()).into());
    }
    delays.sort_unstable();
    let at = |share: f64| delays[((count - 1) as f64 * share) as usize] as f64 / 1e6;
    Ok(vec![at(0.5), at(0.99)])
}

/// Each event says when it was published.
fn note(delays: &Sender<u64>, arrived: u64, body: &[u8]) {
    for event in String::from_utf8_lossy(body).split("\"published\":").skip(1) {
        let digits: String = event.chars().take_while(char::is_ascii_digit).collect();
        if let Ok(published) = digits.parse::<u64>() {
            let _ = delays.send(arrived.saturating_sub(published));
        }
    }
}

fn event(number: usize, began: Instant) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{number}","source":"/bench","type":"bench.event","time":"2026-11-23T10:00:00Z","data":{{"note":"{}","published":{}}}}}"#,
        "x".repeat(180),
        began.elapsed().as_nanos()
    )
}

async fn post_each(url: &str, count: usize, began: Instant) -> Result<(), BoxError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    for number in 0..count {
        ticks.tick().await;
        let body = format!("[{}]", event(number, began));
        client.post(url).body(body).send().await?.error_for_status()?.bytes().await?;
    }
    Ok(())
}

async fn publish_each(url: &str, count: usize, began: Instant) -> Result<(), BoxError> {
    let bus = Arc::new(MemoryBus::default());
    let dispatcher = Dispatcher::new(bus.clone());
    let batch = BatchLimits::default().max_age(HumanDuration::new(Duration::ZERO));
    dispatcher.add(Hook::new("bench", HttpConfig::new(url))?.batch(batch)).await?;
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    for number in 0..count {
        ticks.tick().await;
        bus.publish(Envelope::from_json(event(number, began).as_bytes())?.into()).await?;
    }
    dispatcher.shutdown(None).await;
    Ok(())
}
