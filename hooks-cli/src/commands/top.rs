//! `hooks top`: how it stands with a daemon, live.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use hooks_core::{BoxError, EndpointState, HumanDuration};
use hooks_server::admin::{HookDocument, Now, Overview};
use tokio::time::{Instant, sleep};

use super::operate::with_daemon;
use super::{print, print_on};
use crate::args::operate::TopArgs;
use crate::console::window;
use crate::exit::Exit;
use crate::operator::Managed;
use crate::outcome;

/// The time between two looks.
const PAUSE: Duration = Duration::from_secs(2);

/// Most hooks in trouble of each state that are shown.
const MOST: usize = 8;

/// Clears the terminal, and begins at its top.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// The heights of a bar.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Columns of a chart.
const WIDTH: usize = 60;

pub(crate) fn run(args: &TopArgs) -> Exit {
    with_daemon(&args.whom, async |daemon| {
        let mut before = None;
        loop {
            let (overview, at) = (daemon.overview().await?, Instant::now());
            let troubled = troubled(daemon, &overview.now).await?;
            let speed = before.map(|(then, now)| Speed::between(&then, &overview.now, at.duration_since(now)));
            let shown = screen(&overview, speed.as_ref(), &troubled);
            if args.once {
                print(&shown);
                return Ok(Exit::Done);
            }
            match std::io::stdout().is_terminal() {
                true => print_on(&format!("{CLEAR}{}", fitted(&shown, window()))),
                false => print_on(&shown),
            }
            before = Some((overview.now, at));
            sleep(PAUSE).await;
        }
    })
}

/// As much of a screen as a terminal has room for, and its last row for the cursor: nothing wraps, and the head stays.
fn fitted(screen: &str, (columns, rows): (usize, usize)) -> String {
    let lines = screen.lines().take(rows.saturating_sub(1));
    lines.map(|line| line.chars().take(columns).chain(['\n']).collect::<String>()).collect()
}

/// The first hooks of each state that takes somebody's attention.
async fn troubled(daemon: &mut Managed, now: &Now) -> Result<Vec<HookDocument>, BoxError> {
    let mut hooks = Vec::new();
    let states = [EndpointState::BackingOff, EndpointState::Held, EndpointState::Throttled, EndpointState::Disabled];
    for state in states.into_iter().filter(|state| now.states.get(state.name()).is_some_and(|hooks| *hooks > 0)) {
        hooks.extend(daemon.in_state(state, MOST).await?);
    }
    Ok(hooks)
}

/// What happens in a second.
struct Speed {
    accepted: Option<f64>,
    delivered: f64,
    failed: f64,
}

impl Speed {
    fn between(then: &Now, now: &Now, took: Duration) -> Self {
        // A daemon that was started anew counts from 0.
        let rate = |then: u64, now: u64| now.saturating_sub(then) as f64 / took.as_secs_f64().max(0.001);
        Self {
            accepted: then.accepted.zip(now.accepted).map(|(then, now)| rate(then, now)),
            delivered: rate(then.delivered, now.delivered),
            failed: rate(then.failed, now.failed),
        }
    }
}

fn screen(overview: &Overview, speed: Option<&Speed>, troubled: &[HookDocument]) -> String {
    let Overview { now, samples, interval, version, .. } = overview;
    let states = now.states.iter().filter(|(_, hooks)| **hooks > 0);
    let states: Vec<_> = states.map(|(state, hooks)| format!("{hooks} {state}")).collect();
    let noun = if now.hooks == 1 { "hook" } else { "hooks" };
    let mut text = format!("hooks {version}, {} {noun}: {}\n", now.hooks, states.join(", "));
    for (what, trouble) in [("nothing goes on", &now.trouble), ("the last reload failed", &now.reload)] {
        if let Some(trouble) = trouble {
            let _ = writeln!(text, "{what}: {trouble}");
        }
    }
    let rate = |of: fn(&Speed) -> Option<f64>| {
        speed.and_then(of).map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}/s"))
    };
    let chart = |of: &dyn Fn(usize) -> u64| bars(&(0..samples.len()).map(of).collect::<Vec<_>>());
    let mut rows = Vec::new();
    if let Some(accepted) = now.accepted {
        let bars = chart(&|at| samples[at].accepted.unwrap_or(0));
        rows.push(["accepted".to_owned(), accepted.to_string(), rate(|speed| speed.accepted), bars]);
    }
    let row = |name: &str, count: u64, rate: String, bars| [name.to_owned(), count.to_string(), rate, bars];
    rows.push(row("delivered", now.delivered, rate(|speed| Some(speed.delivered)), chart(&|at| samples[at].delivered)));
    rows.push(row("failed attempts", now.failed, rate(|speed| Some(speed.failed)), chart(&|at| samples[at].failed)));
    let waits = size(now.pending_bytes);
    rows.push(row("waiting", now.pending, waits, chart(&|at| samples[at].pending)));
    rows.push(row("dead letters", now.dead_letters, String::new(), String::new()));
    text += &outcome::columns(&rows);
    if !samples.is_empty() {
        let shown = HumanDuration::new(Duration::from_secs(interval * samples.len().min(WIDTH) as u64));
        let _ = writeln!(text, "bars: the last {shown}");
    }
    if let Some(log) = &now.log {
        let most = log.max_bytes.map_or_else(String::new, |most| format!(" of {}", size(most)));
        let _ = writeln!(text, "log: {}{most}", size(log.bytes));
    }
    text += &hooks(troubled);
    text
}

/// So many bytes, rounded, always with a unit.
fn size(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

/// The hooks that somebody should look at.
fn hooks(troubled: &[HookDocument]) -> String {
    if troubled.is_empty() {
        return String::new();
    }
    let head = ["hook", "state", "behind", "fails since", "last error"].map(str::to_owned);
    let row = |hook: &HookDocument| {
        let status = hook.status.as_ref();
        let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        [
            hook.id.to_string(),
            text(status.map(|status| status.state.clone())),
            text(status.and_then(|status| status.lag).map(|lag| lag.events.to_string())),
            text(status.and_then(|status| status.failing_since).map(hooks_core::timestamp)),
            text(status.and_then(|status| status.last_error.clone())),
        ]
    };
    let rows: Vec<_> = std::iter::once(head).chain(troubled.iter().map(row)).collect();
    format!("\n{}", outcome::columns(&rows))
}

/// The newest of these as bars, the highest of them full.
fn bars(points: &[u64]) -> String {
    let points = &points[points.len().saturating_sub(WIDTH)..];
    let most = points.iter().copied().max().unwrap_or(0).max(1);
    let bar = |point: &u64| {
        let height = (point.saturating_mul(8)).div_ceil(most);
        BARS.get(usize::try_from(height).unwrap_or(8)).copied().unwrap_or(BARS[8])
    };
    points.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit() {
        assert_eq!([0, 1023, 1024, 1500, 3 << 30].map(size), ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "3.0 GiB"]);
    }

    #[test]
    fn what_a_terminal_has_no_room_for_is_cut() {
        assert_eq!(fitted("head\n\na long error\nmore\n", (6, 4)), "head\n\na long\n");
        assert_eq!(fitted("head\nmore\n", (usize::MAX, usize::MAX)), "head\nmore\n");
    }

    #[test]
    fn bars_are_as_high_as_what_they_show() {
        assert_eq!(bars(&[]), "");
        assert_eq!(bars(&[0, 0]), "  ");
        assert_eq!(bars(&[0, 1, 4, 8]), " ▁▄█");
        assert_eq!(bars(&(0..100).collect::<Vec<_>>()).chars().count(), WIDTH);
    }
}
