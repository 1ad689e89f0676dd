//! What the Postgres bus costs, beside a plain client in the same run: events per second, and seconds of CPU of the clients
//! and of the server per million events; how soon an event is at its receiver; what is left in the tables.
//!
//! `postgres_bench EVENTS INSTANCE`, on a server of its own, with its defaults; INSTANCE is the example `postgres_instance`.
//! Prints tables. `cargo xtask bench postgres` builds and runs it.

mod latency;
mod meter;
mod plain;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hooks_bus::postgres::outbox;
use hooks_bus::{PostgresBus, PostgresConfig};
use hooks_core::{
    BoxError, Bus as _, Dispatcher, Hook, Sink, Slice, SliceBuilder, async_trait,
    sink::{Batch, Delivered, DeliveryError, SinkContext, SinkFactory},
};
use hooks_test::postgres::Server;
use meter::Meter;
use tokio_postgres::{Client, NoTls};

/// Events of one call.
const SLICE: usize = 500;

/// Hooks that several instances share.
const HOOKS: usize = 12;

/// Calls that a publisher has under way at a time.
const PUBLISHERS: usize = 4;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, instance] = &arguments[..] else {
        return Err("usage: postgres_bench EVENTS INSTANCE".into());
    };
    let count: usize = count.parse()?;
    let running = Server::with_settings(&["shared_buffers=128MB"]).ok_or("no PostgreSQL")?;
    let server = &format!("127.0.0.1:{}", running.port);
    let client = connect(server).await?;
    let config =
        PostgresConfig { hosts: vec![server.clone()], database: "postgres".to_owned(), ..PostgresConfig::default() };
    let bus = Arc::new(PostgresBus::connect(config).await?);
    latency::measure(server, &bus).await?;
    let meter = Meter::new(&client).await?;
    println!(
        "\n| {count} events of {} bytes | events/s | CPU s/M | CPU s/M of the server |\n|---|---|---|---|",
        event("", 0).len()
    );
    let begun = meter.begin(&[]);
    plain::insert(&client, count).await?;
    meter.row("plain client, INSERT, 500 a transaction", count, begun, &[]);
    let begun = meter.begin(&[]);
    plain::select(&client, count).await?;
    meter.row("plain client, SELECT, 1,000 at a time", count, begun, &[]);
    let begun = meter.begin(&[]);
    for first in (0..count).step_by(SLICE) {
        bus.publish(slice("a", first)).await?;
    }
    meter.row("PostgresBus, publish, one caller, slices of 500", count, begun, &[]);
    deliver(&bus, &client, &meter, count).await?;
    bus.finish().await;
    drop(bus);
    tables(&client).await?;
    let mut waited = 0;
    for instances in 1..=3 {
        waited = waited.max(share(server, instance, instances, count, &client, &meter).await?);
    }
    tables(&client).await?;
    println!("\nUp to {waited} events waited in the outbox for their positions.");
    Ok(())
}

async fn connect(server: &str) -> Result<Client, BoxError> {
    let (host, port) = server.split_once(':').ok_or("HOST:PORT")?;
    let mut config = tokio_postgres::Config::new();
    config.host(host).port(port.parse()?).user("hooks").dbname("postgres");
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// An event of a run. Its id comes once, or it would be taken once.
fn event(run: &str, number: usize) -> String {
    let data = "x".repeat(200);
    format!(
        r#"{{"specversion":"1.0","id":"{run}{number:08}","source":"/bench","type":"probe","time":"2026-11-23T10:00:00Z","data":"{data}"}}"#
    )
}

fn slice(run: &str, first: usize) -> Slice {
    let mut slice = SliceBuilder::new("/bench");
    for number in first..first + SLICE {
        let _ = slice.push_json(event(run, number).as_bytes());
    }
    slice.finish()
}

/// Publishes and delivers to one hook at a time, until its position is written.
async fn deliver(bus: &Arc<PostgresBus>, client: &Client, meter: &Meter, count: usize) -> Result<(), BoxError> {
    let dispatcher = Dispatcher::new(bus.clone());
    dispatcher.add(Hook::new("one", Nowhere)?).await?;
    let begun = meter.begin(&[]);
    for first in (0..count).step_by(SLICE) {
        bus.publish(slice("b", first)).await?;
    }
    settled(client, 1).await?;
    meter.row("PostgresBus and dispatcher, publish and deliver, one hook to nowhere", count, begun, &[]);
    dispatcher.remove(&dispatcher.status()[0].id.clone()).await?;
    client.batch_execute("DELETE FROM hooks.cursors").await?;
    Ok(())
}

/// Waits until so many hooks are done with all events, of which none waits for its position.
async fn settled(client: &Client, hooks: i64) -> Result<(), BoxError> {
    let sql = "SELECT (SELECT count(*) FROM hooks.cursors WHERE position >= hooks.last_position()) = $1 \
               AND NOT EXISTS (SELECT FROM hooks.outbox)";
    while !client.query_one(sql, &[&hooks]).await?.get::<_, bool>(0) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// An application publishes, and instances share hooks that all receive every event. Returns how many events waited at
/// most. Ends when all has been quiet for a while.
async fn share(
    server: &str,
    program: &str,
    instances: usize,
    count: usize,
    client: &Client,
    meter: &Meter,
) -> Result<u64, BoxError> {
    let mut running = Vec::new();
    for _ in 0..instances {
        let mut command = Command::new(program);
        command.args([server, &HOOKS.to_string(), "5000", "-"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut ready = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().ok_or("no output")?, &mut ready)?;
        running.push(child);
    }
    // Until the hooks are shared.
    let shared = "SELECT count(DISTINCT owner) = $1 AND count(owner) = $2 FROM hooks.cursors";
    while !client.query_one(shared, &[&(instances as i64), &(HOOKS as i64)]).await?.get::<_, bool>(0) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let begun = meter.begin(&running);
    let mut publishers = tokio::task::JoinSet::new();
    let published = Arc::new(AtomicU64::new(last_position(client).await?));
    for number in 0..PUBLISHERS {
        let mut client = connect(server).await?;
        let published = published.clone();
        publishers.spawn(async move {
            for first in (number * SLICE..count).step_by(PUBLISHERS * SLICE) {
                let transaction = client.transaction().await?;
                outbox::publish(&transaction, &slice(&instances.to_string(), first)).await?;
                transaction.commit().await?;
                published.fetch_add(SLICE as u64, Ordering::Relaxed);
            }
            Ok::<(), BoxError>(())
        });
    }
    let mut waited = 0;
    let mut look = tokio::time::interval(Duration::from_millis(500));
    while !publishers.is_empty() {
        tokio::select! {
            Some(ended) = publishers.join_next() => ended??,
            _ = look.tick() => {
                let published = published.load(Ordering::Relaxed);
                waited = waited.max(published.saturating_sub(last_position(client).await?));
            }
        }
    }
    settled(client, HOOKS as i64).await?;
    let what = format!("an application, hooks.publish(), and {instances} instance(s) with {HOOKS} hooks, per event");
    meter.row(&what, count, begun, &running);
    // The outbox gives room back when it is quiet.
    tokio::time::sleep(Duration::from_secs(12)).await;
    for mut child in running {
        drop(child.stdin.take());
        Child::wait(&mut child)?;
    }
    client.batch_execute("DELETE FROM hooks.cursors").await?;
    Ok(waited)
}

async fn last_position(client: &Client) -> Result<u64, BoxError> {
    Ok(client.query_one("SELECT hooks.last_position()", &[]).await?.get::<_, i64>(0).unsigned_abs())
}

/// What the tables take, and what of it is dead.
async fn tables(client: &Client) -> Result<(), BoxError> {
    let sql = "SELECT CASE WHEN relname LIKE 'log\\_%' THEN 'log, partitions' ELSE relname END AS name, count(*), \
               sum(pg_total_relation_size(relid))::int8 / 1024, sum(n_live_tup)::int8, sum(n_dead_tup)::int8, \
               sum(autovacuum_count)::int8 FROM pg_stat_user_tables WHERE schemaname = 'hooks' \
               GROUP BY name HAVING sum(n_tup_ins) > 0 ORDER BY name";
    client.batch_execute("SELECT pg_stat_clear_snapshot()").await?;
    println!("\n| table | number | KiB | live rows | dead rows | times vacuumed |\n|---|---|---|---|---|---|");
    for row in client.query(sql, &[]).await? {
        let number = |at| row.get::<_, i64>(at);
        let (name, tables): (&str, i64) = (row.get(0), number(1));
        println!("| {name} | {tables} | {} | {} | {} | {} |", number(2), number(3), number(4), number(5));
    }
    println!("\n| | events/s | CPU s/M | CPU s/M of the server |\n|---|---|---|---|");
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
