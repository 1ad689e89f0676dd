//! Texts with wildcards, compared in a time that grows with the text and with the pattern, never with one times the other:
//! whoever names the pattern need not be whoever writes the text.

use memchr::{memchr, memmem};

/// Single wildcards in pieces up to this length are looked for in the plain way, which takes length × text steps.
const SHORT: usize = 8;

/// So are those that take at most so many steps: less than the tables of the other way cost.
const FEW_STEPS: usize = 4 << 10;

/// Positions of a piece that one word has.
const WORD: usize = u64::BITS as usize;

/// Returns true if the whole text matches: `*` is any run of characters, `?` is one.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let Some((at, rest)) = beginning(pattern, text) else { return false };
    let Some((b'*', behind)) = pattern[at..].split_first() else { return rest.is_empty() };
    let Some((end, rest)) = ending(behind, rest) else { return false };
    let pieces = behind[..end].split(|byte| *byte == b'*');
    in_order(pieces.filter(|piece| !piece.is_empty()), rest, true)
}

/// Returns true if these pieces stand in the text, one behind another. `has_single`: a `?` in them is one character.
pub(crate) fn in_order<'p>(mut pieces: impl Iterator<Item = &'p [u8]>, text: &[u8], has_single: bool) -> bool {
    // Each piece is taken where it comes first: what is left for the others is then as long as can be.
    let mut rest = text;
    pieces.all(|piece| find(piece, rest, has_single).map(|taken| rest = &rest[taken..]).is_some())
}

/// Compares up to the first `*`: its place or the pattern's end, and the text that is left.
fn beginning<'t>(pattern: &[u8], text: &'t [u8]) -> Option<(usize, &'t [u8])> {
    let mut taken = 0;
    for (at, byte) in pattern.iter().enumerate() {
        if *byte == b'*' {
            return Some((at, &text[taken..]));
        }
        let is_same = *text.get(taken)? == *byte;
        taken += 1;
        if *byte == b'?' {
            taken = behind_char(text, taken);
        } else if !is_same {
            return None;
        }
    }
    Some((pattern.len(), &text[taken..]))
}

/// Compares from the end to the last `*`: the place behind it or the pattern's beginning, and the text that is left.
fn ending<'t>(pattern: &[u8], text: &'t [u8]) -> Option<(usize, &'t [u8])> {
    let mut left = text.len();
    for (at, byte) in pattern.iter().enumerate().rev() {
        if *byte == b'*' {
            return Some((at + 1, &text[..left]));
        }
        left = left.checked_sub(1)?;
        if *byte == b'?' {
            while is_inside(text[left]) {
                left = left.checked_sub(1)?;
            }
        } else if text[left] != *byte {
            return None;
        }
    }
    Some((0, &text[..left]))
}

/// Where the piece ends that comes first in the text.
fn find(piece: &[u8], text: &[u8], has_single: bool) -> Option<usize> {
    if !has_single || memchr(b'?', piece).is_none() {
        return memmem::find(text, piece).map(|at| at + piece.len());
    }
    if piece.len() > SHORT && piece.len().saturating_mul(text.len()) > FEW_STEPS {
        return find_in_parallel(piece, text);
    }
    find_plainly(piece, text)
}

fn find_plainly(piece: &[u8], text: &[u8]) -> Option<usize> {
    let mut starts = (0..text.len()).filter(|at| !is_inside(text[*at]));
    starts.find_map(|at| beginning(piece, &text[at..])).map(|(_, rest)| text.len() - rest.len())
}

/// The same, by the set of all beginnings of the piece that end at a byte of the text (Shift-And): a bit for each, so 64 of
/// them take one step a byte.
fn find_in_parallel(piece: &[u8], text: &[u8]) -> Option<usize> {
    let words = piece.len().div_ceil(WORD);
    let bit = |at: usize| 1_u64 << (at % WORD);
    // Which positions of the piece a byte may stand at, and at which ones a character's further bytes change nothing.
    let mut allowed = vec![0_u64; 256 * words];
    let mut single = vec![0_u64; words];
    for (at, byte) in piece.iter().enumerate() {
        let word = at / WORD;
        if *byte == b'?' {
            single[word] |= bit(at);
            let begins_char = (0..=u8::MAX).filter(|byte| !is_inside(*byte));
            begins_char.for_each(|byte| allowed[usize::from(byte) * words + word] |= bit(at));
        } else {
            allowed[usize::from(*byte) * words + word] |= bit(at);
        }
    }
    let mut reached = vec![0_u64; words];
    let (last_word, last_bit) = ((piece.len() - 1) / WORD, bit(piece.len() - 1));
    for (at, byte) in text.iter().enumerate() {
        let allowed = &allowed[usize::from(*byte) * words..][..words];
        let stays = if is_inside(*byte) { u64::MAX } else { 0 };
        // A match may begin at each byte.
        let mut carried = 1;
        for ((reached, allowed), single) in reached.iter_mut().zip(allowed).zip(&single) {
            let next = *reached >> (WORD - 1);
            *reached = ((*reached << 1 | carried) & allowed) | (*reached & single & stays);
            carried = next;
        }
        if reached[last_word] & last_bit != 0 {
            let behind = at + 1;
            return Some(if piece.ends_with(b"?") { behind_char(text, behind) } else { behind });
        }
    }
    None
}

/// The end of the character of which the bytes before `at` are the first.
fn behind_char(text: &[u8], at: usize) -> usize {
    at + text[at..].iter().take_while(|byte| is_inside(**byte)).count()
}

/// True for the bytes of a character behind its first.
fn is_inside(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Long pieces, in alphabets so small that beginnings of them are everywhere, of characters that share bytes.
        #[test]
        fn both_ways_find_the_same(piece in "[aéè?]{1,9}|[aé?]{60,140}", text in "[aéè]{0,40}|[aé]{120,300}") {
            let (piece, text) = (piece.as_bytes(), text.as_bytes());
            prop_assert_eq!(find_in_parallel(piece, text), find_plainly(piece, text));
        }

        /// The same where a match is certain, across the words of the set.
        #[test]
        fn what_is_there_is_found(before in "[aé]{0,80}", piece in "[aé]{60,140}", every in 2_usize..9) {
            let text = format!("{before}{piece}a");
            let hidden: String = piece.chars().enumerate().map(|(at, char)| if at % every == 0 { '?' } else { char }).collect();
            let found = find_in_parallel(hidden.as_bytes(), text.as_bytes());
            prop_assert!(found.is_some_and(|found| found <= before.len() + piece.len() && text.is_char_boundary(found)));
        }
    }

    /// In the plain way, these take 17 and 1 billion steps.
    #[test]
    fn the_worst_pattern_takes_no_longer_than_the_text() {
        let text = vec![b'a'; 1 << 20];
        let never = [vec![b'a'; 16 << 10], vec![b'b']].concat();
        assert_eq!(find(&never, &text, true), None);
        let mut single = never;
        single.drain(..15 << 10);
        single[0] = b'?';
        assert_eq!(find(&single, &text, true), None);
    }
}
