//! What a server keeps for a bus, as an earlier version wrote it, serves every later version. Written once by [`write`],
//! which stays to show what is in it.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use hooks_core::bus::Expected;
use hooks_core::{Bus, DeadLetter, DeadLetterReason, DisabledBy, Filter, Override, StartAt};
use hooks_test::{End, id, soon, until};

use crate::slice;

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn events(numbers: impl Iterator<Item = usize>) -> Vec<usize> {
    numbers.collect()
}

fn off() -> Override {
    Override::disabled(
        DisabledBy::Receiver,
        Some("410 Gone".to_owned()),
        UNIX_EPOCH + Duration::from_secs(1_795_861_109),
    )
}

/// 60 events in slices of three; `all` has settled 0 to 19 and has a dead letter, `some` has settled nothing, `off` is
/// disabled, and `made` is defined behind the last event.
pub(crate) async fn write(bus: &dyn Bus) {
    let hooks = bus.hooks();
    let mut all = End::new(bus, "all", Filter::all()).await;
    let some = End::new(bus, "some", Filter::types(["test.2"])).await;
    for first in (0..60).step_by(3) {
        bus.publish(slice(first..first + 3, first)).await.unwrap();
    }
    let read = all.take(20).await;
    let refused = DeadLetter {
        position: read[4].position,
        envelope: read[4].envelope().clone(),
        reason: DeadLetterReason::Refused,
        detail: "400 Bad Request: no".to_owned(),
        attempts: 3,
        first_attempt: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        last_attempt: UNIX_EPOCH + Duration::from_millis(1_700_000_060_456),
    };
    hooks.dead_letters(&id("all")).unwrap().keep(vec![refused]).await.unwrap();
    all.settle(&read);
    hooks.set_override(&id("off"), Some(off())).await.unwrap();
    hooks.define(&id("made"), r#"{"name":"made é"}"#, Expected::Absent, StartAt::End).await.unwrap();
    soon("the end of the bus", bus.finish()).await;
    drop((all, some));
}

pub(crate) async fn check(bus: &dyn Bus) {
    let ends = check_kept(bus).await;
    // And it goes on.
    bus.publish(slice(60..61, 1)).await.unwrap();
    for mut end in ends {
        assert_eq!(hooks_test::numbers(&end.take(1).await), [60]);
    }
}

/// The same, while an application publishes the events 60, 61 and so on, one at a time, from before the bus is opened.
pub(crate) async fn check_under_load<B: Bus>(open: impl Future<Output = B>, publish: impl AsyncFn(usize)) {
    const SOME: usize = 100;
    let (published, has_ended) = (Cell::new(60), Cell::new(false));
    let application = async {
        while !has_ended.get() {
            publish(published.get()).await;
            published.set(published.get() + 1);
        }
    };
    let reading = async {
        let more = async |what: &str| {
            let wanted = published.get() + SOME;
            until(what, || published.get() >= wanted).await;
        };
        more("events before the bus is opened").await;
        let bus = open.await;
        let ends = check_kept(&bus).await;
        more("events while it is read").await;
        has_ended.set(true);
        (bus, ends)
    };
    let ((), (_bus, ends)) = tokio::join!(application, reading);
    for mut end in ends {
        assert_eq!(end.read_to(published.get() - 1, SOME).await, events(60..published.get()));
    }
}

/// Returns ends that the events from 60 on come to.
async fn check_kept(bus: &dyn Bus) -> [End; 2] {
    let hooks = bus.hooks();
    let mut all = End::new(bus, "all", Filter::all()).await;
    let read = all.take(40).await;
    assert_eq!(hooks_test::numbers(&read), events(20..60));
    assert_eq!(read[39].envelope().json(), slice(57..60, 57)[2].json());
    all.settle(&read);
    let mut some = End::new(bus, "some", Filter::types(["test.2"])).await;
    assert_eq!(hooks_test::numbers(&some.take(20).await), events((2..60).step_by(3)));

    let kept = hooks.dead_letters(&id("all")).unwrap().list(None, 9).await.unwrap();
    assert_eq!(kept.len(), 1);
    let letter = &kept[0].1;
    assert_eq!((letter.detail.as_str(), letter.attempts), ("400 Bad Request: no", 3));
    assert_eq!(letter.envelope.json(), slice(3..6, 3)[1].json());
    assert_eq!(hooks.overrides(&id("off")), Some(off()));
    let made = hooks.definition(&id("made")).await.unwrap().unwrap();
    assert_eq!(&*made.text, r#"{"name":"made é"}"#);
    [all, End::new(bus, "made", Filter::all()).await]
}
