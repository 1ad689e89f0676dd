//! The disk is full: a small file system in memory, which only root can mount.

use std::path::Path;

use hooks_bus::{DurableBus, DurableConfig};
use hooks_core::{Bus, BusError, ByteSize, Filter, HookId};
use hooks_test::{End, numbers};

use crate::small::Small;

use super::{config, dead_letters::letter, slice};

fn on(small: &Path) -> DurableConfig {
    let mut config = config(&small.join("data"));
    config.segment_size = ByteSize::new(32 << 10);
    config.max_bytes = ByteSize::new(1 << 30);
    config
}

/// Publishes until there is no room. Returns the refused number.
async fn fill(bus: &DurableBus, first: usize) -> usize {
    for number in first..first + 100_000 {
        match bus.publish(slice(number..number + 1, 500)).await {
            Ok(_) => {}
            Err(BusError::Full(text)) => {
                assert!(text.contains("no room on the disk"), "{text}");
                return number;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("never full");
}

#[tokio::test]
async fn a_full_disk_under_the_log_refuses_loses_nothing_and_goes_on_when_there_is_room() {
    let Some(small) = Small::new(600) else { return };
    let others = small.0.join("others");
    std::fs::write(&others, vec![1; 80 << 10]).unwrap();
    let bus = DurableBus::open(&on(&small.0)).unwrap();
    let mut slow = End::new(&bus, "slow", Filter::all()).await;
    let refused = fill(&bus, 0).await;
    assert!(refused > 100, "{refused}");
    assert_eq!(fill(&bus, refused).await, refused, "still");
    // Even with not one byte left, hooks go on, and what they are done with makes room.
    let _filler = small.fill();
    let read = slow.read(refused / 2).await;
    slow.settle(&read);
    let mut next = refused;
    for _ in 0..3 {
        bus.sync_positions().await.unwrap();
        next = fill(&bus, next).await;
    }
    assert!(next > refused, "{next}");
    assert_eq!(slow.read_all().await, (refused / 2..next).collect::<Vec<_>>());
    // And so does room that somebody else makes.
    std::fs::File::create(others).unwrap();
    assert!(fill(&bus, next).await > next);
}

#[tokio::test]
async fn a_full_disk_under_the_dead_letters_refuses_them_and_goes_on_when_there_is_room() {
    let Some(small) = Small::new(600) else { return };
    let config = on(&small.0);
    let mut kept = 0;
    {
        let bus = DurableBus::open(&config).unwrap();
        let dead_letters = bus.hooks().dead_letters(&HookId::new("a").unwrap()).unwrap();
        dead_letters.keep(vec![letter(0, "")]).await.unwrap();
        let filler = small.fill();
        let full = loop {
            match dead_letters.keep(vec![letter(kept + 1, &"x".repeat(1000))]).await {
                Ok(_) => kept += 1,
                Err(error) => break error,
            }
            assert!(kept < 10_000, "never full");
        };
        assert!(matches!(&full, BusError::Full(text) if text.contains("no room on the disk")), "{full}");
        assert_eq!(dead_letters.list(None, 20_000).await.unwrap().len(), kept + 1, "what was kept is there");
        // Emptied, not removed: that makes room at once, also while another test starts a program.
        std::fs::File::create(filler).unwrap();
        dead_letters.keep(vec![letter(kept + 1, &"x".repeat(1000))]).await.unwrap();
        // Publishing never stopped being possible.
        let mut a = End::new(&bus, "a", Filter::all()).await;
        bus.publish(slice(0..1, 1)).await.unwrap();
        assert_eq!(numbers(&a.read(1).await), [0]);
    }
    let bus = DurableBus::open(&config).unwrap();
    let dead_letters = bus.hooks().dead_letters(&HookId::new("a").unwrap()).unwrap();
    assert_eq!(dead_letters.count(), kept as u64 + 2);
}

#[test]
fn a_full_disk_is_named_when_a_folder_is_set_up() {
    let Some(small) = Small::new(64) else { return };
    let _filler = small.fill();
    let error = DurableBus::open(&on(&small.0)).unwrap_err().to_string();
    assert!(error.contains("there is no room left on the disk"), "{error}");
}
