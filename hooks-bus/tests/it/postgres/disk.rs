//! The disk of the database is full.

use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::path::Path;
use std::process::Command;

use hooks_bus::PostgresBus;
use hooks_core::{Bus, BusError, Filter};
use hooks_test::{End, events_of, pause, soon, until};

use super::retention::noise;
use super::{Server, config};
use crate::small::Small;

/// Publishes until it is refused. Returns how many were accepted, and the refusal.
async fn published(bus: &PostgresBus, mut next: usize) -> (usize, BusError) {
    soon("a refusal", async {
        loop {
            match bus.publish(noise(next..next + 20, 4 << 10)).await {
                Ok(_) => next += 20,
                Err(error) => return (next, error),
            }
        }
    })
    .await
}

/// Publishes as soon as that is possible again.
async fn publishes_again(bus: &PostgresBus, number: usize) {
    soon("room", async {
        while bus.publish(events_of(number..number + 1, "a")).await.is_err() {
            pause().await;
        }
    })
    .await;
}

/// Only the database is on that disk, not the server's write-ahead log: the server stays.
#[tokio::test]
async fn a_full_disk_refuses_events_delivers_what_is_there_and_recovers() {
    let Some(server) = Server::start() else { return };
    let Some(small) = Small::new(64 << 10) else { return };
    let owner = server.folder().metadata().unwrap();
    chown(&small.0, Some(owner.uid()), Some(owner.gid())).unwrap();
    server.psql("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", small.0.display()));
    server.psql("postgres", "CREATE DATABASE small TABLESPACE small");
    let bus = PostgresBus::connect(config(&server, "small")).await.unwrap();
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    bus.publish(noise(0..20, 4 << 10)).await.unwrap();
    let filler = small.fill();
    let (count, refused) = published(&bus, 20).await;
    assert!(matches!(refused, BusError::Full(_)), "{refused}");
    assert!(refused.to_string().contains("No space left on device"), "{refused}");
    assert!(refused.to_string().contains("the database has no room left"), "{refused}");
    // What has a position arrives.
    let there = || server.psql("small", "SELECT hooks.last_position()").parse::<usize>().unwrap();
    let read = hook.take(there()).await;
    assert_eq!(hooks_test::numbers(&read), (0..read.len()).collect::<Vec<_>>());
    hook.settle(&read);
    let begun = read.len();
    std::fs::remove_file(filler).unwrap();
    publishes_again(&bus, count).await;
    let read = hook.read_to(count, 100).await;
    assert_eq!(read, (begun..=count).collect::<Vec<_>>(), "all that was accepted, each once");
    until("all is well", || bus.monitor().health().trouble().is_none()).await;
}

/// The write-ahead log is on that disk: the server refuses or ends, and whoever runs it starts it again when there is room.
#[tokio::test]
async fn what_was_accepted_before_the_write_ahead_log_had_no_room_is_there_when_the_server_is_back() {
    let Some(server) = Server::start() else { return };
    let Some(small) = Small::new(48 << 10) else { return };
    server.stop_at_once();
    let log = server.folder().join("data/pg_wal");
    move_to(&log, &small.0);
    server.run();
    let bus = PostgresBus::connect(config(&server, "postgres")).await.unwrap();
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    bus.publish(noise(0..20, 4 << 10)).await.unwrap();
    let filler = small.fill();
    let (count, refused) = published(&bus, 20).await;
    assert!(matches!(refused, BusError::Full(_) | BusError::Unavailable(_)), "{refused}");
    std::fs::remove_file(filler).unwrap();
    server.stop_at_once();
    server.run();
    // What was refused may be there, too.
    let last = count + 20;
    publishes_again(&bus, last).await;
    let mut read = std::collections::BTreeSet::new();
    soon("all of it", async {
        while !read.contains(&last) {
            read.extend(hook.read_to(last, 100).await);
        }
    })
    .await;
    assert!((0..count).all(|number| read.contains(&number)), "{count}: {read:?}");
}

fn move_to(folder: &Path, to: &Path) {
    let owner = folder.metadata().unwrap();
    chown(to, Some(owner.uid()), Some(owner.gid())).unwrap();
    let from = folder.join(".");
    assert!(Command::new("cp").arg("-a").args([&from, to]).status().unwrap().success());
    std::fs::remove_dir_all(folder).unwrap();
    symlink(to, folder).unwrap();
}
