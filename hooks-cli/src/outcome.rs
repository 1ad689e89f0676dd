//! The outcome of a run: its ledger, and whether everything was delivered.

use std::fmt::Write as _;

use hooks_core::{Counts, DisabledBy, DropReason, EndpointState, HookStatus, bus::BusTraits};

/// The counts of the input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct InputStats {
    /// Lines that ended.
    pub(crate) lines: u64,
    /// Events that the bus accepted.
    pub(crate) events: u64,
    /// The number of these that the bus had already.
    pub(crate) duplicates: u64,
    /// Lines that are no events.
    pub(crate) malformed: u64,
    /// Events that were read and that the bus has not accepted.
    pub(crate) waiting: u64,
}

impl InputStats {
    /// What was read, and what became of it.
    pub(crate) fn summary(&self) -> String {
        let (lines, events) = (count(self.lines, "line"), count(self.events, "event"));
        let known = match self.duplicates {
            0 => String::new(),
            duplicates => format!(" ({} not taken again)", count(duplicates, "duplicate")),
        };
        format!("{lines} read: {events}{known}, {} malformed", self.malformed)
    }
}

/// The ledgers of all hooks as a table.
pub(crate) fn table(hooks: &[HookStatus]) -> String {
    let head = ["hook", "taken", "delivered", "dropped", "dead-lettered", "left behind"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(hooks.iter().map(row)).collect();
    let widths = widths(&rows);
    let mut text = String::new();
    for row in &rows {
        let _ = write!(text, "{:width$}", row[0], width = widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            let _ = write!(text, "  {cell:>width$}");
        }
        text.push('\n');
    }
    text
}

/// Columns of text, all to the left.
pub(crate) fn columns<R: AsRef<[String]>>(rows: &[R]) -> String {
    let widths = widths(rows);
    let mut text = String::new();
    for row in rows {
        let line: Vec<_> = row.as_ref().iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn widths<R: AsRef<[String]>>(rows: &[R]) -> Vec<usize> {
    let columns = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
    let length = |row: &R, column: usize| row.as_ref().get(column).map_or(0, |cell| cell.chars().count());
    (0..columns).map(|column| rows.iter().map(|row| length(row, column)).max().unwrap_or(0)).collect()
}

fn row(hook: &HookStatus) -> [String; 6] {
    let Counts { delivered, dead_lettered, .. } = hook.counts;
    let dropped = match hook.counts.dropped() {
        0 => "0".to_owned(),
        dropped => format!("{dropped} ({})", reasons(&hook.counts)),
    };
    let left = hook.left_behind();
    let most = if left.exact { "" } else { "≤" };
    let [delivered, dead_lettered] = [delivered, dead_lettered].map(|n| n.to_string());
    let [came, left] = [hook.came(), left.events].map(|n| format!("{most}{n}"));
    [hook.id.to_string(), came, delivered, dropped, dead_lettered, left]
}

/// Says of hooks that another instance has that it delivers: their rows show nothing of it.
pub(crate) fn elsewhere(hooks: &[HookStatus], bus: BusTraits) -> Option<String> {
    let theirs: Vec<_> = hooks.iter().filter(|hook| hook.lag.is_none()).map(|hook| format!("`{}`", hook.id)).collect();
    (bus.shared && !theirs.is_empty()).then(|| {
        format!("delivered by the daemons that have them: {}; `hooks status` says how far they are", theirs.join(", "))
    })
}

fn reasons(counts: &Counts) -> String {
    let given = DropReason::ALL.iter().filter(|reason| counts.dropped_for(**reason) > 0);
    given.map(|reason| format!("{} {reason}", counts.dropped_for(*reason))).collect::<Vec<_>>().join(", ")
}

/// Everything that keeps the run from having delivered all, one line each. `from`: the line of the first event that
/// the bus has not accepted. `keeps`: whether the bus keeps what it has accepted.
pub(crate) fn shortfalls(stats: &InputStats, from: Option<u64>, keeps: bool, hooks: &[HookStatus]) -> Vec<String> {
    let mut lines = Vec::new();
    if stats.malformed > 0 {
        lines.push(format!("{} not taken: see above", count(stats.malformed, "malformed line")));
    }
    if stats.waiting > 0 {
        let earlier = !keeps && hooks.iter().any(|hook| !hook.is_drained());
        let earlier = if earlier { ", or earlier for what hooks have left behind" } else { "" };
        let from = from.map_or_else(String::new, |line| format!(": go on from line {line}{earlier}"));
        lines.push(format!("{} read and not delivered to every hook{from}", count(stats.waiting, "event")));
    }
    lines.extend(hooks.iter().filter_map(shortfall));
    lines
}

fn shortfall(hook: &HookStatus) -> Option<String> {
    let counts = &hook.counts;
    let mut parts = Vec::new();
    if hook.state == EndpointState::Disabled {
        let by_operator = hook.disabled.as_ref().is_some_and(|disabled| disabled.by == DisabledBy::Operator);
        parts.push(format!("disabled by {}", if by_operator { "an operator" } else { "its receiver" }));
    }
    if counts.dropped() > 0 {
        parts.push(format!("{} dropped ({})", count(counts.dropped(), "event"), reasons(counts)));
    }
    // Those that were replayed since have arrived.
    let dead_letters = counts.dead_lettered.min(hook.dead_letters.unwrap_or(u64::MAX));
    if dead_letters > 0 {
        parts.push(format!("{} dead-lettered", count(dead_letters, "event")));
    }
    if !hook.is_drained() {
        let left = hook.left_behind();
        let most = if left.exact { "" } else { "at most " };
        parts.push(format!("{most}{} left behind", count(left.events, "event")));
    }
    if parts.is_empty() {
        return None;
    }
    let error = hook.last_error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
    Some(format!("hook `{}`: {}{error}", hook.id, parts.join(", ")))
}

/// What a run that ended too early waited for. `from`: the first line that the bus has not accepted.
pub(crate) fn waited_for(hooks: &[HookStatus], from: Option<u64>) -> String {
    let waited: Vec<_> =
        hooks.iter().filter(|hook| hook.counts.in_flight > 0).map(|hook| format!("`{}`", hook.id)).collect();
    match waited.as_slice() {
        [] => from.map_or(", waiting for more input".to_owned(), |line| {
            format!(", waiting for the bus to accept what was read, from line {line} on")
        }),
        [one] => format!(", waiting for hook {one}"),
        many => format!(", waiting for hooks {}", many.join(", ")),
    }
}

/// `1 event`, `2 events`.
pub(crate) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// As much of a text as fits beside the rest on a wide terminal.
pub(crate) fn cell(text: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(MOST).collect();
    if text.chars().count() > MOST {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_waited_for_is_what_has_not_happened() {
        assert_eq!(waited_for(&[], None), ", waiting for more input");
        assert_eq!(waited_for(&[], Some(7)), ", waiting for the bus to accept what was read, from line 7 on");
    }
}
