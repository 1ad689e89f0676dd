//! The cost of a registered webhook while nothing happens: `cargo run --profile dist --example idle -p hooks-sink-http`.
//!
//! Registers 100,000 hooks, each with an address, a secret and a header of its own, and prints how much
//! resident memory the process has more than before, by hook. Then one event wakes one of them, which shows
//! that they are alive.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use hooks_bus::MemoryBus;
use hooks_core::{Bus, Dispatcher, Envelope, Filter, Hook};
use hooks_sink_http::HttpConfig;

const HOOKS: usize = 100_000;
/// Most bytes for each.
const MOST: usize = 3744;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> Result<(), Box<dyn Error>> {
    let bus = Arc::new(MemoryBus::default());
    let dispatcher = Dispatcher::new(bus.clone());
    // The first brings what all share.
    dispatcher.add(hook(HOOKS)?).await?;
    let (before, began) = (resident()?, Instant::now());
    for number in 0..HOOKS {
        dispatcher.add(hook(number)?).await?;
    }
    // Every worker has come to its first rest.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    let each = resident()?.saturating_sub(before) / HOOKS;
    println!("{HOOKS} idle webhooks in {:.1?}: {each} bytes each, of at most {MOST}", began.elapsed());

    bus.publish(Envelope::from_json(br#"{"type":"customer.77.paid"}"#)?.into()).await?;
    let report = dispatcher.shutdown(Some(std::time::Duration::ZERO)).await;
    let taken: Vec<_> = report.hooks.iter().filter(|hook| hook.counts.taken > 0).map(|hook| hook.id.as_str()).collect();
    if taken != ["customer-77"] {
        return Err(format!("the event came to {taken:?}").into());
    }
    if each > MOST { Err(format!("{each} bytes are more than {MOST}").into()) } else { Ok(()) }
}

fn hook(number: usize) -> Result<Hook, Box<dyn Error>> {
    // Nobody listens there; port 9 discards.
    let sink = HttpConfig::new(format!("http://127.0.0.1:9/customers/{number}"))
        .secret("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
        .header("authorization", format!("Bearer token-of-customer-{number}"));
    Ok(Hook::new(&format!("customer-{number}"), sink)?.filter(Filter::types([format!("customer.{number}.*").as_str()])))
}

/// Bytes of this process that are in memory (Linux: `VmRSS`).
fn resident() -> Result<usize, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? * 1024)
}

#[cfg(test)]
mod tests {
    /// In a process of its own: others would change what is measured.
    #[test]
    #[cfg(target_os = "linux")]
    fn at_most_4_kib() {
        super::main().unwrap();
    }
}
