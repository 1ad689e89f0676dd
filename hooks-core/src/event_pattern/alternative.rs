//! The alternatives of a field, of which one has to match.

use core::net::IpAddr;

use super::scalar::{Number, Scalar, lower};
use crate::glob;

/// One of the alternatives of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Alternative {
    /// The field has a value that passes.
    Is(Test),
    /// The field has a value that passes none of these.
    IsNot(Box<[Test]>),
    /// The field has a value.
    Exists,
    /// The field has no value.
    IsMissing,
}

/// A comparison with one value. Texts that ignore case are in [lower case](lower).
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Null.
    Null,
    /// This boolean.
    Bool(bool),
    /// This number.
    Number(Number),
    /// A number from the first to the second.
    Range(Number, Number),
    /// This text.
    Text(Box<str>),
    /// This text, in whatever case.
    IgnoreCase(Box<str>),
    /// A text that begins so.
    Prefix(Box<str>),
    /// A text that begins so, in whatever case.
    PrefixIgnoreCase(Box<str>),
    /// A text that ends so.
    Suffix(Box<str>),
    /// A text that ends so, in whatever case.
    SuffixIgnoreCase(Box<str>),
    /// A text that matches the wildcards.
    Wildcard(Wildcard),
    /// An IP address of this network, as a text.
    Cidr(Network),
}

impl Alternative {
    /// Its comparisons.
    pub(super) fn tests(&self) -> &[Test] {
        match self {
            Self::Is(test) => std::slice::from_ref(test),
            Self::IsNot(tests) => tests,
            Self::Exists | Self::IsMissing => &[],
        }
    }

    /// Returns true if this value of the field matches.
    pub fn matches(&self, value: &Scalar<'_>) -> bool {
        match self {
            Self::Is(test) => test.passes(value),
            Self::IsNot(tests) => !tests.iter().any(|test| test.passes(value)),
            Self::Exists => true,
            Self::IsMissing => false,
        }
    }
}

impl Test {
    /// The length of its text, in bytes.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Text(text)
            | Self::IgnoreCase(text)
            | Self::Prefix(text)
            | Self::PrefixIgnoreCase(text)
            | Self::Suffix(text)
            | Self::SuffixIgnoreCase(text) => text.len(),
            Self::Wildcard(wildcard) => wildcard.pieces.iter().map(|piece| piece.len() + 1).sum(),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Range(..) | Self::Cidr(_) => 0,
        }
    }

    /// Returns true if this value passes.
    pub fn passes(&self, value: &Scalar<'_>) -> bool {
        let text = match value {
            Scalar::Text(text) => &**text,
            Scalar::Null => return *self == Self::Null,
            Scalar::Bool(value) => return *self == Self::Bool(*value),
            Scalar::Number(number) => {
                return match self {
                    Self::Number(own) => own == number,
                    Self::Range(from, to) => (from..=to).contains(&number),
                    _ => false,
                };
            }
        };
        match self {
            Self::Text(own) => text == own.as_bytes(),
            Self::IgnoreCase(own) => *lower(text) == *own.as_bytes(),
            Self::Prefix(own) => text.starts_with(own.as_bytes()),
            Self::PrefixIgnoreCase(own) => lower(text).starts_with(own.as_bytes()),
            Self::Suffix(own) => text.ends_with(own.as_bytes()),
            Self::SuffixIgnoreCase(own) => lower(text).ends_with(own.as_bytes()),
            Self::Wildcard(own) => own.matches(text),
            Self::Cidr(own) => address(text).is_some_and(|address| own.holds(address)),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Range(..) => false,
        }
    }
}

/// The IP address that a text is.
pub fn address(text: &[u8]) -> Option<IpAddr> {
    // Most texts are none, which their first characters show.
    let is_possible = text.len() <= 45 && text.iter().take(5).any(|byte| matches!(byte, b'.' | b':'));
    if is_possible { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

/// A text with wildcards: each `*` is any run of characters.
#[derive(Debug, Clone, PartialEq)]
pub struct Wildcard {
    /// The texts before, between and behind the wildcards.
    pieces: Box<[Box<str>]>,
}

impl Wildcard {
    /// Reads a text in which `\*` is an asterisk and `\\` a backslash.
    ///
    /// # Errors
    /// Where there is another escape, or a wildcard right behind another.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut pieces = vec![String::new()];
        let mut chars = text.chars();
        let mut behind_star = false;
        while let Some(char) = chars.next() {
            let char = match char {
                '*' if behind_star => return Err("two wildcards in a row are one: write a single `*`"),
                '*' => {
                    pieces.push(String::new());
                    behind_star = true;
                    continue;
                }
                '\\' => match chars.next() {
                    Some(escaped @ ('*' | '\\')) => escaped,
                    _ => {
                        return Err(
                            "a backslash stands before `*` or another backslash only: write `\\\\` for a backslash",
                        );
                    }
                },
                char => char,
            };
            behind_star = false;
            if let Some(piece) = pieces.last_mut() {
                piece.push(char);
            }
        }
        Ok(Self { pieces: pieces.into_iter().map(Into::into).collect() })
    }

    /// The text before the first wildcard.
    pub fn prefix(&self) -> &str {
        self.pieces.first().map_or("", |piece| piece)
    }

    /// The text behind the last wildcard.
    pub fn suffix(&self) -> &str {
        self.pieces.last().map_or("", |piece| piece)
    }

    /// Returns true if the whole of `text` matches.
    fn matches(&self, text: &[u8]) -> bool {
        let [first, between @ .., last] = &*self.pieces else { return text == self.prefix().as_bytes() };
        let behind_first = text.strip_prefix(first.as_bytes());
        let rest = behind_first.and_then(|rest| rest.strip_suffix(last.as_bytes()));
        rest.is_some_and(|rest| glob::in_order(between.iter().map(|piece| piece.as_bytes()), rest, false))
    }
}

/// The addresses whose first bits are these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// The network of this address, by so many first bits. `None`: the address has fewer.
    pub fn of(address: IpAddr, bits: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(address) if bits <= 32 => {
                IpAddr::V4((address.to_bits() & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)).into())
            }
            IpAddr::V6(address) if bits <= 128 => {
                IpAddr::V6((address.to_bits() & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)).into())
            }
            _ => return None,
        };
        Some(Self { address, bits })
    }

    /// Reads `10.0.0.0/24` or `2001:db8::/32`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let bits = Some(bits).filter(|bits| bits.bytes().all(|byte| byte.is_ascii_digit()))?;
        Self::of(address.parse().ok()?, bits.parse().ok()?)
    }

    /// The number of first bits that count.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// Returns true for addresses of version 6.
    pub fn is_v6(&self) -> bool {
        self.address.is_ipv6()
    }

    fn holds(&self, address: IpAddr) -> bool {
        address.is_ipv6() == self.is_v6() && Self::of(address, self.bits).as_ref() == Some(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn model(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|taken| model(rest, &text[taken..])),
            Some((char, rest)) => text.first() == Some(char) && model(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn a_wildcard_is_any_run_of_characters(pattern in "[abé]{0,3}(\\*[abé]{1,2}){0,3}\\*?", text in "[abé]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Wildcard::parse(&pattern).unwrap().matches(text.as_bytes()), model(&chars(&pattern), &chars(&text)));
        }
    }

    #[test]
    fn escapes_of_wildcards() {
        let matches = |pattern: &str, text: &str| Wildcard::parse(pattern).unwrap().matches(text.as_bytes());
        assert!(matches(r"a\*b*", "a*bc") && !matches(r"a\*b*", "axbc"));
        assert!(matches(r"a\\*", r"a\x") && !matches(r"a\\*", "ax"));
        assert!(matches("", "") && !matches("", "a") && matches("*", ""));
        // The same characters may not be used twice.
        assert!(!matches("ab*b", "ab") && matches("ab*b", "abb"));
        for wrong in ["**", r"a\", r"\a*", "a***b"] {
            assert!(Wildcard::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Wildcard::parse(r"*\**").is_ok());
    }

    #[test]
    fn networks_hold_their_addresses() {
        let holds = |network: &str, text: &str| {
            Test::Cidr(Network::parse(network).unwrap()).passes(&Scalar::Text(text.as_bytes().into()))
        };
        assert!(holds("10.0.0.0/24", "10.0.0.255") && !holds("10.0.0.0/24", "10.0.1.0"));
        assert!(holds("10.0.0.9/24", "10.0.0.1") && holds("0.0.0.0/0", "1.2.3.4") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("10.0.0.7/32", "10.0.0.7") && !holds("10.0.0.7/32", "10.0.0.8"));
        assert!(
            holds("2001:db8::/32", "2001:db8:1::1") && holds("::/0", "::ffff:10.0.0.1") && !holds("::/0", "10.0.0.1")
        );
        assert!(holds("fe80::/10", "FE80::1"));
        assert!(!holds("10.0.0.0/8", "10.0.0") && !holds("10.0.0.0/8", "10.0.0.01") && !holds("::/0", "fe80::1%eth0"));
        for wrong in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/", "::/129", "a/8"] {
            assert!(Network::parse(wrong).is_none(), "{wrong}");
        }
    }
}
