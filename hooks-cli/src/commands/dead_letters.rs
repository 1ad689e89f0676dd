//! `hooks dead-letters`: what hooks gave up, to look at, deliver once more, or drop.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use hooks_core::{BoxError, DeadLetterId, HookId, ReplayReport, bus::Purpose};
use hooks_server::admin::{DeadLetterFilter, DeadLetterReport, Dropped, Replayed, Request, Response};

use super::operate::converse;
use super::print;
use crate::args::operate::{DeadLetterCommand, DeadLettersArgs, PickArgs};
use crate::console::complain;
use crate::exit::Exit;
use crate::operator::Operator;
use crate::outcome::{self, count};
use crate::signals::StopSignals;

pub(crate) fn run(command: &DeadLetterCommand) -> Exit {
    match command {
        DeadLetterCommand::List(args) if args.json => look(&args.dead_letters, Json::Overview),
        DeadLetterCommand::List(args) => list(&args.dead_letters),
        DeadLetterCommand::Show(args) => look(args, Json::Whole),
        DeadLetterCommand::Replay(args) if args.dry_run => dry_run(&args.pick),
        DeadLetterCommand::Replay(args) => replay(&args.pick),
        DeadLetterCommand::Drop(args) => drop_dead_letters(args),
    }
}

fn list(args: &DeadLettersArgs) -> Exit {
    converse(&args.whom, Purpose::Look, async |operator| {
        let mut rows =
            vec![["hook", "id", "last attempt", "reason", "type", "event", "source", "detail"].map(str::to_owned)];
        let exit = visit(operator, args, |letter| {
            rows.push(row(&letter));
            Ok(())
        })
        .await?;
        print(&outcome::columns(&rows));
        Ok(exit)
    })
}

/// The parts of a dead letter that a line of JSON has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Json {
    /// All but the event.
    Overview,
    Whole,
}

fn look(args: &DeadLettersArgs, json: Json) -> Exit {
    converse(&args.whom, Purpose::Look, async |operator| {
        visit(operator, args, |letter| {
            let letter = if json == Json::Whole { letter } else { DeadLetterReport { event: None, ..letter } };
            print(&(serde_json::to_string(&letter)? + "\n"));
            Ok(())
        })
        .await
    })
}

/// Shows the letters that fit, and says which of those that were named are not there.
async fn visit(
    operator: &mut Operator,
    args: &DeadLettersArgs,
    mut show: impl FnMut(DeadLetterReport) -> Result<(), BoxError>,
) -> Result<Exit, BoxError> {
    let hooks = match &args.hook {
        Some(hook) => vec![hook.clone()],
        None => hooks_with_dead_letters(operator).await?,
    };
    let which = args.which();
    let mut found = BTreeSet::new();
    for hook in hooks {
        each(operator, &hook, &which, |letter| {
            found.insert(letter.id);
            show(letter)
        })
        .await?;
    }
    Ok(all_found(args.hook.as_ref(), &which.missing(&found)))
}

async fn hooks_with_dead_letters(operator: &mut Operator) -> Result<Vec<HookId>, BoxError> {
    if let Some(why) = operator.knows_nothing() {
        return Err(why.into());
    }
    let hooks = operator.status().await?.hooks;
    Ok(hooks.into_iter().filter(|hook| hook.dead_letters > 0).map(|hook| hook.id).collect())
}

/// Every letter that fits, a page at a time.
async fn each(
    operator: &mut Operator,
    hook: &HookId,
    which: &DeadLetterFilter,
    mut visit: impl FnMut(DeadLetterReport) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    let mut after = None;
    loop {
        let request = Request::DeadLetters { hook: hook.clone(), after };
        let Response::DeadLetters(page) = operator.ask(request).await? else { return Ok(()) };
        let letters = page.dead_letters;
        let Some(last) = letters.last() else { return Ok(()) };
        after = Some(last.id);
        let fitting = letters.into_iter().filter(|letter| which.matches(letter.id, &letter.event_type, letter.reason));
        fitting.into_iter().try_for_each(&mut visit)?;
    }
}

fn row(letter: &DeadLetterReport) -> [String; 8] {
    [
        letter.hook.to_string(),
        letter.id.to_string(),
        letter.last_attempt.clone(),
        letter.reason.to_string(),
        outcome::cell(&letter.event_type),
        outcome::cell(&letter.event_id),
        outcome::cell(&letter.source),
        outcome::cell(&letter.detail),
    ]
}

fn dry_run(args: &PickArgs) -> Exit {
    converse(&args.whom, Purpose::Look, async |operator| {
        let which = args.which();
        let mut found = BTreeSet::new();
        each(operator, &args.hook, &which, |letter| {
            found.insert(letter.id);
            Ok(())
        })
        .await?;
        print(&format!("{} would be delivered once more\n", count(found.len() as u64, "dead letter")));
        Ok(all_found(Some(&args.hook), &which.missing(&found)))
    })
}

fn replay(args: &PickArgs) -> Exit {
    converse(&args.whom, Purpose::Operate, async |operator| {
        let request = Request::Replay { hook: args.hook.clone(), which: args.which() };
        let Response::Replayed(Replayed { report, missing }) = to_its_end(operator, request).await? else {
            return Err("an answer to another question".into());
        };
        let ReplayReport { delivered, refused, untried, error, .. } = report;
        print(&format!("{delivered} delivered, {refused} refused again, {untried} not tried\n"));
        if let Some(error) = &error {
            complain(error);
        }
        let found = all_found(Some(&args.hook), &missing);
        Ok(if error.is_some() { Exit::Failed } else { found })
    })
}

/// A signal cuts a replay off where this process delivers, and it says how far it came. A daemon goes on.
pub(super) async fn to_its_end(operator: &mut Operator, request: Request) -> Result<Response, BoxError> {
    let mut stops = StopSignals::new()?;
    let dispatcher = operator.dispatcher();
    let mut asked = pin!(operator.ask(request));
    let signal = tokio::select! {
        biased;
        response = &mut asked => return response,
        signal = stops.next() => signal,
    };
    let Some(dispatcher) = dispatcher else {
        return Err(format!("{signal}: a daemon that delivers them goes on, and logs how far it comes; `hooks dead-letters list` shows what is left").into());
    };
    dispatcher.shutdown(Some(Duration::ZERO)).await;
    asked.await
}

fn drop_dead_letters(args: &PickArgs) -> Exit {
    let which = args.which();
    if which.ids.is_empty() && which.types.is_empty() && which.reason.is_none() && !args.all {
        complain("which ones? --id, --type or --reason picks some, --all all of them");
        return Exit::Usage;
    }
    converse(&args.whom, Purpose::Operate, async |operator| {
        let request = Request::Drop { hook: args.hook.clone(), which };
        let Response::Dropped(Dropped { dropped, missing }) = operator.ask(request).await? else {
            return Err("an answer to another question".into());
        };
        print(&format!("{} dropped\n", count(dropped as u64, "dead letter")));
        Ok(all_found(Some(&args.hook), &missing))
    })
}

/// Names dead letters that were asked for by id and are not there, or that the other conditions leave out.
fn all_found(hook: Option<&HookId>, missing: &BTreeSet<DeadLetterId>) -> Exit {
    if missing.is_empty() {
        return Exit::Done;
    }
    let whose = hook.map_or_else(|| "no hook has".to_owned(), |hook| format!("hook `{hook}` has no"));
    let ids: Vec<_> = missing.iter().map(ToString::to_string).collect();
    let (letters, fit) = if ids.len() == 1 { ("letter", "fits") } else { ("letters", "fit") };
    complain(format_args!("{whose} dead {letters} {} that {fit}", ids.join(", ")));
    Exit::Failed
}
