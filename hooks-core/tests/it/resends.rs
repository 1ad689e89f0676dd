//! Past events that are sent again, beside the live ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use hooks_core::bus::{PastFilter, PastQuery};
use hooks_core::{
    Bus, Dispatcher, Filter, Hook, Metadata, Pattern, Position, ReplayError, ResendReport, Resending, TenantId,
    sink::FailureClass,
};
use hooks_test::{Receiver, batch, events, events_of, id, ids};

use crate::dead_letters::hook;
use crate::keeping::Keeping;

/// A hook whose receiver has had so many events, one at a time.
async fn with_past(count: usize, change: impl FnOnce(Hook) -> Hook) -> (Keeping, Dispatcher, Receiver) {
    let bus = Keeping::new(100).shared();
    let (dispatcher, receiver) = (Dispatcher::new(Arc::new(bus.clone())), Receiver::default());
    dispatcher.add(change(hook(&receiver).batch(batch(1, "0s")))).await.unwrap();
    bus.publish(events(0..count)).await.unwrap();
    receiver.has(count).await;
    (bus, dispatcher, receiver)
}

fn everything() -> Resending {
    Resending::of(PastQuery::default())
}

async fn resend(dispatcher: &Dispatcher, what: Resending) -> ResendReport {
    dispatcher.resend(&id("a"), what, |_| {}).await.unwrap()
}

/// Matched, not matched, delivered, refused, and where it ended.
fn came(report: &ResendReport) -> (usize, usize, usize, usize, Option<u64>) {
    (report.matched, report.unmatched, report.delivered, report.refused, report.next)
}

fn since(receiver: &Receiver, attempts: usize) -> Vec<String> {
    receiver.attempts()[attempts..].iter().flat_map(|attempt| attempt.events.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn chosen_events_are_sent_again_oldest_first() {
    let (_, dispatcher, receiver) = with_past(6, |hook| hook).await;
    let by_id = PastQuery::default().filter(PastFilter::default().ids(["4".to_owned(), "1".to_owned()].into()));
    let range = PastQuery::default().from(Position::new(2)).to(Some(Position::new(5)));
    for (what, expected) in [
        (Resending::of(by_id), vec!["1", "4"]),
        (Resending::of(range), vec!["2", "3", "4"]),
        (everything().positions(BTreeSet::from([5, 0, 9])), vec!["0", "5"]),
        (everything(), vec!["0", "1", "2", "3", "4", "5"]),
    ] {
        let before = receiver.attempts().len();
        let report = resend(&dispatcher, what).await;
        assert_eq!(came(&report), (expected.len(), 0, expected.len(), 0, None));
        assert_eq!(since(&receiver, before), expected);
    }
    let report = resend(&dispatcher, everything().dry_run(true)).await;
    assert_eq!((came(&report), receiver.arrived().len()), ((6, 0, 0, 0, None), 6 + 2 + 3 + 2 + 6));
}

/// More than are in memory at a time; what comes meanwhile is not among them.
#[tokio::test(start_paused = true)]
async fn a_large_range_goes_a_page_at_a_time_beside_live_events() {
    let (bus, dispatcher, receiver) = with_past(600, |hook| hook).await;
    receiver.hang();
    let before = receiver.attempts().len();
    let meanwhile = async {
        receiver.was_tried(before + 1).await;
        bus.publish(events(1_000..1_050)).await.unwrap();
        receiver.go_on();
    };
    let (report, ()) = tokio::join!(resend(&dispatcher, everything()), meanwhile);
    assert_eq!(came(&report), (600, 0, 600, 0, None));
    let sent = since(&receiver, before);
    let (live, again): (Vec<String>, Vec<String>) = sent.iter().cloned().partition(|id| id.len() == 4);
    assert_eq!((live, again), (ids(1_000..1_050), ids(0..600)));
    // One batch between two live ones.
    assert!((0..50).all(|turn| sent[2 * turn].len() < 4 && sent[2 * turn + 1].len() == 4), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_again_is_marked_and_named_otherwise() {
    let metadata = Metadata::new([("env", "test".into()), ("hooksreplay", "mine".into())]).unwrap();
    let (_, dispatcher, receiver) = with_past(2, |hook| hook.metadata(metadata)).await;
    let live = receiver.attempts();
    for _ in 0..2 {
        receiver.fails(FailureClass::Unprocessed, 1);
        resend(&dispatcher, everything()).await;
    }
    let attempts = receiver.attempts();
    assert_eq!(attempts.len(), live.len() + 6);
    // An attempt that is made once more has the same name; no other has.
    let names: BTreeSet<_> = attempts.iter().map(|attempt| &attempt.batch).collect();
    assert_eq!(names.len(), attempts.len() - 2, "{attempts:?}");
    let lines = receiver.lines();
    let marked: Vec<bool> = lines.iter().map(|line| line.contains(r#""hooksreplay":true"#)).collect();
    assert_eq!(marked, [[false; 2].as_slice(), &[true; 4]].concat(), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains(r#""env":"test""#) && line.matches("hooksreplay").count() == 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_becomes_a_dead_letter() {
    let (bus, dispatcher, receiver) = with_past(4, |hook| hook).await;
    receiver.refuses(["1", "2"]);
    let report = resend(&dispatcher, everything()).await;
    assert_eq!((came(&report), bus.ids()), ((4, 0, 2, 2, None), ids(1..3)));
    assert!(report.error.is_some());
    bus.dead_letters.room.store(0, std::sync::atomic::Ordering::Relaxed);
    let report = resend(&dispatcher, everything()).await;
    assert_eq!(came(&report), (4, 0, 2, 0, Some(1)));
    assert!(report.error.unwrap().contains("can't be kept as dead letters"));
}

#[tokio::test(start_paused = true)]
async fn a_failure_ends_it_and_says_where_to_go_on() {
    let (_, dispatcher, receiver) = with_past(300, |hook| hook).await;
    let before = receiver.attempts().len();
    receiver.hang();
    let fails = async {
        receiver.was_tried(before + 1).await;
        receiver.answers([hooks_test::Answer::Fail(FailureClass::Retry)]);
        receiver.go_on();
    };
    let (report, ()) = tokio::join!(resend(&dispatcher, everything()), fails);
    let next = report.next.unwrap();
    assert_eq!((report.matched, report.delivered as u64), (256, next), "{report:?}");
    assert!(next < 2, "{report:?}");
    let rest = Resending::of(PastQuery::default().from(Position::new(next)));
    assert_eq!(resend(&dispatcher, rest).await.delivered as u64, 300 - next);
}

/// A hook's filter holds for the past; without it the tenant still does, and others' events are not even counted.
#[tokio::test(start_paused = true)]
async fn a_hook_gets_what_its_filter_takes_and_never_what_is_another_tenants() {
    let acme = TenantId::new("acme").unwrap();
    let filter = Filter::types(["test.event"]).tenant(acme.clone());
    let bus = Keeping::new(100).shared();
    let (dispatcher, receiver) = (Dispatcher::new(Arc::new(bus.clone())), Receiver::default());
    dispatcher.add(hook(&receiver).filter(filter)).await.unwrap();
    let event = |id: &str, event_type: &str, tenant: &str| {
        let json = format!(r#"{{"type":"{event_type}","id":"{id}","source":"/s","tenant":"{tenant}"}}"#);
        hooks_core::Envelope::from_json(json.as_bytes()).unwrap()
    };
    let all = [event("0", "test.event", "acme"), event("1", "test.other", "acme"), event("2", "test.event", "other")];
    bus.publish(hooks_test::together(&all)).await.unwrap();
    receiver.has(1).await;
    assert_eq!(came(&resend(&dispatcher, everything()).await), (1, 1, 1, 0, None));
    assert_eq!(came(&resend(&dispatcher, everything().unmatched(true)).await), (2, 0, 2, 0, None));
    let others = PastFilter::default().tenant(Some(TenantId::new("other").unwrap()));
    let others = Resending::of(PastQuery::default().filter(others)).unmatched(true);
    assert_eq!(came(&resend(&dispatcher, others).await), (0, 0, 0, 0, None));
    assert_eq!(receiver.arrived(), ["0", "0", "0", "1"]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_is_disabled_elsewhere_or_unknown_is_sent_nothing() {
    let (bus, dispatcher, receiver) = with_past(2, |hook| hook).await;
    bus.is_lost(true);
    let report = resend(&dispatcher, everything()).await;
    assert_eq!(came(&report), (2, 0, 0, 0, Some(0)));
    assert!(report.error.unwrap().contains("another instance has the hook now"));
    bus.is_lost(false);
    dispatcher.disable(&id("a")).await.unwrap();
    let refused = dispatcher.resend(&id("a"), everything(), |_| {}).await;
    assert!(matches!(refused, Err(ReplayError::Disabled(_))), "{refused:?}");
    assert_eq!(came(&resend(&dispatcher, everything().dry_run(true)).await), (2, 0, 0, 0, None));
    let unknown = dispatcher.resend(&id("b"), everything(), |_| {}).await;
    assert!(matches!(unknown, Err(ReplayError::UnknownHook(_))), "{unknown:?}");
    assert_eq!(receiver.arrived().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn types_that_the_hook_does_not_take_are_counted_by_themselves() {
    let (bus, dispatcher, receiver) = with_past(2, |hook| hook.filter(Filter::types(["test.event"]))).await;
    bus.publish(events_of(10..13, "other")).await.unwrap();
    assert_eq!(came(&resend(&dispatcher, everything()).await), (2, 3, 2, 0, None));
    let other = PastFilter::default().types(vec![Pattern::new("oth*")]);
    let other = Resending::of(PastQuery::default().filter(other)).unmatched(true);
    assert_eq!(came(&resend(&dispatcher, other).await), (3, 0, 3, 0, None));
    assert_eq!(receiver.arrived()[4..], ids(10..13));
}
