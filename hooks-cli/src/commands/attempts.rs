//! `hooks attempts`: what was tried, when, and what came back.

use hooks_core::{BoxError, bus::Purpose};
use hooks_server::admin::{Request, Response};
use hooks_server::history::{AttemptPage, AttemptQuery, AttemptReport};

use super::operate::converse;
use super::{print, print_on};
use crate::args::attempts::AttemptsArgs;
use crate::args::operate::PlaceArgs;
use crate::config::{self, ConfiguredBus, HistoryConfig, Origin, WithoutBus};
use crate::console::complain;
use crate::exit::Exit;
use crate::operator::Operator;
use crate::outcome;

pub(crate) fn run(args: &AttemptsArgs) -> Exit {
    converse(&args.whom, Purpose::Look, async |operator| {
        // A daemon has it.
        operator.use_history(Purpose::Look, || history(&args.whom.place)).await?;
        if let Some(event) = &args.event {
            return super::outcomes::of_events(operator, event, args).await;
        }
        if args.follow {
            operator.follow(&args.query(), &mut |attempt| print_on(&line(&attempt, args.json))).await?;
            complain("the daemon ended");
            return Ok(Exit::Failed);
        }
        let attempts = last(operator, args.query(), args.limit).await?;
        if args.json {
            attempts.iter().for_each(|attempt| print(&line(attempt, true)));
        } else {
            let rows = std::iter::once(HEAD.map(str::to_owned)).chain(attempts.iter().map(row));
            print(&outcome::columns(&rows.collect::<Vec<_>>()));
        }
        Ok(Exit::Done)
    })
}

/// What a daemon would keep, and its bus.
pub(super) fn history(place: &PlaceArgs) -> Result<(HistoryConfig, ConfiguredBus), BoxError> {
    let Some(file) = &place.config else {
        let bus = ConfiguredBus::on_disk(place.dir.as_deref().unwrap_or(std::path::Path::new("")))?;
        return Ok((HistoryConfig::default(), bus));
    };
    let config =
        config::load(&Origin::from(file.as_path()), WithoutBus::OnDisk).map_err(|problems| problems.to_string())?;
    Ok((config.history, config.bus))
}

/// The newest attempts, the oldest of them first.
async fn last(operator: &mut Operator, query: AttemptQuery, limit: usize) -> Result<Vec<AttemptReport>, BoxError> {
    let (mut attempts, mut query) = (Vec::new(), query);
    while attempts.len() < limit {
        query.limit = (limit - attempts.len()).min(AttemptQuery::LIMITS.1);
        let Response::Attempts(AttemptPage { attempts: page, next, silent }) =
            operator.ask(Request::Attempts { which: query.clone() }).await?
        else {
            return Err("an answer to another question".into());
        };
        attempts.extend(page);
        if query.after.is_none() {
            silent.iter().for_each(|silent| complain(format_args!("not shown are the attempts of {silent}")));
        }
        query.after = next;
        if next.is_none() {
            break;
        }
    }
    attempts.reverse();
    Ok(attempts)
}

const HEAD: [&str; 11] =
    ["time", "hook", "outcome", "status", "took", "events", "positions", "attempt", "trigger", "address", "detail"];

fn row(attempt: &AttemptReport) -> [String; 11] {
    let or_nothing = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let outcome = attempt.class.as_deref().unwrap_or(attempt.outcome.name());
    let detail = if attempt.error.is_empty() { &attempt.answer } else { &attempt.error };
    [
        time(attempt),
        attempt.hook.to_string(),
        outcome.to_owned(),
        attempt.status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
        format!("{:.1}ms", attempt.took_ms),
        attempt.events.to_string(),
        or_nothing(&positions(&attempt.positions)),
        attempt.attempt.to_string(),
        attempt.trigger.name().to_owned(),
        or_nothing(&attempt.address),
        outcome::cell(detail),
    ]
}

/// When it began, to the millisecond.
pub(super) fn time(attempt: &AttemptReport) -> String {
    attempt.began.get(..23).map_or_else(String::new, |began| format!("{began}Z"))
}

/// The first runs of positions.
fn positions(runs: &[[u64; 2]]) -> String {
    const MOST: usize = 3;
    let run = |[first, last]: &[u64; 2]| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let mut shown = runs.iter().take(MOST).map(run).collect::<Vec<_>>().join(",");
    if runs.len() > MOST {
        shown.push('…');
    }
    shown
}

fn line(attempt: &AttemptReport, json: bool) -> String {
    if json {
        // Numbers and texts: this does not fail.
        return serde_json::to_string(attempt).unwrap_or_default() + "\n";
    }
    row(attempt).join("  ").trim_end().to_owned() + "\n"
}
