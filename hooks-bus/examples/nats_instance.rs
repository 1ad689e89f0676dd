//! One of several instances that share hooks through NATS, for the tests that kill it.
//!
//! `nats_instance SERVERS HOOKS TYPES LEASE_MS LOG`: hook `h<i>` takes events of the type
//! `load.<i modulo TYPES>` and `probe`, and appends `HOOK ID` lines to the file LOG, which all instances
//! share. `-` as LOG keeps nothing. Prints `ready`, ends cleanly at the end of standard input.

mod log;

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use hooks_bus::{NatsBus, NatsConfig};
use hooks_core::{BoxError, Dispatcher, Filter, Hook, HumanDuration};
use log::Log;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, hooks, types, lease, log] = &arguments[..] else {
        return Err("usage: nats_instance SERVERS HOOKS TYPES LEASE_MS LOG".into());
    };
    let (hooks, types): (usize, usize) = (hooks.parse()?, types.parse()?);
    let config = NatsConfig {
        servers: servers.split(',').map(str::to_owned).collect(),
        create: false,
        lease: HumanDuration::new(Duration::from_millis(lease.parse()?)),
        ..NatsConfig::default()
    };
    let log = match log.as_str() {
        "-" => None,
        path => Some(Arc::new(File::options().append(true).create(true).open(path)?)),
    };
    let bus = Arc::new(NatsBus::connect(config).await?);
    let dispatcher = Dispatcher::new(bus);
    for number in 0..hooks {
        let name = format!("h{number}");
        let sink = Log { hook: name.clone(), file: log.clone() };
        let filter = Filter::types([format!("load.{}", number % types), "probe".to_owned()]);
        dispatcher.add(Hook::new(&name, sink)?.filter(filter)).await?;
    }
    println!("ready");
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    dispatcher.shutdown(Some(Duration::from_secs(10))).await;
    Ok(())
}
