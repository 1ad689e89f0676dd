//! Dead letters are bounded, and there is room for every event that was accepted.

use std::time::{Duration, UNIX_EPOCH};

use hooks_core::{
    Bus, BusError, ByteSize, DeadLetter, DeadLetterId, DeadLetterReason, Envelope, HookId, Position, bus::MAX_DETAIL,
};

use super::{config, open};
use crate::slice;

pub(super) fn letter(position: usize, detail: &str) -> DeadLetter {
    DeadLetter {
        position: Position::new(position as u64),
        envelope: slice(position..position + 1, 50)[0].clone(),
        reason: DeadLetterReason::Refused,
        detail: detail.to_owned(),
        attempts: 3,
        first_attempt: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        last_attempt: UNIX_EPOCH + Duration::from_millis(1_700_000_060_456),
    }
}

#[tokio::test]
async fn they_are_bounded_in_number_and_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.dead_letters.max_events = 3;
    config.dead_letters.max_bytes = ByteSize::new(2000);
    let bus = open(&config);
    let dead_letters = bus.hooks().dead_letters(&HookId::new("a").unwrap()).unwrap();
    dead_letters.keep(vec![letter(1, ""), letter(2, "")]).await.unwrap();
    let full = dead_letters.keep(vec![letter(3, ""), letter(4, "")]).await.unwrap_err();
    assert!(matches!(&full, BusError::Full(text) if text.contains("hook `a` has 2 dead letters")), "{full}");
    assert_eq!(dead_letters.list(None, 10).await.unwrap().len(), 2, "all or none");
    // What is there already takes no room.
    dead_letters.keep(vec![letter(1, "again"), letter(3, "")]).await.unwrap();
    let large = dead_letters.keep(vec![letter(1, &"x".repeat(1500))]).await;
    assert!(matches!(large, Err(BusError::Full(_))));
    let ids: Vec<DeadLetterId> = dead_letters.list(None, 10).await.unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(dead_letters.remove(&ids[..2]).await.unwrap(), 2);
    dead_letters.keep(vec![letter(4, "")]).await.unwrap();
    assert_eq!(dead_letters.count(), 2);
}

/// As when it was replayed and refused once more.
#[tokio::test]
async fn a_letter_that_is_replaced_keeps_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.dead_letters.max_events = 2;
    let bus = open(&config);
    let dead_letters = bus.hooks().dead_letters(&HookId::new("a").unwrap()).unwrap();
    dead_letters.keep(vec![letter(1, "no"), letter(2, "no")]).await.unwrap();
    dead_letters.replace(vec![(DeadLetterId::new(0), letter(1, "not this time, either"))]).await.unwrap();
    let told = |kept: Vec<(DeadLetterId, DeadLetter)>| -> Vec<(u64, String)> {
        kept.into_iter().map(|(id, letter)| (id.get(), letter.detail)).collect()
    };
    let kept = dead_letters.list(None, 10).await.unwrap();
    assert_eq!(told(kept), [(0, "not this time, either".to_owned()), (1, "no".to_owned())]);
    assert_eq!(dead_letters.remove(&[DeadLetterId::new(0)]).await.unwrap(), 1);
    dead_letters.replace(vec![(DeadLetterId::new(0), letter(1, "too late"))]).await.unwrap();
    assert_eq!(
        (told(dead_letters.list(None, 10).await.unwrap()), dead_letters.count()),
        (vec![(1, "no".to_owned())], 1)
    );
}

/// With the longest reason there is.
#[tokio::test]
async fn what_was_accepted_can_become_a_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.dead_letters.max_bytes = ByteSize::new(4000);
    let bus = open(&config);
    let dead_letters = bus.hooks().dead_letters(&HookId::new("a").unwrap()).unwrap();
    let event = |bytes: usize| {
        let json = |data: &str| {
            format!(
                r#"{{"specversion":"1.0","id":"1","source":"/s","type":"a","time":"2026-11-23T10:00:00Z","data":"{data}"}}"#
            )
        };
        Envelope::from_json(json(&"x".repeat(bytes - json("").len())).as_bytes()).unwrap()
    };
    let largest = config.largest_event();
    bus.publish(hooks_test::together(&[event(largest), event(largest)])).await.unwrap();
    let refused = bus.publish(hooks_test::together(&[event(largest), event(largest + 1)])).await.unwrap_err();
    assert!(matches!(&refused, BusError::TooLarge(text) if text.contains("`dead_letters.max_bytes`")), "{refused}");
    let longest = DeadLetter { envelope: event(largest), ..letter(1, &"x".repeat(MAX_DETAIL)) };
    dead_letters.keep(vec![longest]).await.unwrap();
}
