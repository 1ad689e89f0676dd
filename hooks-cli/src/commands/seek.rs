//! `hooks seek`: moves a hook back or ahead in the log.

use hooks_core::HookId;
use hooks_core::bus::{Purpose, Sought};
use hooks_server::admin::{Request, Response};

use super::attempts::history;
use super::operate::converse;
use super::print;
use crate::args::operate::SeekArgs;
use crate::console::complain;
use crate::exit::Exit;
use crate::outcome::count;

pub(crate) fn run(args: &SeekArgs) -> Exit {
    let purpose = if args.dry_run { Purpose::Look } else { Purpose::Operate };
    converse(&args.whom, purpose, async |operator| {
        let seek = args.request();
        if seek.skip && !args.dry_run {
            operator.use_history(Purpose::Operate, || history(&args.whom.place)).await?;
        }
        let request = Request::Seek { hook: args.id.clone(), seek };
        let Response::Sought(sought) = operator.ask(request).await? else {
            return Err("an answer to another question".into());
        };
        if args.json {
            print(&(serde_json::to_string(&sought)? + "\n"));
        } else {
            print(&(told(&args.id, &sought, args.dry_run) + "\n"));
        }
        if !sought.reached {
            let after = sought.after;
            complain(format_args!(
                "what was asked for is gone from the log: position {after} has the oldest event that there is"
            ));
        }
        Ok(Exit::Done)
    })
}

/// What came of it, for people.
fn told(hook: &HookId, sought: &Sought, dry_run: bool) -> String {
    let Sought { before, after, again, skipped, exact, .. } = *sought;
    let most = if exact { "" } else { "up to " };
    let (goes, are, come) = match (dry_run, again.max(skipped)) {
        (true, _) => ("would go", "would be", "would come"),
        (false, 1) => ("goes", "is", "comes"),
        (false, _) => ("goes", "are", "come"),
    };
    match after.cmp(&before) {
        std::cmp::Ordering::Equal => format!("hook `{hook}` is at position {before} already: nothing changes"),
        std::cmp::Ordering::Less => {
            let events = count(again, "event");
            format!("hook `{hook}` {goes} back from position {before} to {after}: {most}{events} {come} again")
        }
        std::cmp::Ordering::Greater => {
            let events = count(skipped, "event");
            format!("hook `{hook}` {goes} ahead from position {before} to {after}: {most}{events} {are} skipped")
        }
    }
}
