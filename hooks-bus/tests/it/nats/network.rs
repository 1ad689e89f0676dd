//! A network between an instance and its server that stalls, breaks and crawls.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use hooks_bus::{NatsBus, NatsConfig};
use hooks_core::{Bus, BusError, Filter, HookId, HumanDuration, bus::Read};
use hooks_test::{End, numbers, pause, soon, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Server, config, disabled, each_once, events, publish};

/// Short, since it is waited for.
const LEASE: HumanDuration = HumanDuration::new(Duration::from_secs(2));

async fn bus(server: &Server) -> NatsBus {
    soon("connecting", NatsBus::connect(NatsConfig { lease: LEASE, ..config(&[server]) })).await.unwrap()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Flow,
    /// Connections stay and nothing moves.
    Stall,
    /// Connections end and no new ones come about.
    Cut,
    /// At most this many bytes at a time, with a pause after each.
    Crawl(usize),
}

/// Stands between a client and a server.
struct Proxy {
    port: u16,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    async fn new(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, to) = (listener.local_addr().unwrap().port(), server.port);
        let mode = watch::Sender::new(Mode::Flow);
        let watched = mode.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(carry(from_client, to_server, watched.clone()));
                tokio::spawn(carry(from_server, to_client, watched.clone()));
            }
        });
        Self { port, mode }
    }

    fn config(&self, server: &Server) -> NatsConfig {
        NatsConfig { servers: vec![format!("nats://127.0.0.1:{}", self.port)], lease: LEASE, ..config(&[server]) }
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let now = *mode.borrow_and_update();
        let most = match now {
            Mode::Flow => buffer.len(),
            Mode::Crawl(bytes) => bytes,
            Mode::Cut => return,
            Mode::Stall => {
                if mode.changed().await.is_err() {
                    return;
                }
                continue;
            }
        };
        let count = tokio::select! {
            _ = mode.changed() => continue,
            count = from.read(&mut buffer[..most]) => count,
        };
        let Ok(count @ 1..) = count else { return };
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
        if let Mode::Crawl(_) = now {
            pause().await;
        }
    }
}

#[tokio::test]
async fn a_stalled_owner_loses_its_hook_and_delivers_nothing_afterwards() {
    let Some(server) = Server::start().await else { return };
    let proxy = Proxy::new(&server).await;
    let stalled = NatsBus::connect(proxy.config(&server)).await.unwrap();
    let other = bus(&server).await;
    let mut before = End::new(&stalled, "hook", Filter::all()).await;
    until("an owner", || stalled.owned().len() == 1).await;
    other.publish(events(0..20, "a")).await.unwrap();
    let read = before.take(20).await;
    before.settle(&read[..5]);
    proxy.mode.send_replace(Mode::Stall);
    let mut after = End::new(&other, "hook", Filter::all()).await;
    // It knows by its own clock, before anybody else takes the hook.
    before.lost(15).await;
    assert!(other.owned().is_empty());
    let again = after.read_to(19, 100).await;
    assert!(again == (5..20).collect::<Vec<_>>() || again == (0..20).collect::<Vec<_>>(), "{again:?}");
    proxy.mode.send_replace(Mode::Flow);
    // It hears what happened, and has nothing to read: its share is the other's, or empty.
    other.publish(events(20..30, "a")).await.unwrap();
    let mut late = Vec::new();
    let mut seen = Vec::new();
    soon("the rest", async {
        while seen.last() != Some(&29) {
            let mut read = Vec::new();
            tokio::select! {
                found = before.reader.next(100, &mut late) => {
                    if let Ok(Read::Events(_)) = found {
                        // The hook came back to it, after the other let it go.
                        seen.extend(numbers(&late));
                        before.settle(&late);
                        late.clear();
                    }
                }
                found = after.reader.next(100, &mut read) => match found {
                    Ok(Read::Lost) => after.ledger.hand_over(after.ledger.counts().in_flight as usize),
                    _ => {
                        seen.extend(numbers(&read));
                        after.settle(&read);
                    }
                },
            }
        }
    })
    .await;
    assert_eq!(seen, (20..30).collect::<Vec<_>>(), "by one after the other, in order");
}

#[tokio::test]
async fn a_cut_connection_comes_back() {
    let Some(server) = Server::start().await else { return };
    let proxy = Proxy::new(&server).await;
    let cut = NatsBus::connect(proxy.config(&server)).await.unwrap();
    let direct = bus(&server).await;
    let mut hook = End::new(&cut, "hook", Filter::all()).await;
    direct.publish(events(0..10, "a")).await.unwrap();
    assert_eq!(hook.read_to(9, 100).await, (0..10).collect::<Vec<_>>());
    for round in 1..4 {
        proxy.mode.send_replace(Mode::Cut);
        until("word of the cut", || {
            let refused = futures_util::FutureExt::now_or_never(cut.publish(events(0..1, "a")));
            matches!(refused, Some(Err(BusError::Unavailable(_))))
        })
        .await;
        direct.publish(events(round * 10..round * 10 + 10, "a")).await.unwrap();
        proxy.mode.send_replace(Mode::Flow);
        let read = hook.read_to(round * 10 + 9, 100).await;
        assert_eq!(read.last(), Some(&(round * 10 + 9)));
        let mut first = read.clone();
        first.retain(|number| *number >= round * 10);
        assert_eq!(first, (round * 10..round * 10 + 10).collect::<Vec<_>>());
    }
}

/// Events written to a lost connection are gone; later ones must not follow on another connection.
#[tokio::test]
async fn what_is_published_again_after_a_cut_is_in_order() {
    let Some(server) = Server::start().await else { return };
    let proxy = Proxy::new(&server).await;
    let cut = NatsBus::connect(proxy.config(&server)).await.unwrap();
    let direct = bus(&server).await;
    let mut hook = End::new(&direct, "hook", Filter::all()).await;
    let stream = server.client().await.get_stream("hooks").await.unwrap();
    const CALL: usize = 1_500;
    for round in 0..4 {
        let all = events(round * CALL..round * CALL + CALL, "a");
        proxy.mode.send_replace(Mode::Crawl(4_000));
        let begun = tokio::spawn({
            let (cut, all) = (cut.clone(), all.clone());
            async move { cut.publish(all.clone()).await }
        });
        soon("some of them", async {
            while (stream.get_info().await.unwrap().state.messages as usize) < round * CALL + 50 {
                pause().await;
            }
        })
        .await;
        proxy.mode.send_replace(Mode::Cut);
        soon("the refusal", begun).await.unwrap().unwrap_err();
        proxy.mode.send_replace(Mode::Flow);
        publish(&cut, all).await;
    }
    let read = hook.read_to(4 * CALL - 1, 100).await;
    assert_eq!(read, (0..4 * CALL).collect::<Vec<_>>());
}

/// Publishing says how far the stream reaches, so that who ends while it is away waits for what it published.
#[tokio::test]
async fn what_was_accepted_is_read_to_the_end_although_the_server_is_away() {
    let Some(mut server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "hook", Filter::all()).await;
    bus.publish(events(0..20, "a")).await.unwrap();
    server.kill();
    bus.close().await;
    server.run();
    let mut read = Vec::new();
    soon("the end", async {
        loop {
            let before = read.len();
            match hook.reader.next(100, &mut read).await {
                Ok(Read::Dry) => break,
                Ok(Read::Lost) => hook.ledger.hand_over(hook.ledger.counts().in_flight as usize),
                Ok(_) => hook.settle(&read[before..]),
                Err(_) => pause().await,
            }
        }
    })
    .await;
    assert_eq!(numbers(&read).last(), Some(&19));
}

#[tokio::test]
async fn a_slow_connection_brings_everything() {
    let Some(server) = Server::start().await else { return };
    let proxy = Proxy::new(&server).await;
    let slow = NatsBus::connect(proxy.config(&server)).await.unwrap();
    let direct = bus(&server).await;
    let mut hook = End::new(&slow, "hook", Filter::all()).await;
    until("an owner", || slow.owned().len() == 1).await;
    proxy.mode.send_replace(Mode::Crawl(2_000));
    direct.publish(events(0..1_000, "a")).await.unwrap();
    let read = hook.read_to(999, 100).await;
    assert_eq!(each_once(read), (0..1_000).collect::<Vec<_>>());
    // This takes longer than a lease; heartbeats get through.
    tokio::time::timeout(Duration::from_secs(60), slow.publish(events(1_000..1_010, "a"))).await.unwrap().unwrap();
    assert_eq!(hook.read_to(1_009, 100).await.last(), Some(&1_009));
}

#[tokio::test]
async fn who_comes_back_knows_what_was_overridden_before_it_delivers() {
    let Some(server) = Server::start().await else { return };
    let proxy = Proxy::new(&server).await;
    let cut = NatsBus::connect(proxy.config(&server)).await.unwrap();
    let direct = bus(&server).await;
    let mut hook = End::new(&cut, "hook", Filter::all()).await;
    let id = HookId::new("hook").unwrap();
    let bucket = server.client().await.get_stream("KV_hooks-hooks").await.unwrap();
    for round in 0..3 {
        direct.publish(events(round * 10..round * 10 + 10, "a")).await.unwrap();
        let read = hook.take(10).await;
        proxy.mode.send_replace(Mode::Stall);
        // Its lease runs out, and what tells it of overrides is gone when it comes back.
        hook.lost(read.len()).await;
        for name in bucket.consumer_names().try_collect::<Vec<_>>().await.unwrap() {
            bucket.delete_consumer(&name).await.unwrap();
        }
        direct.hooks().set_override(&id, Some(disabled(&format!("in round {round}")))).await.unwrap();
        proxy.mode.send_replace(Mode::Flow);
        let again = hook.take(10).await;
        hook.settle(&again);
        assert_eq!(cut.hooks().overrides(&id), Some(disabled(&format!("in round {round}"))));
    }
}
