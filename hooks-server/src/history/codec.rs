//! Numbers and texts as bytes.

/// Appends a number in as few bytes as it needs, seven bits in each.
pub(super) fn put_number(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Appends the distance from one number to another, in either direction.
pub(super) fn put_step(into: &mut Vec<u8>, from: u64, to: u64) {
    let step = to.wrapping_sub(from) as i64;
    put_number(into, ((step << 1) ^ (step >> 63)) as u64);
}

/// Appends a text with its length.
pub(super) fn put_text(into: &mut Vec<u8>, text: &str) {
    put_number(into, text.len() as u64);
    into.extend_from_slice(text.as_bytes());
}

/// Takes bytes apart. `None`: they are not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn step(&mut self, from: u64) -> Option<u64> {
        let step = self.number()?;
        Some(from.wrapping_add((step >> 1) ^ (step & 1).wrapping_neg()))
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.bytes(length)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(number in any::<u64>(), from in any::<u64>(), text in ".{0,20}") {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            put_step(&mut bytes, from, number);
            put_text(&mut bytes, &text);
            for length in 0..bytes.len() {
                let mut cut = Reader(&bytes[..length]);
                let read = cut.number().and_then(|_| cut.step(from)).and_then(|_| cut.text());
                prop_assert!(read.is_none());
            }
            let mut reader = Reader(&bytes);
            prop_assert_eq!((reader.number(), reader.step(from)), (Some(number), Some(number)));
            prop_assert_eq!((reader.text(), reader.0.len()), (Some(&*text), 0));
        }
    }
}
