//! `hooks log`: what the bus keeps, and whether it is whole.

use hooks_core::{
    BoxError,
    bus::{LogMaintenance, Purpose},
    chain,
};
use hooks_server::admin::{Request, Response};
use serde_json::{Map, Value as Json};

use super::operate::{converse, find};
use super::print;
use crate::args::operate::{FolderArgs, LogCommand, StatusArgs};
use crate::console::complain;
use crate::exit::Exit;
use crate::outcome;

pub(crate) fn run(command: &LogCommand) -> Exit {
    match command {
        LogCommand::Info(args) => info(args),
        LogCommand::Verify(args) => maintain(&args.folder, |log| Ok(show(log.verify()?, args.json))),
        LogCommand::Repair(args) => maintain(&args.folder, |log| {
            print(&match log.repair()? {
                Some(lost) => format!("repaired: {lost}\n"),
                None => "there is nothing to repair\n".to_owned(),
            });
            Ok(Exit::Done)
        }),
    }
}

fn info(args: &StatusArgs) -> Exit {
    converse(&args.whom, Purpose::Look, async |operator| {
        let Response::Log(details) = operator.ask(Request::Log).await? else {
            return Err("an answer to another question".into());
        };
        Ok(show(details, args.json))
    })
}

fn maintain(folder: &FolderArgs, work: impl FnOnce(&dyn LogMaintenance) -> Result<Exit, BoxError>) -> Exit {
    let (bus, _) = match find(folder.config.as_deref(), folder.dir.as_deref()) {
        Ok(found) => found,
        Err(problems) => {
            complain(problems);
            return Exit::Config;
        }
    };
    let Some(log) = bus.maintenance() else {
        complain(format_args!("the `{}` bus keeps no log in a folder", bus.kind()));
        return Exit::Failed;
    };
    work(log).unwrap_or_else(|error| {
        complain(chain(&*error));
        Exit::Failed
    })
}

/// Prints what a bus says of itself. Damage makes the difference.
fn show(details: Json, json: bool) -> Exit {
    let empty = Map::new();
    let members = details.as_object().unwrap_or(&empty);
    print(&if json { format!("{details}\n") } else { text(members) });
    let damaged = members.get("damage").and_then(Json::as_array).is_some_and(|damage| !damage.is_empty());
    if damaged { Exit::Failed } else { Exit::Done }
}

/// Plain values a line each, then the lists.
fn text(members: &Map<String, Json>) -> String {
    let plain = members.iter().filter(|(_, value)| !value.is_array());
    let rows: Vec<_> = plain.map(|(name, value)| [spaced(name), cell(value)]).collect();
    let mut text = outcome::columns(&rows);
    for (name, list) in members.iter().filter_map(|(name, value)| Some((name, value.as_array()?))) {
        let none = if list.is_empty() { " none" } else { "" };
        text.push_str(&format!("\n{}:{none}\n", spaced(name)));
        text.push_str(&lines(list));
    }
    text
}

/// Objects as a table, with the names of the first; texts as they are.
fn lines(list: &[Json]) -> String {
    let Some(first) = list.first().and_then(Json::as_object) else {
        return list.iter().map(|line| cell(line) + "\n").collect();
    };
    let row = |entry: &Json| first.keys().map(|name| cell(&entry[name.as_str()])).collect();
    let head = first.keys().map(|name| spaced(name)).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(list.iter().map(row)).collect();
    outcome::columns(&rows)
}

fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

fn cell(value: &Json) -> String {
    match value {
        Json::Null => "unknown".to_owned(),
        Json::String(text) => text.clone(),
        Json::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{} {}", spaced(name), cell(value)));
            members.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
