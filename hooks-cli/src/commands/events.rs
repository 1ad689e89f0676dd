//! `hooks events`: looks into the log.

use hooks_core::{BoxError, bus::Purpose, serde_json};
use hooks_server::admin::{EventPage, EventQuery, EventReport, Request, Response};
use serde::Deserialize;

use super::operate::converse;
use super::print;
use crate::args::events::EventsArgs;
use crate::console::complain;
use crate::exit::Exit;
use crate::operator::Operator;
use crate::outcome;

/// Most events that are asked for at a time.
const PAGE: u64 = 1_000;

pub(crate) fn run(args: &EventsArgs) -> Exit {
    converse(&args.whom, Purpose::Look, async |operator| {
        let mut rows = vec![["position", "accepted", "type", "id", "source", "tenant"].map(str::to_owned)];
        let (has_more, exit) = visit(operator, args, |event| {
            match args.json {
                true => print(&format!("{}\n", event.event.get())),
                false => rows.push(row(&event)?),
            }
            Ok(())
        })
        .await?;
        if !args.json {
            print(&outcome::columns(&rows));
            if has_more {
                complain("there may be more: --limit shows more, and --since, --until or --type others");
            }
        }
        Ok(exit)
    })
}

/// Every event that is asked for, a page at a time. Returns whether there may be more than the limit, and the exit code.
async fn visit(
    operator: &mut Operator,
    args: &EventsArgs,
    mut show: impl FnMut(EventReport) -> Result<(), BoxError>,
) -> Result<(bool, Exit), BoxError> {
    let (mut left, mut after, mut exit) = (args.limit, None, Exit::Done);
    while left > 0 {
        let limit = usize::try_from(left.min(PAGE)).ok();
        let query = EventQuery { filter: args.filter(), order: args.order(), limit, after };
        let Response::Events(EventPage { events, next, unreadable, .. }) =
            operator.ask(Request::Events { query }).await?
        else {
            return Err("an answer to another question".into());
        };
        for [first, last] in unreadable {
            complain(format_args!("the log is damaged: positions {first} to {last} can't be read any more"));
            exit = Exit::Failed;
        }
        left = left.saturating_sub(events.len() as u64);
        events.into_iter().try_for_each(&mut show)?;
        after = next;
        if next.is_none() {
            return Ok((false, exit));
        }
    }
    Ok((true, exit))
}

/// The attributes that a line of the table has.
#[derive(Deserialize)]
struct Shown {
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    tenant: serde_json::Value,
}

fn row(event: &EventReport) -> Result<[String; 6], BoxError> {
    let Shown { id, source, event_type, tenant } = serde_json::from_str(event.event.get())?;
    let tenant = match tenant {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(tenant) => tenant,
        other => other.to_string(),
    };
    let cells = [event_type, id, source, tenant].map(|text| outcome::cell(&text));
    let [event_type, id, source, tenant] = cells;
    Ok([event.position.to_string(), event.accepted.clone(), event_type, id, source, tenant])
}
