//! Dead letters survive, are bounded, and can be listed and removed.

use std::time::{Duration, UNIX_EPOCH};

use hooks_core::{
    Bus, BusError, Bytes, DeadLetter, DeadLetterReason, Envelope, HookId, LetterId, MAX_DETAIL, Position,
};

use super::{config, open};
use crate::slice;

pub(super) fn letter(position: usize, detail: &str) -> DeadLetter {
    DeadLetter {
        position: Position(position as u64),
        envelope: slice(position..position + 1, 50).remove(0),
        reason: DeadLetterReason::Refused,
        detail: detail.to_owned(),
        attempts: 3,
        first_attempt: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        last_attempt: UNIX_EPOCH + Duration::from_millis(1_700_000_060_456),
    }
}

fn same(a: &DeadLetter, b: &DeadLetter) -> bool {
    (a.position, a.reason, &a.detail, a.attempts, a.first_attempt, a.last_attempt)
        == (b.position, b.reason, &b.detail, b.attempts, b.first_attempt, b.last_attempt)
        && a.envelope.json() == b.envelope.json()
}

#[tokio::test]
async fn they_survive_and_keep_what_is_known_about_them() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let (a, b) = (HookId::new("a").unwrap(), HookId::new("a.b").unwrap());
    {
        let bus = open(&config);
        let letters = bus.dead_letters(&a).unwrap();
        letters.keep(vec![letter(1, "400: ünknown"), letter(2, "")]).await.unwrap();
        letters.keep(vec![letter(1, "again")]).await.unwrap();
        bus.dead_letters(&b).unwrap().keep(vec![letter(7, "other")]).await.unwrap();
    }
    let bus = open(&config);
    let letters = bus.dead_letters(&a).unwrap();
    assert_eq!(letters.count(), 2);
    let all = letters.list(None, 10).await.unwrap();
    assert_eq!(all.len(), 2);
    assert!(same(&all[0].1, &letter(2, "")) && same(&all[1].1, &letter(1, "again")), "{all:?}");
    let later = letters.list(Some(all[0].0), 10).await.unwrap();
    assert_eq!(later.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [all[1].0]);
    assert_eq!(letters.list(None, 1).await.unwrap().len(), 1);
    assert_eq!(letters.remove(&[all[0].0, LetterId(999)]).await.unwrap(), 1);
    assert_eq!(letters.count(), 1);
    // Forgetting a hook forgets its letters, and no others.
    assert!(bus.forget(&a).await.unwrap());
    assert_eq!(letters.list(None, 10).await.unwrap().len(), 0);
    assert_eq!(bus.dead_letters(&b).unwrap().list(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn they_are_bounded_in_number_and_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.dead_letters.max_events = 3;
    config.dead_letters.max_bytes = Bytes(2000);
    let bus = open(&config);
    let letters = bus.dead_letters(&HookId::new("a").unwrap()).unwrap();
    letters.keep(vec![letter(1, ""), letter(2, "")]).await.unwrap();
    let full = letters.keep(vec![letter(3, ""), letter(4, "")]).await.unwrap_err();
    assert!(matches!(&full, BusError::Full(text) if text.contains("hook `a` has 2 dead letters")), "{full}");
    assert_eq!(letters.list(None, 10).await.unwrap().len(), 2, "all or none");
    // What is there already takes no room.
    letters.keep(vec![letter(1, "again"), letter(3, "")]).await.unwrap();
    let large = letters.keep(vec![letter(1, &"x".repeat(1500))]).await;
    assert!(matches!(large, Err(BusError::Full(_))));
    let ids: Vec<LetterId> = letters.list(None, 10).await.unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(letters.remove(&ids[..2]).await.unwrap(), 2);
    letters.keep(vec![letter(4, "")]).await.unwrap();
    assert_eq!(letters.count(), 2);
}

/// With the longest reason there is.
#[tokio::test]
async fn what_was_accepted_can_become_a_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.dead_letters.max_bytes = Bytes(4000);
    let bus = open(&config);
    let letters = bus.dead_letters(&HookId::new("a").unwrap()).unwrap();
    let event = |bytes: usize| {
        let json = |data: &str| {
            format!(
                r#"{{"specversion":"1.0","id":"1","source":"/s","type":"a","time":"2026-11-23T10:00:00Z","data":"{data}"}}"#
            )
        };
        Envelope::from_json(json(&"x".repeat(bytes - json("").len())).as_bytes()).unwrap()
    };
    let largest = config.largest_event();
    bus.publish(&[event(largest), event(largest)]).await.unwrap();
    let refused = bus.publish(&[event(largest), event(largest + 1)]).await.unwrap_err();
    assert!(matches!(&refused, BusError::TooLarge(text) if text.contains("`bus.dead_letters.max_bytes`")), "{refused}");
    let longest = DeadLetter { envelope: event(largest), ..letter(1, &"x".repeat(MAX_DETAIL)) };
    letters.keep(vec![longest]).await.unwrap();
}
