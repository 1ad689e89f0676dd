//! The cost of many hooks, and the time that an event waits inside.

use std::ffi::OsStr;

use hooks_core::BoxError;

use crate::contest::{Contestant, Results, Verdict, median};
use crate::events::{Events, SIZE};
use crate::inside::{ACTIVE_TENANTS, PUBLISHED_AGAIN};
use crate::pipe::written;
use crate::process::{Cost, cost, hooks, role, run};
use crate::{Report, Setup};

const MATCHING: usize = 1_000;
const IDLE: usize = 100_000;
const TENANTS: usize = 10_000;
const MIXED: usize = 10_000;

/// One event to 1,000 hooks.
pub(crate) fn fanout(setup: &Setup) -> Result<Report, BoxError> {
    let events = Events::prepare(&setup.folder, 10_000, SIZE)?;
    let file = events.file.display().to_string();
    let hooks = MATCHING.to_string();
    let deliveries = events.millions() * MATCHING as f64;
    let contestants = vec![Contestant::new("1,000 matching hooks", || cost(&["fanout", &hooks, &file]))];
    let results = Results::of(contestants, setup.rounds, deliveries)?;
    let verdicts = vec![Verdict::at_most(
        "a delivery to each of 1,000 matching hooks",
        results.median_cpu("1,000 matching hooks") * 1e3,
        " ns",
        100.0,
    )];
    Ok(Report { title: "one event to 1,000 hooks (per delivery)", text: results.table(), verdicts })
}

/// 100,000 hooks that match nothing.
pub(crate) fn idle(setup: &Setup) -> Result<Report, BoxError> {
    let events = Events::prepare(&setup.folder, 10_000, SIZE)?;
    let file = events.file.display().to_string();
    let many = IDLE.to_string();
    let mut kib = Vec::new();
    let contestants = vec![
        Contestant::new("publish to no hook", || cost(&["idle", "0", &file])),
        Contestant::new("publish past 100,000", || {
            let figures = role(&["idle", &many, &file])?;
            kib.push(figures[2]);
            Ok(Cost { cpu: figures[0], wall: figures[1], peak: 0.0 })
        }),
    ];
    let results = Results::of(contestants, setup.rounds, PUBLISHED_AGAIN as f64 * events.millions())?;
    let loading = median((0..3).map(|_| load(setup)).collect::<Result<_, _>>()?);
    let ratio = results.ratio("publish past 100,000", &["publish to no hook"]);
    let verdicts = vec![
        Verdict::at_most("publishing past 100,000 hooks that don't match, by none", ratio, " ×", 1.1),
        Verdict::at_most("memory of an idle webhook", median(kib), " KiB", 4.0),
        Verdict::at_most("loading a config of 100,000 webhooks", loading, " s", 2.5),
    ];
    Ok(Report { title: "100,000 hooks that don't match", text: results.table(), verdicts })
}

/// Hooks that match what is in `data`.
pub(crate) fn patterns(setup: &Setup) -> Result<Report, BoxError> {
    let events = Events::prepare(&setup.folder, 10_000, SIZE)?;
    let file = events.file.display().to_string();
    let run = |kind: &'static str, hooks: usize| {
        let (hooks, file) = (hooks.to_string(), &file);
        move || cost(&["patterns", kind, &hooks, file])
    };
    let contestants = vec![
        Contestant::new("1 hook with a customer", run("exact", 1)),
        Contestant::new("100,000 with a customer each", run("exact", IDLE)),
        Contestant::new("10,000 with numeric, prefix, anything-but", run("mixed", MIXED)),
    ];
    let results = Results::of(contestants, setup.rounds, PUBLISHED_AGAIN as f64 * events.millions())?;
    let by_one = |name| results.ratio(name, &["1 hook with a customer"]);
    let verdicts = vec![
        Verdict::at_most(
            "publishing to one of 100,000 with a customer, by one alone",
            by_one("100,000 with a customer each"),
            " ×",
            2.0,
        ),
        Verdict::at_most(
            "publishing past 10,000 other patterns, by one alone",
            by_one("10,000 with numeric, prefix, anything-but"),
            " ×",
            5.0,
        ),
    ];
    Ok(Report { title: "hooks with patterns for `data`", text: results.table(), verdicts })
}

/// The same events of a few tenants, while there are more tenants or not.
pub(crate) fn tenants(setup: &Setup) -> Result<Report, BoxError> {
    let events = Events::prepare(&setup.folder, 100_000, SIZE)?;
    let file = events.file.display().to_string();
    let (few, many) = (ACTIVE_TENANTS.to_string(), TENANTS.to_string());
    let contestants = vec![
        Contestant::new("10 tenants with a hook each", || cost(&["tenants", &few, &file])),
        Contestant::new("10,000 tenants with a hook each", || cost(&["tenants", &many, &file])),
    ];
    let results = Results::of(contestants, setup.rounds, events.millions())?;
    let ratio = results.ratio("10,000 tenants with a hook each", &["10 tenants with a hook each"]);
    let verdicts = vec![Verdict::at_most("publishing where 10,000 tenants have hooks, by 10", ratio, " ×", 1.1)];
    Ok(Report { title: "publishing for tenants", text: results.table(), verdicts })
}

/// Seconds from start to end of `hooks pipe` with that many hooks and no event.
fn load(setup: &Setup) -> Result<f64, BoxError> {
    let hook = |number| {
        format!(
            "[[hooks]]\nid = \"tenant-{number}\"\ntypes = [\"tenant-{number}.*\"]\nsink = {{ kind = \"http\", url = \"http://tenant-{number}.example.com/hooks\" }}\n\n"
        )
    };
    let config = written(setup.folder.join("many.toml"), &(0..IDLE).map(hook).collect::<String>())?;
    let nothing = written(setup.folder.join("nothing.ndjson"), "")?;
    Ok(run(hooks(&[OsStr::new("pipe"), OsStr::new("-c"), config.as_os_str()], &nothing)?)?.wall)
}

/// From publish to the first byte at the receiver.
pub(crate) fn latency(setup: &Setup) -> Result<Report, BoxError> {
    let mut rounds = [Vec::new(), Vec::new()];
    for round in 0..=setup.rounds {
        for (kind, rounds) in ["bare", "hooks"].iter().zip(&mut rounds) {
            let figures = role(&["latency", kind, "1000"])?;
            if round > 0 {
                eprintln!("  round {round}, {kind}: p50 {:.3} ms, p99 {:.3} ms", figures[0], figures[1]);
                rounds.push((figures[0], figures[1]));
            }
        }
    }
    let of = |at: usize, which: fn(&(f64, f64)) -> f64| median(rounds[at].iter().map(which).collect());
    let mut text = "| | p50 ms | p99 ms |\n|---|---|---|\n".to_owned();
    for (at, name) in ["bare reqwest", "hooks"].iter().enumerate() {
        text.push_str(&format!("| {name} | {:.3} | {:.3} |\n", of(at, |pair| pair.0), of(at, |pair| pair.1)));
    }
    let added = of(1, |pair| pair.1) - of(0, |pair| pair.1);
    let verdicts = vec![Verdict::at_most("latency added at the 99th percentile", added, " ms", 0.05)];
    Ok(Report { title: "latency at 1,000 events a second", text, verdicts })
}
