//! `hooks dead-letters`: what hooks gave up, to look at, deliver once more, or drop.

use std::collections::BTreeSet;

use hooks_core::{BoxError, HookId};

use super::operate::converse;
use super::print;
use crate::args::operate::{DeadLetterCommand, LettersArgs, PickArgs};
use crate::exit::Exit;
use crate::operator::{Letter, Operator, Request, Response, Which};
use crate::outcome::{self, count};

pub(crate) fn run(command: &DeadLetterCommand) -> Exit {
    match command {
        DeadLetterCommand::List(args) => look(args, false),
        DeadLetterCommand::Show(args) => look(args, true),
        DeadLetterCommand::Replay(args) if args.dry_run => dry_run(&args.pick),
        DeadLetterCommand::Replay(args) => replay(&args.pick),
        DeadLetterCommand::Drop(args) => drop_letters(args),
    }
}

/// Lists letters as a table, or shows them as JSON lines.
fn look(args: &LettersArgs, whole: bool) -> Exit {
    converse(&args.place, async |operator| {
        let hooks = match &args.hook {
            Some(hook) => vec![hook.clone()],
            None => hooks_with_letters(operator).await?,
        };
        let mut rows = vec![["hook", "id", "last attempt", "reason", "type", "detail"].map(str::to_owned)];
        let which = args.which();
        for hook in hooks {
            each(operator, &hook, &which, |letter| {
                if whole {
                    print(&(serde_json::to_string(&letter)? + "\n"));
                } else {
                    rows.push(row(&letter));
                }
                Ok(())
            })
            .await?;
        }
        if !whole {
            print(&outcome::columns(&rows));
        }
        Ok(Exit::Done)
    })
}

async fn hooks_with_letters(operator: &mut Operator) -> Result<Vec<HookId>, BoxError> {
    let Response::Status { hooks, .. } = operator.ask(Request::Status).await? else { return Ok(Vec::new()) };
    Ok(hooks.into_iter().filter(|hook| hook.dead_letters > 0).map(|hook| hook.id).collect())
}

/// Every letter that fits, a page at a time.
async fn each(
    operator: &mut Operator,
    hook: &HookId,
    which: &Which,
    mut visit: impl FnMut(Letter) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    let mut after = None;
    loop {
        let request = Request::Letters { hook: hook.clone(), after };
        let Response::Letters { letters } = operator.ask(request).await? else { return Ok(()) };
        let Some(last) = letters.last() else { return Ok(()) };
        after = Some(last.id);
        let fitting = letters.into_iter().filter(|letter| which.matches(letter.id, &letter.event_type, letter.reason));
        fitting.into_iter().try_for_each(&mut visit)?;
    }
}

fn row(letter: &Letter) -> [String; 6] {
    /// What fits beside the rest on a wide terminal.
    const DETAIL: usize = 80;
    let mut detail: String =
        letter.detail.chars().map(|char| if char.is_control() { ' ' } else { char }).take(DETAIL).collect();
    if letter.detail.chars().count() > DETAIL {
        detail.push('…');
    }
    [
        letter.hook.to_string(),
        letter.id.to_string(),
        letter.last_attempt.clone(),
        letter.reason.to_string(),
        letter.event_type.clone(),
        detail,
    ]
}

fn dry_run(args: &PickArgs) -> Exit {
    converse(&args.place, async |operator| {
        let mut letters = 0;
        each(operator, &args.hook, &args.which(), |_| {
            letters += 1;
            Ok(())
        })
        .await?;
        print(&format!("{} would be delivered once more\n", count(letters, "dead letter")));
        Ok(found(args, letters))
    })
}

fn replay(args: &PickArgs) -> Exit {
    converse(&args.place, async |operator| {
        let request = Request::Replay { hook: args.hook.clone(), which: args.which() };
        let Response::Replayed { delivered, refused, untried, error } = operator.ask(request).await? else {
            return Err("an answer to another question".into());
        };
        print(&format!("{delivered} delivered, {refused} refused again, {untried} left\n"));
        let Some(error) = error else { return Ok(found(args, (delivered + refused + untried) as u64)) };
        eprintln!("{error}");
        Ok(Exit::Undelivered)
    })
}

fn drop_letters(args: &PickArgs) -> Exit {
    let which = args.which();
    if which.ids.is_empty() && which.types.is_empty() && which.reason.is_none() && !args.all {
        eprintln!("which ones? --id, --type or --reason picks some, --all all of them");
        return Exit::Usage;
    }
    converse(&args.place, async |operator| {
        let request = Request::Drop { hook: args.hook.clone(), which };
        let Response::Dropped { letters } = operator.ask(request).await? else {
            return Err("an answer to another question".into());
        };
        print(&format!("{} dropped\n", count(letters as u64, "dead letter")));
        Ok(found(args, letters as u64))
    })
}

/// Says when letters that were named are not there.
fn found(args: &PickArgs, letters: u64) -> Exit {
    let named = args.which().ids.into_iter().collect::<BTreeSet<_>>().len() as u64;
    if letters >= named {
        return Exit::Done;
    }
    eprintln!("{letters} of the {named} ids are dead letters of hook `{}` that fit", args.hook);
    Exit::Undelivered
}
