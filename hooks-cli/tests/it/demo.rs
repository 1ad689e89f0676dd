//! `hooks demo` checks itself; this checks that it does.

use crate::command::{Ended, Place, Running, run};

/// With a folder of its own for temporary files.
fn demo(place: &Place, args: &[&str]) -> Ended {
    let mut command = place.hooks(&[&["demo"], args].concat());
    command.env("TMPDIR", place.path("."));
    run(command, b"")
}

fn files(place: &Place) -> usize {
    std::fs::read_dir(place.path(".")).unwrap().count()
}

#[test]
fn every_promise_holds() {
    let place = Place::new("");
    let ended = demo(&place, &["--seconds", "1"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    assert!(!ended.out.contains('\x1b'), "no colours and no cursor where there is no terminal");
    let happened = [
        "329 real GitHub events go to 4 hooks",
        "\nsteady  ",
        "\nflaky   ",
        "\npicky   ",
        "\nfile    ",
        "flaky answers 503 from now on",
        "flaky is back: ",
        "flaky is down: it closes connections without an answer",
        "flaky is back: ",
    ];
    let mut rest = ended.out.as_str();
    for text in happened {
        rest = rest.split_once(text).unwrap_or_else(|| panic!("`{text}` is missing:\n{}", ended.out)).1;
    }
    assert!(ended.out.contains("all 329 events are published"), "{}", ended.out);
    assert_eq!(ended.out.matches("it stands alone now").count(), 3, "{}", ended.out);
    let ledger = "
hook           taken = delivered   + refused   + dropped   + in hand
steady           329         329           0           0           0
flaky            329         329           0           0           0
picky            329         326           3           0           0
file             329         329           0           0           0
";
    assert!(ended.out.contains(ledger), "{}", ended.out);
    assert_eq!(ended.out.matches("\nok ").count(), 7, "{}", ended.out);
    assert!(ended.out.contains("ok Nothing was lost: 1,313 of 1,313 deliveries arrived, the file byte for byte\n"));
    assert!(ended.out.contains("ok Events don't either: 3 of 3 poisoned ones refused alone, 326 others arrived\n"));
    assert!(ended.out.contains("\nAll 7 promises held, in "), "{}", ended.out);
    assert_eq!(files(&place), 1, "nothing is left but the config");
}

#[test]
fn an_interrupted_run_ends_with_1_and_leaves_nothing() {
    let place = Place::new("");
    let mut command = place.hooks(&["--log", "warn", "demo", "--seconds", "10"]);
    command.env("TMPDIR", place.path("."));
    let mut running = Running::of(command);
    // Asked for, the log says what fails; until then all is set up.
    running.wait_for("state=backing_off");
    running.signal("TERM");
    let ended = running.wait();
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.ends_with("stopped by SIGTERM\n"), "{}", ended.err);
    assert_eq!(files(&place), 1);
}

#[test]
fn the_time_it_takes_has_limits() {
    for seconds in ["0", "601", "NaN", "soon"] {
        let ended = demo(&Place::new(""), &["--seconds", seconds]);
        assert_eq!(ended.code, Some(2), "{}", ended.err);
        assert!(ended.err.contains("from 0.5 to 600"), "{}", ended.err);
    }
}
