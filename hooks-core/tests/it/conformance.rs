//! A right sink passes every check of the kit, and each way to be wrong fails the check that is there
//! to find it.

mod bus;
mod memory;

use hooks_core::conformance::{self, Report, Verdict};

use memory::{Fault, Memory};

/// The check that is there for it fails with exactly this text.
async fn fails(fault: Fault, check: &str, text: &str) {
    let report = conformance::check(async || Memory::new(fault)).await;
    says(&report, check, text);
}

#[track_caller]
fn says(report: &Report, check: &str, text: &str) {
    assert_eq!(report.verdict(check), Some(&Verdict::Failed(text.to_owned())), "{report}");
}

/// The check that is there for it fails with exactly this text, and no other check fails.
async fn fails_only(fault: Fault, check: &str, text: &str) {
    let report = conformance::check(async || Memory::new(fault)).await;
    says(&report, check, text);
    assert_eq!(report.failed(), [check], "{fault:?}");
}

#[tokio::test(start_paused = true)]
async fn a_right_sink_passes_every_check() {
    let report = conformance::check(async || Memory::new(Fault::None)).await;
    report.assert_passed();
    assert_eq!(
        report.to_string(),
        [
            "delivers",
            "order",
            "verbatim",
            "metadata",
            "large_event",
            "large_batch",
            "refused_events",
            "error_classes",
            "cancellation",
            "flush_and_close",
            "lanes",
            "test_delivery",
            "secrets",
        ]
        .map(|name| format!("passed   {name}\n"))
        .concat()
    );
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the sink does not conform:\nFAILED   delivers: ")]
async fn assert_passed_panics_with_the_report() {
    conformance::check(async || Memory::new(Fault::Queues)).await.assert_passed();
}

#[tokio::test(start_paused = true)]
async fn delivers() {
    const LOOK: &str = "deliver a batch, then look before `flush` and `close`";
    let nothing = format!("{LOOK}: the destination has 0 of 2 events: event `delivers-0-0` is missing");
    fails(Fault::Queues, "delivers", &nothing).await;
    fails(Fault::Spawns, "delivers", &nothing).await;
    let report = conformance::check(async || Memory::new(Fault::Panics)).await;
    says(&report, "delivers", &format!("{LOOK}: the sink panicked: as asked"));
    assert_eq!(report.failed().len(), 12, "the others are tried nevertheless\n{report}");
}

#[tokio::test(start_paused = true)]
async fn order() {
    const STEP: &str = "deliver batches of 1, 7, 100, 2 and 50 events, then `close`: event";
    for (fault, what) in [
        (Fault::Reverses, "2 at the destination is event `order-1-6` instead of event `order-1-0`"),
        (Fault::DropsLast, "1 at the destination is event `order-1-0` instead of event `order-0-0`"),
        (Fault::Repeats, "2 at the destination is event `order-0-0` instead of event `order-1-0`"),
    ] {
        fails(fault, "order", &format!("{STEP} {what}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn verbatim() {
    let text = "deliver events in peculiar JSON: event `peculiar-0` differs from what was sent, from byte 3 on: \
                `data\":{\"a\":2,\"z\":3},\"id\":\"peculiar-0\",\"s…` instead of \
                `specversion\":\"1.0\",\"id\":\"peculiar-0\",\"so…`";
    fails(Fault::Rebuilds, "verbatim", text).await;
    let text = "deliver events in peculiar JSON: event `peculiar-1` differs from what was sent, from byte 129 on: \
                `\"spaced\":[1,2]}}` instead of ` \"spaced\" : [ 1 , 2 ] }}`";
    fails(Fault::Squeezes, "verbatim", text).await;
}

#[tokio::test(start_paused = true)]
async fn metadata() {
    let text = "deliver a batch of a hook that has metadata (`Batch::lines` applies it): event `metadata-0` differs \
                from what was sent, from byte 3 on: `specversion\":\"1.0\",\"id\":\"metadata-0\",\"so…` instead of \
                `conformance\":\"yes\",\"other\":7,\"specversio…`";
    fails_only(Fault::IgnoresMetadata, "metadata", text).await;
}

#[tokio::test(start_paused = true)]
async fn large_event() {
    let text = "deliver an event of 1 MiB: event 2 at the destination is `{\"specversion\":\"1.0\",\"id\":\"1-MiB\",\"sourc…` \
                instead of event `1-MiB`";
    fails_only(Fault::Truncates, "large_event", text).await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_may_refuse_a_large_event_if_it_says_so() {
    let report = conformance::check(async || Memory::new(Fault::SmallOnly)).await;
    report.assert_passed();
    let why = "the sink refuses an event of 1 MiB, and says so".to_owned();
    assert_eq!(report.verdict("large_event"), Some(&Verdict::Skipped(why)));
    assert_eq!(report.skipped(), ["large_event"]);
}

#[tokio::test(start_paused = true)]
async fn large_batch() {
    let text = "deliver a batch of 4,096 events, split where the sink says that it is too large: \
                the destination has 1000 of 4096 events: event `large-1000` is missing";
    fails_only(Fault::TakesThousand, "large_batch", text).await;
}

#[tokio::test(start_paused = true)]
async fn refused_events() {
    for (fault, what) in [
        (Fault::HidesRefused, "the sink names [] as refused instead of [\"refused-2\", \"refused-6\"]"),
        (Fault::MiscountsRefused, "event 7 is named refused in a batch of 7"),
        (Fault::NamesTwice, "event 2 is named refused twice"),
        (Fault::NoReason, "event 2 is named refused for no reason: the text is empty"),
        (Fault::RetriesRefused, "fails with Retry: write to memory: an event is refused"),
    ] {
        let step = "deliver a batch of which the destination refuses events 2 and 6, split where it is rejected";
        fails_only(fault, "refused_events", &format!("{step}: {what}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_may_reject_the_whole_batch_for_one_event() {
    conformance::check(async || Memory::new(Fault::RejectsWhole)).await.assert_passed();
}

#[tokio::test(start_paused = true)]
async fn error_classes() {
    for (fault, text) in [
        (Fault::HidesFailures, "deliver while the destination fails with Retry: the sink says `Ok`"),
        (
            Fault::OneClass,
            "deliver while the destination fails with Throttle: fails with Retry: write to memory: switched off",
        ),
        (Fault::Breaks, "deliver again when Retry is over: fails with Endpoint: write to memory: closed"),
        (Fault::Mute, "deliver while the destination fails with Retry: the error does not say what was done"),
    ] {
        fails_only(fault, "error_classes", text).await;
    }
}

#[tokio::test(start_paused = true)]
async fn cancellation() {
    const DROPPED: &str = "after the future of `deliver` was dropped (small batch, 1 polls), deliver the batch again";
    for (fault, what) in [
        (
            Fault::TrustsItsBeginning,
            " and the next one: event `small-1-next-0` arrived before event `small-1-0`, which was sent earlier",
        ),
        (
            Fault::Tears,
            " and the next one: the destination has `{\"specversion\":\"1.0\",\"id\":\"small-1-0\",\"s…`, \
             which was never sent like that",
        ),
        (Fault::Hangs, ": does not return"),
        (
            Fault::DeliversLate,
            " and the next one: event `small-1-next-0` arrived before event `small-1-0`, which was sent earlier",
        ),
    ] {
        fails(fault, "cancellation", &format!("{DROPPED}{what}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn flush_and_close() {
    let text =
        "`flush` and `close` a sink that delivered nothing: `flush` fails: fails with Retry: flush memory: no file";
    fails_only(Fault::FlushFails, "flush_and_close", text).await;
    let text = "`close` after `flush`: the destination has event `flush-0-1-0` in addition to what was sent";
    fails(Fault::CloseRepeats, "flush_and_close", text).await;
}

#[tokio::test(start_paused = true)]
async fn lanes() {
    let text = "build a sink for lane 1 of hook `conformance`: the destination is in use";
    fails_only(Fault::Exclusive, "lanes", text).await;
    let text = "deliver through one lane when the others are closed: fails with Endpoint: write to memory: closed";
    fails(Fault::ClosesAll, "lanes", text).await;
}

#[tokio::test(start_paused = true)]
async fn test_delivery() {
    let text = "deliver through a sink that was built for a test: \
                the destination has 0 of 1 events: event `test-0` is missing";
    fails_only(Fault::FakesTests, "test_delivery", text).await;
}

#[tokio::test(start_paused = true)]
async fn secrets() {
    fails_only(Fault::ShowsSecret, "secrets", "print the settings with `Debug`: a secret shows").await;
    let text = "print the error of a delivery that fails with Retry: a secret shows";
    fails_only(Fault::SecretInError, "secrets", text).await;
}
