//! The part of a batch's lines that a file holds already.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::lines::Lines;
use crate::tail;

/// The bytes that a file holds of a batch not reported as delivered: its beginning, in order, in pieces
/// when others wrote in between. Each piece begins with a line; all but the last end with one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// The file, and what the writer counted when it was opened.
    of: Option<(Arc<File>, Opening)>,
    /// The number of bytes, whole lines, in files that were renamed since.
    before: usize,
    pieces: Vec<Piece>,
}

/// Names an open file: which opening of the path it is, and how often lines were lost until then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) number: u64,
    pub(crate) losses: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    offset: u64,
    length: usize,
}

impl Progress {
    /// The part that the file still holds: it may have been truncated.
    pub(crate) fn checked(mut self, file: &File, lines: &Lines<'_>) -> Self {
        let mut at = self.before;
        let there = self.pieces.iter().take_while(|piece| {
            let mut found = vec![0; piece.length];
            let wanted = lines.bytes().get(at..at + piece.length);
            at += piece.length;
            file.read_exact_at(&mut found, piece.offset).is_ok() && wanted == Some(&found[..])
        });
        let there = there.count();
        self.pieces.truncate(there);
        self
    }

    /// The same, for a file that is now the one to append to. `Err`: the file that holds a part of the lines was
    /// left, and what is held there counts only when that is [settled](Self::leave).
    pub(crate) fn in_file(
        self,
        file: &Arc<File>,
        opening: Opening,
        lines: &Lines<'_>,
    ) -> Result<Self, (Self, Arc<File>)> {
        match self.of.clone() {
            Some((_, of)) if of == opening => Ok(self.checked(file, lines)),
            // Lines that were lost may be any of these.
            Some((old, of)) if of.losses == opening.losses && self.length() > 0 => Err((self, old)),
            Some((_, of)) if of.losses == opening.losses => {
                Ok(Self { of: Some((file.clone(), opening)), before: self.before, pieces: Vec::new() })
            }
            _ => Ok(Self { of: Some((file.clone(), opening)), before: 0, pieces: Vec::new() }),
        }
    }

    /// The whole lines stay where they are; what comes behind them is written to this file.
    pub(crate) fn leave(self, lines: &Lines<'_>, file: &Arc<File>, opening: Opening) -> Self {
        Self { of: Some((file.clone(), opening)), before: self.whole_lines(lines), pieces: Vec::new() }
    }

    /// The number of bytes at the beginning of `lines` that are whole lines in a file.
    pub(crate) fn whole_lines(&self, lines: &Lines<'_>) -> usize {
        match self.length() {
            0 => self.before,
            length => tail::whole_lines(lines.bytes(), self.before + length),
        }
    }

    /// The number of bytes that the file ends with of the line behind the whole ones, if it ends with a part of it.
    pub(crate) fn torn(&self, lines: &Lines<'_>, size: u64) -> usize {
        let is_last = self.pieces.last().is_some_and(|last| last.offset + last.length as u64 == size);
        if is_last { self.before + self.length() - self.whole_lines(lines) } else { 0 }
    }

    /// From `start` on, the beginning of a line, `length` bytes stand at `offset`.
    pub(crate) fn add(&mut self, start: usize, offset: u64, length: usize) {
        let torn = (self.before + self.length()).saturating_sub(start);
        if let Some(last) = self.pieces.last_mut() {
            last.length = last.length.saturating_sub(torn);
        }
        self.pieces.retain(|piece| piece.length > 0);
        match self.pieces.last_mut() {
            Some(last) if last.offset + last.length as u64 == offset => last.length += length,
            _ => self.pieces.push(Piece { offset, length }),
        }
    }

    fn length(&self) -> usize {
        self.pieces.iter().map(|piece| piece.length).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn lines() -> Lines<'static> {
        Lines::new(vec!["aa\nbb\n".into(), "cc\n".into()])
    }

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn a_line_that_is_continued_stays_one_piece() {
        let mut progress = Progress::default();
        progress.add(0, 10, 4);
        progress.add(3, 13, 2);
        assert_eq!(progress.pieces, [Piece { offset: 10, length: 5 }]);
        assert_eq!(progress.whole_lines(&lines()), 3);
    }

    #[test]
    fn what_others_wrote_in_between_parts_the_pieces() {
        let file = file(b"aa\nb\nother\nbb\nc");
        let mut progress = Progress::default();
        progress.add(0, 0, 4);
        progress.add(3, 11, 4);
        assert_eq!(progress.pieces, [Piece { offset: 0, length: 3 }, Piece { offset: 11, length: 4 }]);
        assert_eq!(progress.checked(&file, &lines()).whole_lines(&lines()), 6);
    }

    #[test]
    fn what_is_not_there_any_more_is_not_held() {
        let mut progress = Progress::default();
        progress.add(0, 0, 3);
        progress.add(3, 5, 3);
        let whole = |content: &[u8]| progress.clone().checked(&file(content), &lines()).whole_lines(&lines());
        assert_eq!(whole(b"aa\nx\nbb\n"), 6);
        assert_eq!(whole(b"aa\nx\nbx\n"), 3, "changed");
        assert_eq!(whole(b"aa\nx\nb"), 3, "cut short");
        assert_eq!(whole(b"xa\nx\nbb\n"), 0, "the beginning is missing");
        assert_eq!(whole(b""), 0, "emptied");
    }
}
