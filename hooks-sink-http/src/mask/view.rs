//! Where a secret stands in a text, also where that escapes it: as JSON (`\/`, `\u0026`), in an address or in a form.

use std::ops::Range;

use memchr::memmem;

/// JSON that is quoted in JSON is escaped as often.
const NESTED: usize = 2;

/// A text as it reads without escapes.
pub(super) struct View {
    bytes: Vec<u8>,
    /// Where each byte was before, and where the text ended.
    origins: Vec<usize>,
}

/// Takes the escape at the beginning: appends what it stands for, and returns its length, or 0 if there is none.
type Unescape = fn(&[u8], &mut Vec<u8>) -> usize;

impl View {
    /// The text itself, and each way to read it.
    pub(super) fn all_of(text: &str) -> Vec<Self> {
        let mut views = vec![Self { bytes: text.into(), origins: (0..=text.len()).collect() }];
        for depth in 0..NESTED {
            if views[depth].bytes.contains(&b'\\') {
                views.push(views[depth].unescaped(of_json));
            } else {
                break;
            }
        }
        for depth in 0..views.len() {
            if views[depth].bytes.iter().any(|byte| matches!(byte, b'%' | b'+')) {
                views.extend([of_address, of_form].map(|unescape| views[depth].unescaped(unescape)));
            }
        }
        views
    }

    /// Where this stands in the text.
    pub(super) fn places<'a>(&'a self, secret: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        let found = memmem::find_iter(&self.bytes, secret);
        found.map(|at| self.origins[at]..self.origins[at + secret.len()])
    }

    fn unescaped(&self, unescape: Unescape) -> Self {
        let mut view = Self { bytes: Vec::with_capacity(self.bytes.len()), origins: Vec::new() };
        let mut at = 0;
        while let Some(byte) = self.bytes.get(at) {
            let mut taken = unescape(&self.bytes[at..], &mut view.bytes);
            if taken == 0 {
                view.bytes.push(*byte);
                taken = 1;
            }
            view.origins.resize(view.bytes.len(), self.origins[at]);
            at += taken;
        }
        view.origins.push(self.origins[at]);
        view
    }
}

/// RFC 8259, section 7.
fn of_json(text: &[u8], to: &mut Vec<u8>) -> usize {
    let unit = |at: usize| -> Option<u16> {
        let escape = text.get(at..at + 6).filter(|escape| escape.starts_with(b"\\u"))?;
        let mut digits = escape[2..].iter().map(|digit| char::from(*digit).to_digit(16).map(|digit| digit as u16));
        digits.try_fold(0, |unit, digit| Some(unit << 4 | digit?))
    };
    let char = match text {
        [b'\\', byte @ (b'"' | b'\\' | b'/'), ..] => char::from(*byte),
        [b'\\', b'b', ..] => '\u{8}',
        [b'\\', b'f', ..] => '\u{c}',
        [b'\\', b'n', ..] => '\n',
        [b'\\', b'r', ..] => '\r',
        [b'\\', b't', ..] => '\t',
        [b'\\', b'u', ..] => {
            let Some(first) = unit(0) else { return 0 };
            let units = [Some(first), unit(6)].into_iter().flatten();
            let Some(Ok(char)) = char::decode_utf16(units).next() else { return 0 };
            to.extend(char.encode_utf8(&mut [0; 4]).bytes());
            return 6 * char.len_utf16();
        }
        _ => return 0,
    };
    to.extend(char.encode_utf8(&mut [0; 4]).bytes());
    2
}

fn of_address(text: &[u8], to: &mut Vec<u8>) -> usize {
    let [b'%', high, low, ..] = text else { return 0 };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let (Some(high), Some(low)) = (digit(high), digit(low)) else { return 0 };
    to.push((high << 4 | low) as u8);
    3
}

fn of_form(text: &[u8], to: &mut Vec<u8>) -> usize {
    if text.first() != Some(&b'+') {
        return of_address(text, to);
    }
    to.push(b' ');
    1
}
