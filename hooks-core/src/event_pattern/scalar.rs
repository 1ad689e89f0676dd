//! The values that patterns are compared with: strings, numbers, booleans and nulls.

use std::borrow::Cow;

/// A value of an event that is no list and no object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string's bytes without escapes. They are UTF-8, but for half a surrogate pair: that takes three bytes which
    /// UTF-8 does not have, so no text of a pattern equals it.
    Text(Cow<'a, [u8]>),
}

/// A number as binary64, in an order that integers have: one beyond its range is infinitely large, and 0 and -0 are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(u64);

impl Number {
    /// The lowest one.
    pub const MIN: Self = Self(!f64::NEG_INFINITY.to_bits());
    /// The highest one.
    pub const MAX: Self = Self(f64::INFINITY.to_bits() | SIGN);

    /// The number.
    pub fn new(number: f64) -> Self {
        let bits = (number + 0.0).to_bits();
        Self(if bits & SIGN == 0 { bits | SIGN } else { !bits })
    }

    /// Its place in the order of all numbers.
    pub fn rank(self) -> u64 {
        self.0
    }

    /// The number right above it, if there is one.
    pub(super) fn above(self) -> Option<Self> {
        (self < Self::MAX).then(|| Self(self.0 + if self.0 == !SIGN - 1 { 2 } else { 1 }))
    }

    /// The number right below it, if there is one.
    pub(super) fn below(self) -> Option<Self> {
        (self > Self::MIN).then(|| Self(self.0 - if self.0 == SIGN { 2 } else { 1 }))
    }
}

const SIGN: u64 = 1 << 63;

/// The number that this JSON text stands for. What is no number is 0.
pub(super) fn number(json: &str) -> Number {
    Number::new(json.parse().unwrap_or(0.0))
}

/// The bytes of a JSON string without its quotes.
pub(super) fn text(raw: &str, is_escaped: bool) -> Cow<'_, [u8]> {
    if is_escaped { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw.as_bytes()) }
}

fn unescape(raw: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let length = match escape.as_bytes().first() {
            Some(b'u') => {
                let (code, length) = code_point(escape);
                push(code, &mut bytes);
                length
            }
            Some(byte) => {
                let char = escape.chars().next().map_or(0, char::len_utf8);
                bytes.extend_from_slice(plain(*byte).as_ref().map_or(&escape.as_bytes()[..char], std::slice::from_ref));
                char
            }
            None => 0,
        };
        rest = &escape[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// The character of a short escape. `None`: itself.
fn plain(escape: u8) -> Option<u8> {
    Some(match escape {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

/// The code point of an escape that begins with `u`, of a surrogate pair both halves, and the bytes that it takes.
fn code_point(escape: &str) -> (u32, usize) {
    let unit = |from: usize| escape.get(from..from + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let Some(first) = unit(1) else { return (u32::from('u'), 1) };
    if (0xd800..0xdc00).contains(&first)
        && escape.get(5..7) == Some("\\u")
        && let Some(second @ 0xdc00..0xe000) = unit(7)
    {
        return (0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00), 11);
    }
    (first, 5)
}

/// Half a surrogate pair is written as UTF-8 would have it if it were a character.
fn push(code: u32, bytes: &mut Vec<u8>) {
    match char::from_u32(code) {
        Some(char) => bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        None => {
            bytes.extend([0xe0 | (code >> 12), 0x80 | (code >> 6 & 0x3f), 0x80 | (code & 0x3f)].map(|byte| byte as u8))
        }
    }
}

/// The text with each letter in its lower case, as comparisons that ignore case see it.
pub fn lower(text: &[u8]) -> Cow<'_, [u8]> {
    if text.is_ascii() {
        let is_lower = !text.iter().any(u8::is_ascii_uppercase);
        return if is_lower { Cow::Borrowed(text) } else { Cow::Owned(text.to_ascii_lowercase()) };
    }
    let mut lowered = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        let chars = chunk.valid().chars().flat_map(char::to_lowercase);
        chars.for_each(|char| lowered.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()));
        lowered.extend_from_slice(chunk.invalid());
    }
    Cow::Owned(lowered)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn strings_are_read_with_all_their_escapes() {
        let read = |raw: &str| text(raw, true).into_owned();
        assert_eq!(read(r#"a\"\\\/\b\f\n\r\té\u00e9\ud83d\ude00"#), "a\"\\/\u{8}\u{c}\n\r\téé😀".as_bytes());
        assert_eq!(read(r"\ud83d"), [0xed, 0xa0, 0xbd]);
        assert_eq!(read(r"\ud83d\ud83d\ude00"), [&[0xed, 0xa0, 0xbd], "😀".as_bytes()].concat());
        assert_eq!(read(r"\ude00x"), [0xed, 0xb8, 0x80, b'x']);
    }

    #[test]
    fn what_is_no_json_string_is_some_bytes() {
        for raw in ["\\", "\\u", "\\u12", "\\u12é", "\\é", "\\ud800\\u"] {
            text(raw, true);
        }
    }

    proptest! {
        #[test]
        fn numbers_are_in_order(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            prop_assert_eq!(Number::new(a).partial_cmp(&Number::new(b)), a.partial_cmp(&b));
            prop_assert_eq!(Number::new(a).above().is_none_or(|above| above > Number::new(a)), true);
            let between = |low: Number, high: Number| (low < high).then(|| (low.above(), high.below()));
            prop_assert!(between(Number::new(a), Number::new(b)).is_none_or(|(low, high)| low <= Some(Number::new(b)) && high >= Some(Number::new(a))));
        }

        #[test]
        fn strings_are_read_as_serde_reads_them(value in ".{0,20}") {
            let json = serde_json::to_string(&value).unwrap();
            let text = text(&json[1..json.len() - 1], json.contains('\\')).into_owned();
            prop_assert_eq!(text, value.as_bytes());
        }
    }

    #[test]
    fn neighbours_of_zero_are_no_other_zero() {
        let tiny = f64::from_bits(1);
        assert_eq!(
            (Number::new(0.0).above(), Number::new(0.0).below()),
            (Some(Number::new(tiny)), Some(Number::new(-tiny)))
        );
        assert_eq!(
            (Number::new(-tiny).above(), Number::new(tiny).below()),
            (Some(Number::new(0.0)), Some(Number::new(0.0)))
        );
        assert_eq!(Number::new(-0.0), Number::new(0.0));
        assert_eq!((Number::MAX.above(), Number::MIN.below()), (None, None));
        assert_eq!((number("1e999"), number("-1e999")), (Number::MAX, Number::MIN));
    }
}
