//! A right bus passes every check of the kit, and each way to be wrong fails the check that is there to find it.

use hooks_core::conformance::Verdict;
use hooks_core::conformance::bus::{check, check_only, names};
use hooks_test::model::{Fault, Model};

#[tokio::test(start_paused = true)]
async fn a_right_bus_passes_every_check() {
    let report = check(async || Model::new(Fault::None)).await;
    report.assert_passed();
    assert_eq!(report.skipped(), ["one_at_a_time"], "{report}");
    assert!(report.verdicts().map(|(name, _)| name).eq(names()));
    let of_processes =
        ["one_at_a_time", "takeover", "takeover_after_crash", "sharing", "shared_overrides", "shared_definitions"];
    let report = check_only(&of_processes, async || Model::new(Fault::Single)).await;
    report.assert_passed();
    assert_eq!(report.skipped(), of_processes[1..], "{report}");
}

/// The fault, the check that finds it, and the end of its message.
const FAULTS: &[(Fault, &str, &str)] = &[
    (Fault::Reverses, "order", "event `order-4-49` at 159 is read after 160"),
    (Fault::MiscountsRead, "order", "`next` says Events(162) and appends 161 of at most 1000 events"),
    (
        Fault::Rebuilds,
        "verbatim",
        "event `peculiar-0` differs from what was sent, from byte 3 on: `data\":{\"a\":2,\"z\":3},\"id\":\"peculiar-0\",\"s…` instead of `specversion\":\"1.0\",\"id\":\"peculiar-0\",\"so…`",
    ),
    (Fault::Races, "publishers", "31 events come instead of 241"),
    (
        Fault::TakesBeforeRefusing,
        "all_or_nothing",
        "event 1 at the hook is event `before-reserved-0` instead of event `marker-0`",
    ),
    (
        Fault::SaysPartly,
        "all_or_nothing",
        "some are accepted: an event of type `hooks.endpoint.held` can't be published: types that begin with `hooks.` are the dispatcher's own; 2 of 5 events were accepted before: 1 to 2",
    ),
    (Fault::Piecemeal, "cancelled_publish", "1 of the 3 events of the call that was dropped come"),
    (Fault::CountsCalls, "counting", "1 events are counted as accepted"),
    (Fault::CountsNoDuplicates, "counting", "Some(0) events are counted as duplicates"),
    (
        Fault::TypesOnly,
        "filters",
        "event 3 at the hook is event `conformance.a-other` instead of event `conformance.b-mine-1`",
    ),
    (
        Fault::IgnoresTenants,
        "tenants",
        "event 1 at the hook is event `nobodys-conformance.a-0` instead of event `acme-conformance.a-0`",
    ),
    (Fault::KeepsFilter, "filter_change", "does not return"),
    (Fault::AlwaysAtTheEnd, "beginning", "event 1 at the hook is event `after-0` instead of event `before-0`"),
    (Fault::BeginsAnew, "beginning", "event 1 at the hook is event `before-0` instead of event `marker-1`"),
    (
        Fault::SkipsUnsettled,
        "redelivery",
        "event 1 at the hook is event `redelivery-6` instead of event `redelivery-0`",
    ),
    (
        Fault::RedeliversSettled,
        "redelivery",
        "event 2 at the hook is event `redelivery-1` instead of event `redelivery-2`",
    ),
    (Fault::TwoReaders, "redelivery", "does not return"),
    (Fault::SettlesAnything, "settling", "0 events are in hand instead of 2"),
    (
        Fault::SettlesUpTo,
        "settling",
        "the ledger of the hook `a` does not balance: taken 10 = delivered 1 + dropped 0 + dead-lettered 0 + in hand 2",
    ),
    (Fault::TakesThenWaits, "cancelled_next", "does not return"),
    (Fault::NoWindow, "window", "`next` says Events(600)"),
    (Fault::DropsUncounted, "queue_limits", "0 events are counted as dropped instead of 6"),
    (Fault::NeverFlushes, "queue_limits", "does not return"),
    (Fault::SettlesForAll, "isolation", "event 1 at the hook is event `marker-0` instead of event `isolation-0-0`"),
    (Fault::WaitsForTheSlow, "isolation", "does not return"),
    (Fault::WaitsForUnwanted, "isolation", "does not return"),
    (Fault::IgnoresDisabled, "disabled", "does not return"),
    (Fault::NeverDry, "closed_reader", "does not return"),
    (Fault::DryAtOnce, "closed_reader", "the hook has 0 of 3 events: event `closed-2` is missing"),
    (Fault::LosesBetweenPages, "past", "event 4 of the pages is the one at Some(5) instead of Some(4)"),
    (Fault::AcceptsWhenClosed, "closing", "`publish` of 1 events does not say that the bus is closed"),
    (Fault::LosesAtClose, "closing", "the hook has 5 of 20 events: event `closing-5` is missing"),
    (Fault::LagOfUnread, "lag", "it says 0 events, exact: true, instead of 3"),
    (Fault::LagOfAll, "lag", "it says 5 events, exact: true, instead of 1"),
    (
        Fault::UnsubscribeSettles,
        "unsubscribing",
        "event 1 at the hook is event `meanwhile-0` instead of event `before-2`",
    ),
    (
        Fault::LeavesItInFlight,
        "unsubscribing",
        "its ledger says: taken 3 = delivered 2 + dropped 0 + dead-lettered 0 + in hand 1",
    ),
    (Fault::ForgetsInUse, "forgetting", "`forget` does not fail"),
    (
        Fault::ForgetKeepsOverride,
        "forgetting",
        "still known are ([], Some(Override { by: Receiver, reason: Some(\"gone\"), since: 1700000000, sink: 18446744073709551615, secrets: None, files: Some(\"gone\") }), None, None)",
    ),
    (Fault::MovesNowhere, "seeking", "event 1 at the hook is event `wanted-2` instead of event `wanted-0`"),
    (Fault::SkipsUnasked, "seeking", "it is not refused"),
    (Fault::StaysWhereItIs, "seeking", "event 2 at the hook is event `wanted-4` instead of event `wanted-3`"),
    (Fault::MovesWhenAsked, "seeking", "the hook `a` is lost"),
    (Fault::KeepsWhatWasSettled, "seeking", "event 2 at the hook is event `wanted-4` instead of event `wanted-3`"),
    (Fault::ForgetsWhatWasSettled, "seeking", "event 1 at the hook is event `wanted-4` instead of event `wanted-5`"),
    (
        Fault::CountsOthers,
        "seeking",
        "it says Sought { before: 4, after: 0, again: 5, skipped: 0, exact: true, reached: true } instead of 3 again and 0 skipped",
    ),
    (Fault::SkipsUncounted, "seeking", "no event is counted as skipped"),
    (Fault::MovesInMemory, "seeking", "event 1 at the hook is event `wanted-2` instead of event `wanted-0`"),
    (Fault::OverridesInMemory, "overrides", "the override is None"),
    (Fault::FailingInMemory, "overrides", "its own and another hook's are (None, None)"),
    (
        Fault::OverridesOfAll,
        "overrides",
        "its own and another hook's are (Some(Override { by: Receiver, reason: Some(\"first\"), since: 1700000000, sink: 18446744073709551615, secrets: None, files: Some(\"first\") }), Some(Override { by: Receiver, reason: Some(\"first\"), since: 1700000000, sink: 18446744073709551615, secrets: None, files: Some(\"first\") }))",
    ),
    (
        Fault::DeadLettersTwice,
        "dead_letters",
        "dead letter 1 of the list is another, from byte 1 on: `2 refused \"\" 3 SystemTime { tv_sec: 1700…` instead of `3 expired \"ééééééééééééééééééééééééééééé…`",
    ),
    (
        Fault::DeadLettersOfAll,
        "dead_letters",
        "dead letter 0 of the list is another, from byte 1 on: `2 refused \"\" 3 SystemTime { tv_sec: 1700…` instead of `1 expired \"400: \\\"é\\\"\\r\\n\" 3 SystemTime …`",
    ),
    (
        Fault::CutsDeadLetters,
        "dead_letters",
        "dead letter 2 of the list is another, from byte 212 on: `\" 3 SystemTime { tv_sec: 1700000000, tv_…` instead of `éééééééééééééééééééééééééééééééééééééééé…`",
    ),
    (Fault::MiscountsRemoved, "dead_letters", "4 are said to be removed"),
    (Fault::KeepsSome, "dead_letter_limit", "4 dead letters are listed instead of 3"),
    (
        Fault::DeniesOutliving,
        "claims",
        "the bus says BusTraits { outlives_process: false, shared: false, keeps_events: true, atomic: true, \
         counts_tenants: false }, the store BusTraits { outlives_process: true, shared: true, keeps_events: true, \
         atomic: true, counts_tenants: false }",
    ),
    (Fault::ForgetsOutOfOrder, "restart", "event 3 at the hook is event `settled-5` instead of event `settled-7`"),
    (Fault::NewLogId, "restart", "it is said to be another log"),
    (Fault::LosesAtCrash, "crash", "event 1 at the hook is event `marker-0` instead of event `settled-3`"),
    (Fault::OpensTwice, "one_at_a_time", "it opens"),
    (Fault::TakesOverAtTheEnd, "takeover", "event 1 at the hook is event `marker-0` instead of event `settled-3`"),
    (Fault::HoldsForEver, "takeover", "the settler of the one that had the hook says that it has it still"),
    (Fault::OwnerForEver, "takeover_after_crash", "does not return"),
    (Fault::OwnedByAll, "sharing", "both deliver"),
    (Fault::TellsNobody, "shared_overrides", "does not return"),
    (Fault::DefinesAnything, "definitions", "it is done against what was expected"),
    (Fault::DefinesWithoutPlace, "defining", "event 1 at the hook is event `before-0` instead of event `after-0`"),
    (Fault::UndefinesInUse, "undefining", "it does not fail"),
    (Fault::UndefineKeepsPosition, "undefining", "still known are ([\"a\"], None, 0)"),
    (
        Fault::UndefineKeepsOverride,
        "undefining",
        "still known are ([], Some(Override { by: Receiver, reason: Some(\"gone\"), since: 1700000000, sink: 18446744073709551615, secrets: None, files: Some(\"gone\") }), 0)",
    ),
    (Fault::UndefineKeepsDeadLetters, "undefining", "still known are ([], None, 1)"),
    (Fault::RepeatsRevisions, "undefining", "its revision is 1, after 1"),
    (Fault::DefinitionsInMemory, "kept_definitions", "the definition is none instead of 3 {}"),
    (Fault::DefinesInSecret, "shared_definitions", "does not return"),
];

#[tokio::test(start_paused = true)]
async fn each_fault_is_found_by_the_check_that_is_for_it() {
    for (fault, check, text) in FAULTS {
        let report = check_only(&[check], async || Model::new(*fault)).await;
        let said = report.verdict(check);
        let found = matches!(said, Some(Verdict::Failed(why)) if why.ends_with(&format!(": {text}")));
        assert!(found, "{fault:?}: {said:?}");
    }
    for name in names() {
        assert!(FAULTS.iter().any(|(_, check, _)| *check == name), "no fault shows what `{name}` finds");
    }
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the bus does not conform:\nFAILED   restart: ")]
async fn assert_passed_panics_with_the_report() {
    check_only(&["restart"], async || Model::new(Fault::NewLogId)).await.assert_passed();
}

#[tokio::test]
#[should_panic(expected = "no check of a bus is called \"ordre\"")]
async fn a_check_that_there_is_not_is_named() {
    let _ = check_only(&["order", "ordre"], async || Model::new(Fault::None)).await;
}
