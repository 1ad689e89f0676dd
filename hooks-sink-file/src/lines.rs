//! The lines to append, as they stand in memory.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::io::IoSlice;

use hooks_core::sink::Batch;

/// More pieces than this are put together before they are written: each costs the kernel about as much as a
/// few hundred bytes, and at most 1,024 go into one write.
const MOST_PIECES: usize = 64;

/// Lines, each with its `\n`. They are copied into one piece only where they have to be looked at.
pub(crate) struct Lines<'a> {
    pieces: Vec<Cow<'a, str>>,
    joined: OnceCell<Vec<u8>>,
    length: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(batch: &'a Batch) -> Self {
        Self::new(batch.text().collect())
    }

    pub(crate) fn new(pieces: Vec<Cow<'a, str>>) -> Self {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        let lines = Self { pieces, joined: OnceCell::new(), length };
        if lines.pieces.len() > MOST_PIECES {
            lines.bytes();
        }
        lines
    }

    /// The number of all bytes.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// All in one piece.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.pieces[..] {
            [Cow::Borrowed(piece)] => piece.as_bytes(),
            [Cow::Owned(piece)] => piece.as_bytes(),
            pieces => self.joined.get_or_init(|| pieces.concat().into_bytes()),
        }
    }

    /// The bytes behind the first `start` ones, to be written.
    pub(crate) fn slices(&self, start: usize) -> Vec<IoSlice<'_>> {
        if let Some(joined) = self.joined.get() {
            return vec![IoSlice::new(&joined[start..])];
        }
        let mut slices: Vec<_> = self.pieces.iter().map(|piece| IoSlice::new(piece.as_bytes())).collect();
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, start);
        rest.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(lines: &Lines<'_>, start: usize) -> Vec<u8> {
        lines.slices(start).iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn the_same_bytes_joined_and_in_pieces() {
        let pieces = vec!["aa\n".into(), "bb\ncc\n".into(), "d\n".into()];
        let text = b"aa\nbb\ncc\nd\n";
        for start in 0..=text.len() {
            let lines = Lines::new(pieces.clone());
            assert_eq!(lines.len(), text.len());
            assert_eq!(written(&lines, start), &text[start..], "in pieces");
            assert_eq!(lines.bytes(), text);
            assert_eq!(written(&lines, start), &text[start..], "joined");
        }
    }

    #[test]
    fn many_small_pieces_are_written_as_one() {
        let lines = Lines::new(vec!["a\n".into(); MOST_PIECES + 1]);
        assert_eq!(lines.slices(1).len(), 1);
        assert_eq!(written(&lines, 1).len(), 2 * MOST_PIECES + 1);
    }
}
