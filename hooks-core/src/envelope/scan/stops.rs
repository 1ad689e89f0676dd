//! Where strings may end, found 64 bytes at a time.

use std::cell::Cell;

use wide::u8x16;

/// Number of bytes that are looked at together.
const BLOCK: usize = 64;

/// The stops of a block of the text: the bytes that end a plain run of a string. These are quotes, backslashes, control
/// characters and the end of the text.
///
/// What a string ends at does not depend on what was found before it, so the processor works on several strings at once.
#[derive(Debug, Default)]
pub(super) struct Stops {
    /// Where the block begins.
    block: Cell<usize>,
    /// A bit for each of its bytes that is a stop.
    bits: Cell<u64>,
    beyond: Cell<bool>,
}

impl Stops {
    /// The place of the first stop from there on. Blocks are only looked at forwards.
    #[inline(always)]
    pub(super) fn next(&self, bytes: &[u8], mut at: usize) -> usize {
        loop {
            let passed = at - self.block.get();
            if passed < BLOCK {
                let bits = self.bits.get() >> passed;
                if bits != 0 {
                    return at + bits.trailing_zeros() as usize;
                }
                at = self.block.get() + BLOCK;
            }
            self.look(bytes, at);
        }
    }

    /// Moves to the block that begins there.
    #[inline(never)]
    pub(super) fn look(&self, bytes: &[u8], at: usize) {
        let rest = &bytes[at..];
        let (bits, beyond) = match (rest.first_chunk(), bytes.last_chunk()) {
            (Some(block), _) => marks(block),
            // Near the end: the last bytes of the text, moved to where they would stand, and stops behind them.
            (None, Some(block)) if !rest.is_empty() => {
                let (bits, beyond) = marks(block);
                (bits >> (BLOCK - rest.len()) | !0 << rest.len(), beyond)
            }
            _ => {
                let mut block = [0; BLOCK];
                block[..rest.len()].copy_from_slice(rest);
                marks(&block)
            }
        };
        self.block.set(at);
        self.bits.set(bits);
        self.beyond.set(self.beyond.get() | beyond);
    }

    /// False if no byte of the blocks so far is beyond `~`.
    #[inline(always)]
    pub(super) fn saw_beyond(&self) -> bool {
        self.beyond.get()
    }
}

/// A bit for each byte that is a stop, and whether one is beyond `~`.
#[inline(always)]
fn marks(block: &[u8; BLOCK]) -> (u64, bool) {
    let all = u8x16::splat;
    let (mut bits, mut most) = (0, all(b'~'));
    for (bytes, shift) in block.as_chunks().0.iter().zip([0, 16, 32, 48]) {
        let bytes = u8x16::new(*bytes);
        // With its second bit turned, a quote comes right behind the control characters.
        let turned = bytes ^ all(2);
        let stop = turned.min(all(b'"' ^ 2)).simd_eq(turned) | bytes.simd_eq(all(b'\\'));
        bits |= u64::from(stop.to_bitmask()) << shift;
        most = most.max(bytes);
    }
    (bits, most != all(b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The stops of a block are those of its bytes, wherever the text ends.
        #[test]
        fn stops_are_those_of_each_byte(bytes: [u8; 100], length in 0usize..100, at: prop::sample::Index) {
            let (bytes, at, stops) = (&bytes[..length], at.index(length + 1), Stops::default());
            stops.look(bytes, at);
            let is_stop = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
            let is_marked = |index: usize| bytes.get(at + index).copied().is_none_or(is_stop);
            prop_assert_eq!(stops.bits.get(), (0..BLOCK).map(|index| u64::from(is_marked(index)) << index).sum::<u64>());
            let next = (at..length).find(|at| is_stop(bytes[*at])).unwrap_or(length);
            prop_assert_eq!(stops.next(bytes, at), next);
        }

        /// Each byte beyond `~` is seen, and nothing else is taken for one.
        #[test]
        fn bytes_beyond_ascii_are_seen(bytes in prop::collection::vec(prop_oneof![9 => 0u8..0x7f, 1 => any::<u8>()], 0..100)) {
            let stops = Stops::default();
            (0..=bytes.len()).step_by(BLOCK).for_each(|at| stops.look(&bytes, at));
            prop_assert_eq!(stops.saw_beyond(), bytes.iter().any(|byte| *byte > b'~'));
        }
    }
}
