//! The problems of a config file, with their places.

use std::cell::Cell;
use std::fmt;
use std::ops::Range;

use hooks_core::settings::{About, Fault};

use super::tree::{Found, Node};

/// Everything that is wrong with a config file, in the order of the file. Prints itself with places
/// and excerpts; neither secrets nor the values of variables are in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The file, as it is to be shown.
    pub file: String,
    /// The problems, at least one.
    pub list: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line and column, counted in characters from 1. `None`: the file as a whole.
    pub place: Option<(usize, usize)>,
    /// The error, and what to do.
    pub message: String,
    /// The line, and a mark under the place.
    excerpt: Option<Excerpt>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    line: String,
    /// The length in front of the mark, and of the mark, in characters.
    mark: (usize, usize),
}

impl Problem {
    /// About the file as a whole, or at a place that is known already.
    pub fn new(place: Option<(usize, usize)>, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), excerpt: None }
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.list {
            let Some((line, column)) = problem.place else {
                writeln!(f, "{}: {}", self.file, problem.message)?;
                continue;
            };
            writeln!(f, "{}:{line}:{column}: {}", self.file, problem.message)?;
            if let Some(excerpt) = &problem.excerpt {
                let (number, (before, mark)) = (line.to_string(), excerpt.mark);
                let gutter = number.len();
                writeln!(f, " {number} | {}", excerpt.line)?;
                writeln!(f, " {:gutter$} | {:before$}{}", "", "", "^".repeat(mark))?;
            }
        }
        let count = self.list.len();
        write!(f, "{}: {count} {}", self.file, if count == 1 { "error" } else { "errors" })
    }
}

/// Collects problems while a file is read, by byte offsets.
#[derive(Default)]
pub(super) struct Findings {
    list: Vec<(Range<usize>, String, bool)>,
    masks: Vec<Range<usize>>,
}

/// Longest line that is shown, in characters.
const LONGEST_EXCERPT: usize = 120;

impl Findings {
    /// Something is wrong here.
    pub(super) fn add(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.list.push((span, message.into(), true));
    }

    /// Something is wrong here, and the line must not be shown: nobody knows what is in it.
    pub(super) fn add_blind(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.list.push((span, message.into(), false));
    }

    /// These are wrong in this table, whose own key is `key`.
    pub(super) fn add_faults(&mut self, label: &str, key: Option<Range<usize>>, table: &Node, faults: Vec<Fault>) {
        for fault in faults {
            let (Found { key: own, node }, whole) = table.find(&fault.pointer);
            let found = Found { key: own.or_else(|| key.clone()), node };
            if fault.about == About::Name {
                // It may be a secret that belongs elsewhere.
                node.strings(&mut |node, _| self.mask(node.span.clone()));
            }
            let span = if whole && fault.about == About::Value { found.span() } else { found.key() };
            self.add(span, format!("{label}{}", fault.message));
        }
    }

    /// This part of the file is not shown in excerpts.
    pub(super) fn mask(&mut self, span: Range<usize>) {
        self.masks.push(span);
    }

    /// No string of a plugin's table is shown in an excerpt, but for its kind: it may be a secret, or may have been
    /// meant to be one.
    pub(super) fn mask_plugin(&mut self, node: &Node) {
        match node.table() {
            Some(table) => {
                let others = table.iter().filter(|(name, _)| *name != "kind");
                others.for_each(|(_, entry)| self.mask_plugin(&entry.node));
            }
            None => node.strings(&mut |node, _| self.mask(node.span.clone())),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The problems in the order of the file.
    pub(super) fn into_problems(mut self, file: &str, text: &str) -> Problems {
        self.list.sort_by(|a, b| (a.0.start, &a.1).cmp(&(b.0.start, &b.1)));
        self.list.dedup();
        self.masks = merged(self.masks);
        let lines = Lines::new(text);
        let list = self.list.iter().map(|(span, message, show)| Problem {
            place: Some(lines.place(span.start)),
            message: message.clone(),
            excerpt: show.then(|| self.excerpt(&lines, span)).flatten(),
        });
        Problems { file: file.to_owned(), list: list.collect() }
    }

    fn excerpt(&self, lines: &Lines<'_>, span: &Range<usize>) -> Option<Excerpt> {
        let range = lines.line_at(span.start);
        let (mut line, mut before, mut mark, mut hidden) = (String::new(), 0, 0, false);
        let (mut length, mut lead) = (0, true);
        for (at, char) in lines.text[range.clone()].char_indices() {
            let at = range.start + at;
            let masked = self.is_masked(at);
            let again = masked && std::mem::replace(&mut hidden, masked);
            hidden = masked;
            lead &= char.is_whitespace();
            if lead || again {
                continue;
            }
            line.push(if masked {
                '…'
            } else if char.is_control() {
                ' '
            } else {
                char
            });
            length += 1;
            if length > LONGEST_EXCERPT {
                return None;
            }
            before += usize::from(at < span.start);
            mark += usize::from(span.contains(&at));
        }
        (length > 0).then_some(Excerpt { line, mark: (before, mark.max(1)) })
    }

    /// Of masks that are [`merged`].
    fn is_masked(&self, at: usize) -> bool {
        let behind = self.masks.partition_point(|mask| mask.start <= at);
        self.masks[..behind].last().is_some_and(|mask| mask.contains(&at))
    }
}

/// The same parts, in order and apart: a file of many hooks has many.
fn merged(mut masks: Vec<Range<usize>>) -> Vec<Range<usize>> {
    masks.sort_by_key(|mask| mask.start);
    masks.dedup_by(|next, last| {
        let joins = next.start <= last.end;
        if joins {
            last.end = last.end.max(next.end);
        }
        joins
    });
    masks
}

/// Line and column of a byte offset.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
    /// The offset that was asked for last, and its column: the next is often behind it, in a line that may be long.
    last: Cell<(usize, usize)>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(ends).collect(), last: Cell::default() }
    }

    /// Both from 1; columns count characters.
    pub(super) fn place(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let (start, offset) = (self.starts[line - 1], offset.min(self.text.len()));
        let (from, column) =
            Some(self.last.get()).filter(|(at, _)| (start + 1..=offset).contains(at)).unwrap_or((start, 1));
        let Some(between) = self.text.get(from..offset) else { return (line, 1) };
        let column = column + between.chars().count();
        self.last.set((offset, column));
        (line, column)
    }

    /// The line around the offset, without its end.
    fn line_at(&self, offset: usize) -> Range<usize> {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts[line - 1];
        let end = self.starts.get(line).map_or(self.text.len(), |next| next - 1);
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let lines = Lines::new("ab\n\nçd\n");
        for (offset, place) in [(0, (1, 1)), (2, (1, 3)), (3, (2, 1)), (4, (3, 1)), (6, (3, 2)), (8, (4, 1))] {
            assert_eq!(lines.place(offset), place, "{offset}");
        }
        for (offset, place) in [(8, (4, 1)), (6, (3, 2)), (5, (3, 1)), (3, (2, 1)), (2, (1, 3)), (0, (1, 1))] {
            assert_eq!(lines.place(offset), place, "{offset}, after one behind it");
        }
        assert_eq!(Lines::new("").place(0), (1, 1));
    }

    #[test]
    fn masks_that_overlap_are_one() {
        let masks = vec![7..9, 0..4, 2..3, 12..12, 4..5, 8..11];
        assert_eq!(merged(masks), [0..5, 7..11, 12..12]);
    }

    /// A mistake in a template is in each hook. This takes minutes, if each is looked for in all of the file.
    #[test]
    fn many_problems_are_soon_shown() {
        for end in ["\n", " "] {
            let hook = format!("secret = \"hidden\" urll = 1{end}");
            let mut findings = Findings::default();
            for at in (0..100_000).map(|number| number * hook.len()) {
                findings.mask(at + 9..at + 17);
                findings.add(at + 18..at + 22, "unknown");
            }
            let problems = findings.into_problems("f.toml", &hook.repeat(100_000));
            let last = problems.list.last().map(|problem| problem.place);
            let behind = 99_999 * hook.len();
            assert_eq!(last, Some(Some(if end == "\n" { (100_000, 19) } else { (1, behind + 19) })));
        }
    }

    #[test]
    fn masked_parts_are_not_shown() {
        let text = "  secret = \"hidden\", urll = \"x\"";
        let mut findings = Findings::default();
        findings.mask(11..19);
        findings.add(21..25, "unknown");
        let shown = findings.into_problems("f.toml", text).to_string();
        let expected = "f.toml:1:22: unknown\n 1 | secret = …, urll = \"x\"\n   |             ^^^^\nf.toml: 1 error";
        assert_eq!(shown, expected);
    }
}
