//! `hooks resend`: sends past events to a hook again.

use hooks_core::{ResendReport, bus::Purpose};
use hooks_server::admin::{Missing, Request, Resent, Response};

use super::dead_letters::to_its_end;
use super::operate::converse;
use super::print;
use crate::args::events::ResendArgs;
use crate::console::complain;
use crate::exit::Exit;
use crate::outcome::count;

pub(crate) fn run(args: &ResendArgs) -> Exit {
    converse(&args.whom, Purpose::Operate, async |operator| {
        let request = Request::Resend { hook: args.hook.clone(), which: args.which() };
        let Response::Resent(Resent { report, missing }) = to_its_end(operator, request).await? else {
            return Err("an answer to another question".into());
        };
        print(&said(&report, args.dry_run));
        if report.unreadable > 0 {
            let positions = count(report.unreadable, "position");
            complain(format_args!("the log is damaged: {positions} can't be read any more"));
        }
        if let Some(error) = &report.error {
            complain(error);
        }
        if let Some(next) = report.next {
            complain(format_args!("it ended early: --from {next} goes on with the rest"));
        }
        let arrived = report.error.is_none() && report.unreadable == 0;
        let found = report.next.is_some() || all_found(&missing);
        Ok(if arrived && found { Exit::Done } else { Exit::Failed })
    })
}

fn said(report: &ResendReport, dry_run: bool) -> String {
    let ResendReport { matched, unmatched, delivered, refused, .. } = report;
    let others = match unmatched {
        0 => String::new(),
        _ => format!("; the hook's filter leaves out {}", count(*unmatched as u64, "more event")),
    };
    if dry_run {
        return format!("{} would be sent again{others}\n", count(*matched as u64, "event"));
    }
    let untried = matched.saturating_sub(delivered + refused);
    format!("{delivered} delivered, {refused} refused, {untried} not tried{others}\n")
}

/// Names events that were asked for one by one and are not there, or that the other conditions leave out.
fn all_found(missing: &Missing) -> bool {
    let ids = missing.ids.iter().map(|id| format!("`{id}`"));
    let positions = missing.positions.iter().map(|position| format!("at position {position}"));
    let missing: Vec<_> = ids.chain(positions).collect();
    if !missing.is_empty() {
        complain(format_args!("there is no such event: {}", missing.join(", ")));
    }
    missing.is_empty()
}
