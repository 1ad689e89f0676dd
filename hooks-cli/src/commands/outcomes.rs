//! `hooks attempts --event`: what became of an event, for every hook.

use hooks_core::{BoxError, serde_json};
use hooks_server::admin::{
    EventFilter, EventOrder, EventOutcomes, EventPage, EventQuery, HookOutcome, Request, Response,
};
use serde_json::json;

use super::print;
use crate::args::attempts::AttemptsArgs;
use crate::console::complain;
use crate::exit::Exit;
use crate::operator::Operator;
use crate::outcome;

/// Says what became of the events with this id.
pub(super) async fn of_events(operator: &mut Operator, id: &str, args: &AttemptsArgs) -> Result<Exit, BoxError> {
    let positions = positions(operator, id, args).await?;
    if positions.is_empty() {
        complain(format_args!("the log has no event `{id}`, or none any more"));
        return Ok(Exit::Failed);
    }
    let head = ["position", "hook", "outcome", "time", "status", "detail"].map(str::to_owned);
    let (mut rows, mut told) = (vec![head], 0);
    for position in positions {
        let mut after = None;
        loop {
            let request = Request::Outcomes { position, after };
            let Response::Outcomes(EventOutcomes { hooks, next, silent }) = operator.ask(request).await? else {
                return Err("an answer to another question".into());
            };
            silent.iter().for_each(|silent| complain(format_args!("not known are the attempts of {silent}")));
            for found in hooks.into_iter().filter(|found| args.hook.as_ref().is_none_or(|hook| *hook == found.hook)) {
                told += 1;
                match args.json {
                    true => print(&line(position, &found)?),
                    false => rows.push(row(position, &found)),
                }
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
    }
    if let (Some(hook), 0) = (&args.hook, told) {
        complain(format_args!("no hook `{hook}` runs, so nothing is known of the event there"));
        return Ok(Exit::Failed);
    }
    if !args.json {
        print(&outcome::columns(&rows));
    }
    Ok(Exit::Done)
}

/// Where the log has events with this id.
async fn positions(operator: &mut Operator, id: &str, args: &AttemptsArgs) -> Result<Vec<u64>, BoxError> {
    let filter = EventFilter {
        ids: [id.to_owned()].into(),
        sources: args.source.iter().cloned().collect(),
        ..EventFilter::default()
    };
    let mut query = EventQuery { filter, order: EventOrder::Oldest, ..EventQuery::default() };
    let mut positions = Vec::new();
    loop {
        let Response::Events(EventPage { events, next, .. }) =
            operator.ask(Request::Events { query: query.clone() }).await?
        else {
            return Err("an answer to another question".into());
        };
        positions.extend(events.iter().map(|event| event.position));
        query.after = next;
        if next.is_none() {
            return Ok(positions);
        }
    }
}

fn row(position: u64, found: &HookOutcome) -> [String; 6] {
    let attempt = found.attempt.as_ref();
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        position.to_string(),
        found.hook.to_string(),
        found.outcome.name().to_owned(),
        or_nothing(attempt.map(super::attempts::time)),
        or_nothing(attempt.and_then(|attempt| attempt.status).map(|status| status.to_string())),
        outcome::cell(&found.detail),
    ]
}

fn line(position: u64, found: &HookOutcome) -> Result<String, BoxError> {
    let mut line = serde_json::to_value(found)?;
    line["position"] = json!(position);
    Ok(line.to_string() + "\n")
}
