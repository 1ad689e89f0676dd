//! Kills `hooks serve` while clients manage hooks over its API and publish: what was answered stays, nothing is half
//! made, and an event reaches the hooks that there were when it was accepted.

mod client;
mod history;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::common::Random;
use super::http::Client as Connection;
use super::process::Daemon;
use super::receiver::Receiver;
use super::record::{PUBLISHERS, Totals};
use client::Client;

/// Several lives in one folder, each killed; then everything is delivered and checked.
pub(super) fn chain(program: &Path, lives: u64, random: &mut Random) -> Result<Totals, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("a folder for the files: {error}"))?;
    let place = Place { program: program.to_owned(), config: folder.path().join("hooks.toml") };
    place.write_config()?;
    let receiver = Receiver::start()?;
    let mut clients: Vec<Client> =
        (0..PUBLISHERS).map(|number| Client::new(number, receiver.address, random.below(u64::MAX))).collect();
    for _ in 0..lives {
        if random.below(3) == 0 {
            Daemon::kill_at_start(&place.program, &place.config, Duration::from_micros(random.below(150_000)))?;
            receiver.finish()?;
        }
        let limit = Duration::from_micros(random.below(4) * random.below(300_000));
        clients = place.live(clients, limit)?;
        receiver.finish()?;
    }
    place.deliver(&mut clients, &receiver)?;
    let histories: Vec<_> = clients.into_iter().map(Client::into_history).collect();
    history::check(&histories, &receiver.arrived())
}

/// The program and the config file of a daemon.
struct Place {
    program: PathBuf,
    config: PathBuf,
}

impl Place {
    fn write_config(&self) -> Result<(), String> {
        let config = "ingest.listen = '127.0.0.1:0'\nbus = { kind = 'durable', segment_size = '64KiB' }\n\
                      [api.sink_options.http]\nallow_cidrs = ['127.0.0.0/8']\n";
        std::fs::write(&self.config, config).map_err(|error| format!("hooks.toml: {error}"))
    }

    /// A daemon whose hooks are what the clients were answered.
    fn start(&self, clients: &mut [Client]) -> Result<Daemon, String> {
        let daemon = Daemon::start(&self.program, &self.config)?;
        let mut connection = connect(daemon.address)?;
        for client in &mut *clients {
            client.settle(&mut connection).map_err(|why| format!("after a restart: {why}\n{}", daemon.said()))?;
        }
        let there = connection.ask("GET", "/v1/hooks?limit=1000", "", "").map(|(_, body)| body).unwrap_or_default();
        let there = there.matches("\"origin\":\"api\"").count();
        let known: usize = clients.iter().map(|client| client.hooks().count()).sum();
        if there == known { Ok(daemon) } else { Err(format!("{there} hooks are listed, and {known} were made")) }
    }

    /// One life: clients make hooks and publish until it is killed.
    fn live(&self, mut clients: Vec<Client>, limit: Duration) -> Result<Vec<Client>, String> {
        let mut daemon = self.start(&mut clients)?;
        let (failed, heard) = sync_channel(clients.len());
        let address = daemon.address;
        let threads: Vec<_> = clients
            .into_iter()
            .map(|client| {
                let failed = failed.clone();
                std::thread::spawn(move || run(client, address, &failed))
            })
            .collect();
        drop(failed);
        let ended = heard.recv_timeout(limit);
        daemon.kill()?;
        let joined = threads.into_iter().map(|thread| thread.join().map_err(|_| "a client has panicked".to_owned()));
        let clients = joined.collect::<Result<Vec<Client>, String>>()?;
        match ended {
            Ok(why) => Err(format!("{why}\n{}", daemon.said())),
            Err(RecvTimeoutError::Disconnected) => Err(format!("it ended by itself: {}", daemon.said())),
            // What a client was answered just before the kill was wrong.
            Err(RecvTimeoutError::Timeout) => heard.iter().next().map_or(Ok(clients), Err),
        }
    }

    /// The last life, in which every hook gets what it has to get.
    fn deliver(&self, clients: &mut [Client], receiver: &Receiver) -> Result<(), String> {
        let mut daemon = self.start(clients)?;
        let mut connection = connect(daemon.address)?;
        let mut last = Vec::new();
        for client in &mut *clients {
            client.enable_all(&mut connection)?;
        }
        for client in &mut *clients {
            last.push(client.publish_last(&mut connection)?);
        }
        let paths = clients.iter().flat_map(Client::hooks);
        let due: BTreeSet<_> = paths.flat_map(|path| last.iter().map(move |number| (path.clone(), *number))).collect();
        receiver.wait_for(due).map_err(|why| format!("{why}\n{}", daemon.said()))?;
        daemon.stop()
    }
}

/// Does one thing after the other until the daemon is gone.
fn run(mut client: Client, address: SocketAddr, failed: &SyncSender<String>) -> Client {
    let Some(mut connection) = Connection::connect(address) else { return client };
    loop {
        match client.act(&mut connection) {
            Ok(true) => {}
            Ok(false) => return client,
            Err(why) => {
                // There is room for one of each client.
                let _ = failed.send(why);
                return client;
            }
        }
    }
}

fn connect(address: SocketAddr) -> Result<Connection, String> {
    Connection::connect(address).ok_or_else(|| format!("can't connect to {address}"))
}
