//! What a file holds of lines that were written in part.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::lines::Lines;
use crate::tail;

/// Where bytes of a batch stand that was not reported as delivered: its beginning, in order, in pieces
/// when others wrote in between. Each piece begins with a line; all but the last end with one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    /// Which opening of the path.
    opens: u64,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    offset: u64,
    length: usize,
}

impl Held {
    /// What the file really holds, and still does: it may be another file now, or truncated.
    pub(crate) fn checked(mut self, opens: u64, file: &File, lines: &Lines<'_>) -> Self {
        if self.opens != opens {
            return Self { opens, pieces: Vec::new() };
        }
        let mut at = 0;
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

    /// How many bytes at the beginning of `lines` are whole lines that the file holds.
    pub(crate) fn whole_lines(&self, lines: &Lines<'_>) -> usize {
        match self.length() {
            0 => 0,
            length => tail::whole_lines(lines.bytes(), length),
        }
    }

    /// From `start` on, the beginning of a line, `length` bytes stand at `offset`.
    pub(crate) fn add(&mut self, start: usize, offset: u64, length: usize) {
        let torn = self.length().saturating_sub(start);
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
        let mut held = Held::default();
        held.add(0, 10, 4);
        held.add(3, 13, 2);
        assert_eq!(held.pieces, [Piece { offset: 10, length: 5 }]);
        assert_eq!(held.whole_lines(&lines()), 3);
    }

    #[test]
    fn what_others_wrote_in_between_parts_the_pieces() {
        let file = file(b"aa\nb\nother\nbb\nc");
        let mut held = Held::default();
        held.add(0, 0, 4);
        held.add(3, 11, 4);
        assert_eq!(held.pieces, [Piece { offset: 0, length: 3 }, Piece { offset: 11, length: 4 }]);
        assert_eq!(held.checked(0, &file, &lines()).whole_lines(&lines()), 6);
    }

    #[test]
    fn what_is_not_there_any_more_is_not_held() {
        let mut held = Held::default();
        held.add(0, 0, 3);
        held.add(3, 5, 3);
        let whole = |content: &[u8], opens| held.clone().checked(opens, &file(content), &lines()).whole_lines(&lines());
        assert_eq!(whole(b"aa\nx\nbb\n", 0), 6);
        assert_eq!(whole(b"aa\nx\nbx\n", 0), 3, "changed");
        assert_eq!(whole(b"aa\nx\nb", 0), 3, "cut short");
        assert_eq!(whole(b"xa\nx\nbb\n", 0), 0, "the beginning is missing");
        assert_eq!(whole(b"", 0), 0, "emptied");
        assert_eq!(whole(b"aa\nx\nbb\n", 1), 0, "opened again");
    }
}
