//! The text on the screen: pure functions of the run's state.

use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::promise::{Facts, Ledger, group};

/// The abilities of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) has_color: bool,
    pub(crate) has_unicode: bool,
}

/// One moment of the run.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) elapsed: Duration,
    pub(crate) published: u64,
    pub(crate) events: u64,
    pub(crate) hooks: Vec<HookView>,
    /// The journal, oldest entry first.
    pub(crate) journal: Vec<(Duration, String)>,
}

/// A hook at one moment.
#[derive(Debug, Clone)]
pub(crate) struct HookView {
    pub(crate) ledger: Ledger,
    pub(crate) about: &'static str,
    /// The state of its receiver.
    pub(crate) state: String,
    pub(crate) is_well: bool,
}

const PLAIN: Style = Style::new();
const BOLD: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const WAITING: Style = AnsiColor::Yellow.on_default();

/// The longest bar.
const BAR: usize = 30;

/// Lines that are no journal.
const FIXED: usize = 13;

impl Look {
    /// A moment of the run, as lines without their ends.
    pub(crate) fn moment(self, view: &View) -> Vec<String> {
        let time = format!("{:.1} s", view.elapsed.as_secs_f64());
        let mut lines =
            vec![self.apart(&[(BOLD, "hooks demo".to_owned())], &[(FAINT, time)]), self.title(view), String::new()];
        let bar = self.bar(&[(PLAIN, view.published, '=', '\u{2588}')], view.events);
        let published = format!("  {} of {}", view.published, view.events);
        lines.push(self.line(&[&[(BOLD, format!("{:8}", "events"))], &bar[..], &[(PLAIN, published)]].concat()));
        lines.push(String::new());
        view.hooks.iter().for_each(|hook| lines.extend(self.hook(hook, view.events)));
        lines.push(String::new());
        // One more stays free, for the cursor.
        let room = self.height.saturating_sub(FIXED + 2);
        let journal = &view.journal[view.journal.len().saturating_sub(room)..];
        lines.extend(journal.iter().map(|entry| self.entry(entry)));
        lines.truncate(self.height.saturating_sub(1));
        lines
    }

    /// The introduction where there is no screen, as lines without their ends.
    pub(crate) fn intro(self, view: &View) -> Vec<String> {
        let hooks = view.hooks.iter().map(|hook| self.line(&[name(hook), (FAINT, hook.about.to_owned())]));
        std::iter::once(self.title(view)).chain(hooks).collect()
    }

    fn title(self, view: &View) -> String {
        let hooks = view.hooks.len();
        let title = format!("{} real GitHub events go to {hooks} hooks; all of it stays on this machine", view.events);
        self.line(&[(PLAIN, title)])
    }

    fn hook(self, hook: &HookView, events: u64) -> [String; 2] {
        let Ledger { delivered, refused, dropped, in_flight, .. } = &hook.ledger;
        let state = if hook.is_well { GOOD } else { BAD };
        let first = self.apart(&[name(hook), (FAINT, hook.about.to_owned())], &[(state, hook.state.clone())]);
        let lost = refused + dropped;
        let mut parts = vec![(PLAIN, " ".repeat(8))];
        parts.extend(self.bar(
            &[
                (GOOD, *delivered, '=', '\u{2588}'),
                (BAD, lost, 'x', '\u{2588}'),
                (WAITING, *in_flight, '.', '\u{2592}'),
            ],
            events,
        ));
        parts.push((GOOD, format!("{delivered:6} delivered")));
        if lost > 0 {
            parts.push((BAD, format!("{lost:4} refused")));
        }
        if *in_flight > 0 {
            parts.push((WAITING, format!("{in_flight:4} waiting")));
        }
        [first, self.line(&parts)]
    }

    fn bar(self, parts: &[(Style, u64, char, char)], of: u64) -> Vec<(Style, String)> {
        let width = BAR.min(self.width.saturating_sub(50));
        let (mut sum, mut drawn) = (0, 0);
        let mut bar = Vec::new();
        for (style, count, ascii, unicode) in parts {
            sum += count;
            let end = (sum as usize * width).div_ceil(of.max(1) as usize).min(width);
            let char = if self.has_unicode { unicode } else { ascii };
            bar.push((*style, char.to_string().repeat(end - drawn)));
            drawn = end;
        }
        let rest = if self.has_unicode { "\u{2591}" } else { " " };
        bar.push((FAINT, rest.repeat(width - drawn)));
        bar
    }

    /// The end of the run, as lines without their ends.
    pub(crate) fn report(self, facts: &Facts, took: Duration) -> Vec<String> {
        let mut lines = self.ledger(facts);
        lines.push(String::new());
        let promises = facts.promises();
        for promise in &promises {
            let (style, mark) = match (promise.is_kept, self.has_unicode) {
                (true, true) => (GOOD, "\u{2714}"),
                (true, false) => (GOOD, "ok"),
                (false, true) => (BAD, "\u{2718}"),
                (false, false) => (BAD, "BROKEN"),
            };
            let (name, seen) = (format!(" {}: ", promise.name), promise.seen.clone());
            lines.push(self.line(&[(style, mark.to_owned()), (BOLD, name), (PLAIN, seen)]));
        }
        lines.push(String::new());
        let broken = promises.iter().filter(|promise| !promise.is_kept).count();
        let took = took.as_secs_f64();
        lines.push(self.line(&[match broken {
            0 => (GOOD, format!("All {} promises held, in {took:.1} s.", promises.len())),
            broken => (BAD, format!("{broken} of {} promises did not hold.", promises.len())),
        }]));
        lines
    }

    fn ledger(self, facts: &Facts) -> Vec<String> {
        let head = ["hook", "taken", "= delivered", "+ refused", "+ dropped", "+ in hand"].map(str::to_owned);
        let rows = facts.hooks.iter().map(|hook| {
            let Ledger { hook: name, taken, delivered, refused, dropped, in_flight } = &hook.ledger;
            let [taken, delivered, refused, dropped, in_flight] =
                [taken, delivered, refused, dropped, in_flight].map(|n| group(*n));
            [name.clone(), taken, delivered, refused, dropped, in_flight]
        });
        let styles = std::iter::once(BOLD).chain(std::iter::repeat(PLAIN));
        let rows = std::iter::once(head).chain(rows).zip(styles);
        rows.map(|([name, cells @ ..], style)| {
            let cells: String = cells.iter().map(|cell| format!("{cell:>12}")).collect();
            self.line(&[(style, format!("{name:8}{cells}"))])
        })
        .collect()
    }

    /// A line of the journal.
    pub(crate) fn entry(self, entry: &(Duration, String)) -> String {
        self.line(&happened(entry))
    }

    /// Left and right, as far apart as the line allows.
    fn apart(self, left: &[(Style, String)], right: &[(Style, String)]) -> String {
        let length = |parts: &[(Style, String)]| parts.iter().map(|(_, text)| text.chars().count()).sum::<usize>();
        let space = self.width.min(100).saturating_sub(length(left) + length(right)).max(1);
        self.line(&[left, &[(PLAIN, " ".repeat(space))], right].concat())
    }

    /// Puts a line together, cut where the terminal ends.
    fn line(self, parts: &[(Style, String)]) -> String {
        let mut left = self.width;
        let mut line = String::new();
        for (style, text) in parts {
            let text: String = text.chars().take(left).collect();
            left -= text.chars().count();
            if self.has_color && *style != PLAIN && !text.is_empty() {
                line.push_str(&format!("{style}{text}{style:#}"));
            } else {
                line.push_str(&text);
            }
        }
        line
    }
}

fn name(hook: &HookView) -> (Style, String) {
    (BOLD, format!("{:8}", hook.ledger.hook))
}

fn happened((at, text): &(Duration, String)) -> [(Style, String); 2] {
    [(FAINT, format!("{:5.1} s  ", at.as_secs_f64())), (PLAIN, text.clone())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::promise::tests::good;

    const LOOK: Look = Look { width: 80, height: 24, has_color: false, has_unicode: false };

    fn view() -> View {
        let ledger = |name: &str, delivered, refused, in_flight| Ledger {
            hook: name.to_owned(),
            taken: 200,
            delivered,
            refused,
            dropped: 0,
            in_flight,
        };
        let hook = |ledger, state: &str| HookView {
            ledger,
            about: "a webhook",
            state: state.to_owned(),
            is_well: state == "healthy",
        };
        View {
            elapsed: Duration::from_millis(4_230),
            published: 200,
            events: 400,
            hooks: vec![
                hook(ledger("steady", 200, 0, 0), "healthy"),
                hook(ledger("flaky", 100, 0, 100), "backing off"),
                hook(ledger("picky", 190, 9, 1), "healthy"),
                hook(ledger("file", 200, 0, 0), "healthy"),
            ],
            journal: (0..30).map(|n| (Duration::from_millis(n * 100), format!("event {n}"))).collect(),
        }
    }

    #[test]
    fn a_moment_shows_every_hook_and_what_happened_last() {
        let lines = LOOK.moment(&view());
        let text = lines.join("\n");
        assert!(lines[0].starts_with("hooks demo  ") && lines[0].ends_with("  4.2 s"), "{text}");
        assert_eq!(lines[3], format!("events  {}{}  200 of 400", "=".repeat(15), " ".repeat(15)));
        assert!(lines[7].starts_with("flaky   a webhook  ") && lines[7].ends_with("  backing off"), "{text}");
        let bar = format!("{}{}{}", "=".repeat(8), ".".repeat(7), " ".repeat(15));
        assert_eq!(lines[8], format!("        {bar}   100 delivered 100 waiting"));
        let bar = format!("{}{}", "=".repeat(15), " ".repeat(15));
        assert_eq!(lines[10], format!("        {bar}   190 delivered   9 refused   1 waiting"));
        assert_eq!(lines.last().map(String::as_str), Some("  2.9 s  event 29"));
    }

    #[test]
    fn the_introduction_names_every_hook() {
        let lines = LOOK.intro(&view());
        assert_eq!(lines[0], "400 real GitHub events go to 4 hooks; all of it stays on this machine");
        assert_eq!(lines[1..], ["steady  a webhook", "flaky   a webhook", "picky   a webhook", "file    a webhook"]);
    }

    #[test]
    fn everything_fits_from_24_lines_of_80_columns() {
        for (width, height) in [(80, 24), (100, 30), (200, 60)] {
            let look = Look { width, height, ..LOOK };
            for lines in [look.moment(&view()), look.report(&good(), Duration::from_secs(12))] {
                assert!(lines.len() < height, "{width}x{height}: {}", lines.len());
                assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:#?}");
            }
        }
        // Nothing is cut, also of large numbers.
        let mut facts =
            Facts { meanwhile: 454, peak_events: 152, failing: Duration::from_secs(15), looks: 200, ..good() };
        (facts.hooks[1].stats.failed, facts.hooks[1].stats.requests) = (20, 130);
        let wide = Look { width: 500, ..LOOK };
        let lines = [wide.report(&facts, Duration::from_secs(12)), wide.moment(&view())[1..].to_vec()].concat();
        assert!(
            lines.iter().filter(|line| !line.contains("a webhook")).all(|line| line.chars().count() < 80),
            "{lines:#?}"
        );
    }

    #[test]
    fn smaller_terminals_cut_instead_of_breaking() {
        for (width, height) in [(0, 0), (1, 1), (30, 10), (79, 23)] {
            let lines = Look { width, height, ..LOOK }.moment(&view());
            assert!(lines.len() < height.max(1), "{width}x{height}: {}", lines.len());
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:#?}");
        }
    }

    #[test]
    fn colours_add_nothing_but_colours() {
        let plain = Look { has_unicode: true, ..LOOK };
        let colored = Look { has_color: true, ..plain };
        let strip = |lines: Vec<String>| anstream::adapter::strip_str(&lines.join("\n")).to_string();
        assert_ne!(colored.moment(&view()), plain.moment(&view()));
        assert_eq!(strip(colored.moment(&view())), plain.moment(&view()).join("\n"));
        assert!(plain.moment(&view()).join("").contains('\u{2588}'));
    }

    #[test]
    fn the_report_has_the_ledger_and_every_promise() {
        let lines = LOOK.report(&good(), Duration::from_millis(12_340));
        assert_eq!(lines[0], "hook           taken = delivered   + refused   + dropped   + in hand");
        assert_eq!(lines[3], "picky             10           9           1           0           0");
        assert_eq!(lines.last().map(String::as_str), Some("All 7 promises held, in 12.3 s."));
        let broken = LOOK.report(&Facts { meanwhile: 0, ..good() }, Duration::ZERO);
        assert!(broken.iter().any(|line| line.starts_with("BROKEN Hooks don't hurt each other: ")), "{broken:#?}");
        assert_eq!(broken.last().map(String::as_str), Some("1 of 7 promises did not hold."));
    }
}
