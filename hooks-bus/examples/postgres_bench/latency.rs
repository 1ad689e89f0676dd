//! How soon an event is at its receiver: from when its transaction is told to commit to the first byte.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hooks_bus::PostgresBus;
use hooks_core::{
    BatchLimits, BoxError, Dispatcher, Hook, Sink, async_trait,
    sink::{Batch, Delivered, DeliveryError, SinkContext, SinkFactory},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::connect;

const EVENTS: usize = 30_000;
const RATE: u32 = 1_000;
const CLIENTS: usize = 8;

type Times = Arc<Mutex<HashMap<usize, Instant>>>;

pub(crate) async fn measure(server: &str, bus: &Arc<PostgresBus>) -> Result<(), BoxError> {
    let (arrived, committed) = (Times::default(), Times::default());
    let port = receive(arrived.clone())?;
    let dispatcher = Dispatcher::new(bus.clone());
    dispatcher.add(Hook::new("latency", ToPort(port))?).await?;
    let begin = Instant::now() + Duration::from_millis(100);
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let (client, committed) = (connect(server).await?, committed.clone());
        clients.spawn(async move {
            let (mut own, mut returned) = (Vec::new(), Vec::new());
            let publish = client.prepare("SELECT hooks.publish($1::text::json)").await?;
            for event in (number..EVENTS).step_by(CLIENTS) {
                tokio::time::sleep_until((begin + Duration::from_secs(1) / RATE * event as u32).into()).await;
                client.batch_execute("BEGIN").await?;
                client.query_one(&publish, &[&format!(r#"{{"type":"probe","id":"{event}"}}"#)]).await?;
                own.push((event, Instant::now()));
                client.batch_execute("COMMIT").await?;
                returned.push(own[own.len() - 1].1.elapsed());
            }
            committed.lock().map_err(|_| "poisoned")?.extend(own);
            Ok::<_, BoxError>(returned)
        });
    }
    let mut commits = Vec::new();
    while let Some(ended) = clients.join_next().await {
        commits.extend(ended??);
    }
    let took = begin.elapsed();
    while arrived.lock().map_err(|_| "poisoned")?.len() < EVENTS {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (arrived, committed) =
        (arrived.lock().map_err(|_| "poisoned")?.clone(), committed.lock().map_err(|_| "poisoned")?.clone());
    let waits = committed.iter().filter_map(|(event, at)| Some(arrived.get(event)?.saturating_duration_since(*at)));
    println!("| {EVENTS} events, {:.0} a second | median | 99 % | most |", EVENTS as f64 / took.as_secs_f64());
    println!("|---|---|---|---|");
    row("a commit", commits);
    row("from the order to commit to the first byte at the receiver", waits.collect());
    dispatcher.remove(&dispatcher.status()[0].id.clone()).await?;
    connect(server).await?.batch_execute("DELETE FROM hooks.cursors").await?;
    Ok(())
}

fn row(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() * part / 1000).min(times.len() - 1)].as_secs_f64() * 1e3;
    println!("| {what} | {:.1} ms | {:.1} ms | {:.1} ms |", at(500), at(990), at(1000));
}

/// A receiver, which notes when it sees each event, and answers with a byte.
fn receive(arrived: Times) -> Result<u16, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let arrived = arrived.clone();
            std::thread::spawn(move || serve(connection, &arrived));
        }
    });
    Ok(port)
}

fn serve(mut connection: std::net::TcpStream, arrived: &Times) {
    let mut buffer = [0; 64 << 10];
    while let Ok(length @ 1..) = connection.read(&mut buffer) {
        let now = Instant::now();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if let Ok(mut arrived) = arrived.lock() {
            arrived.extend(text.lines().filter_map(|line| Some((line.parse().ok()?, now))));
        }
        if connection.write_all(&[1]).is_err() {
            return;
        }
    }
}

/// Sends the ids of a batch to a port, and waits for an answer.
#[derive(Debug)]
struct ToPort(u16);

#[derive(Debug)]
struct Connected(u16, Option<TcpStream>);

impl SinkFactory for ToPort {
    fn kind(&self) -> &str {
        "port"
    }

    fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        Ok(Box::new(Connected(self.0, None)))
    }

    fn batch_limits(&self) -> BatchLimits {
        BatchLimits::immediate()
    }
}

#[async_trait]
impl Sink for Connected {
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        let failed = |error: std::io::Error| DeliveryError::retry("send").because(error);
        if self.1.is_none() {
            let connection = TcpStream::connect(("127.0.0.1", self.0)).await.map_err(failed)?;
            connection.set_nodelay(true).map_err(failed)?;
            self.1 = Some(connection);
        }
        let Some(connection) = &mut self.1 else { return Err(DeliveryError::retry("connect")) };
        let lines: String = batch.events().map(|event| format!("{}\n", event.id())).collect();
        connection.write_all(lines.as_bytes()).await.map_err(failed)?;
        connection.read_exact(&mut [0]).await.map_err(failed)?;
        Ok(Delivered::all())
    }
}
