//! From chunks of bytes, however they are cut, to lines.

use memchr::memchr;

/// Cuts bytes into lines: `\n` ends one, a `\r` in front of it belongs to the end.
#[derive(Debug)]
pub(super) struct Lines {
    max_bytes: usize,
    /// Lines so far.
    pub(super) ended: u64,
    /// The beginning of a line that has not ended, as much of it as can matter.
    pub(super) begun: Vec<u8>,
    /// All bytes of that line, also those not kept, and whether the last of them is `\r`.
    length: usize,
    return_last: bool,
    /// Blanks that it begins with.
    blanks: usize,
}

/// A line of nothing else is none, however long.
pub(super) const BLANKS: &[u8] = b" \t";

pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    /// Too long to keep; its length.
    TooLong(usize),
}

pub(super) type Visit<'a> = &'a mut dyn FnMut(u64, Line<'_>);

impl Lines {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, ended: 0, begun: Vec::new(), length: 0, return_last: false, blanks: 0 }
    }

    pub(super) fn push(&mut self, chunk: &[u8], visit: Visit<'_>) {
        let mut rest = chunk;
        while let Some(end) = memchr(b'\n', rest) {
            if self.length == 0 {
                self.ended += 1;
                visit(self.ended, Line::Whole(without_return(&rest[..end])));
            } else {
                self.begin(&rest[..end]);
                self.end(visit);
            }
            rest = &rest[end + 1..];
        }
        self.begin(rest);
    }

    pub(super) fn finish(&mut self, visit: Visit<'_>) {
        if self.length > 0 {
            self.end(visit);
        }
    }

    fn begin(&mut self, part: &[u8]) {
        let Some(last) = part.last() else { return };
        if self.blanks == self.length {
            self.blanks += part.iter().take_while(|byte| BLANKS.contains(byte)).count();
        }
        self.length += part.len();
        self.return_last = *last == b'\r';
        // One more than an event may have: the `\r`.
        let room = self.max_bytes.saturating_add(1).saturating_sub(self.begun.len());
        self.begun.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn end(&mut self, visit: Visit<'_>) {
        self.ended += 1;
        let bytes = self.length - usize::from(self.return_last);
        if self.begun.len() == self.length {
            visit(self.ended, Line::Whole(without_return(&self.begun)));
        } else if self.blanks < bytes {
            visit(self.ended, Line::TooLong(bytes));
        }
        self.begun.clear();
        (self.length, self.blanks) = (0, 0);
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
