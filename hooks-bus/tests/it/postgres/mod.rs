//! The Postgres bus against real servers.

mod checking;
mod clock;
mod disk;
mod duplicates;
mod fixture;
mod instances;
mod languages;
mod order;
mod outages;
mod outbox;
mod publishing;
mod reading;
mod retention;
mod rollback;
mod schema;
mod secure;
mod slow;
mod storm;
mod vacuum;

use std::time::Duration;

use hooks_bus::{PostgresBus, PostgresConfig};
use hooks_core::{ByteSize, HumanDuration};
use hooks_test::postgres::Server;
use hooks_test::soon;
use tokio_postgres::{Client, NoTls};

pub(crate) fn config(server: &Server, database: &str) -> PostgresConfig {
    PostgresConfig {
        hosts: vec![format!("127.0.0.1:{}", server.port)],
        database: database.to_owned(),
        max_bytes: ByteSize::new(256 << 20),
        // However busy the machine is, nobody who lives is taken for dead.
        lease: HumanDuration::new(Duration::from_secs(30)),
        ..PostgresConfig::default()
    }
}

/// A bus in the database `postgres`.
async fn bus(server: &Server) -> PostgresBus {
    soon("connecting", PostgresBus::connect(config(server, "postgres"))).await.unwrap()
}

/// A bus that uses the first of these servers that takes writes.
async fn bus_of(servers: [&Server; 2]) -> PostgresBus {
    let hosts = servers.map(|server| format!("127.0.0.1:{}", server.port)).to_vec();
    soon("connecting", PostgresBus::connect(PostgresConfig { hosts, ..config(servers[0], "postgres") })).await.unwrap()
}

/// A client as an application has it.
async fn client(server: &Server) -> Client {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(server.port).user("hooks").dbname("postgres");
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Publishes the event of this number, as part of the client's transaction if there is one.
async fn publish(client: &Client, number: usize) {
    let event = format!("SELECT hooks.publish('{{\"type\":\"a\",\"id\":\"{number}\"}}')");
    client.batch_execute(&event).await.unwrap();
}
