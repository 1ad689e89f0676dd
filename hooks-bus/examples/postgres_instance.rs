//! One of several instances that share hooks through Postgres, for the tests that kill it.
//!
//! `postgres_instance HOST:PORT HOOKS LEASE_MS LOG`: hooks `h<i>` append `HOOK ID` lines to the file LOG, which all instances
//! share; `-` keeps nothing. Prints `ready`, ends cleanly at the end of standard input.

mod log;

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use hooks_bus::{PostgresBus, PostgresConfig};
use hooks_core::{BoxError, Dispatcher, Hook, HumanDuration};
use log::Log;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, hooks, lease, log] = &arguments[..] else {
        return Err("usage: postgres_instance HOST:PORT HOOKS LEASE_MS LOG".into());
    };
    let config = PostgresConfig {
        hosts: vec![host.clone()],
        database: "postgres".to_owned(),
        lease: HumanDuration::new(Duration::from_millis(lease.parse()?)),
        ..PostgresConfig::default()
    };
    let open = || File::options().append(true).create(true).open(log);
    let file = if log == "-" { None } else { Some(Arc::new(open()?)) };
    let dispatcher = Dispatcher::new(Arc::new(PostgresBus::connect(config).await?));
    for number in 0..hooks.parse()? {
        let name = format!("h{number}");
        let sink = Log { hook: name.clone(), file: file.clone() };
        dispatcher.add(Hook::new(&name, sink)?).await?;
    }
    println!("ready");
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    dispatcher.shutdown(Some(Duration::from_secs(10))).await;
    Ok(())
}
