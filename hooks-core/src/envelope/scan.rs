//! One validating pass over the JSON text of an event.
//!
//! The scan proves that the text is one JSON value (RFC 8259), finds the spans of the top-level
//! members and builds nothing. It knows JSON, not CloudEvents.

use std::ops::Range;

/// Deepest nesting of arrays and objects that is accepted, the event itself included.
pub(crate) const MAX_DEPTH: u32 = 128;

/// Where and why a text is not the JSON that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Byte offset in the text.
    pub(crate) at: usize,
    pub(crate) kind: FaultKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    Expected(&'static str),
    TooDeep,
}

/// What a JSON value begins with, so what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    Number,
    Bool,
    Null,
    Array,
    Object,
}

/// One top-level member: the spans of its name (between the quotes) and of its value (quotes included).
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) name: Range<usize>,
    pub(crate) value: Range<usize>,
    pub(crate) kind: Kind,
}

/// Walks `text`, which must hold exactly one JSON object, and gives `visit` each top-level member.
///
/// Returns whether a raw line break stands between tokens.
pub(crate) fn scan_object<E: From<Fault>>(
    text: &str,
    mut visit: impl FnMut(Member) -> Result<(), E>,
) -> Result<bool, E> {
    let mut scan = Scan::new(text);
    scan.space();
    scan.expect(b'{', "`{`, the beginning of an object")?;
    scan.space();
    if !scan.eat(b'}') {
        loop {
            let name = scan.key()?;
            scan.space();
            let start = scan.at;
            let kind = scan.value(1)?;
            visit(Member { name, value: start..scan.at, kind })?;
            scan.space();
            if scan.eat(b'}') {
                break;
            }
            scan.expect(b',', "`,` or `}`")?;
            scan.space();
        }
    }
    scan.space();
    if scan.at < scan.bytes.len() {
        return Err(scan.fault("the end of the event").into());
    }
    Ok(scan.broken)
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    broken: bool,
}

impl<'a> Scan<'a> {
    fn new(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 0, broken: false }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn fault(&self, expected: &'static str) -> Fault {
        Fault { at: self.at, kind: FaultKind::Expected(expected) }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Fault> {
        if self.eat(byte) { Ok(()) } else { Err(self.fault(what)) }
    }

    fn space(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' => {}
                b'\n' | b'\r' => self.broken = true,
                _ => return,
            }
            self.at += 1;
        }
    }

    /// A member's name and the colon behind it.
    fn key(&mut self) -> Result<Range<usize>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("a member name in quotes"));
        }
        let start = self.at + 1;
        self.string()?;
        let name = start..self.at - 1;
        self.space();
        self.expect(b':', "`:`")?;
        Ok(name)
    }

    /// Any value. Containers are walked with a stack of one bit a level, so depth costs no memory.
    fn value(&mut self, base: u32) -> Result<Kind, Fault> {
        let first = self.peek();
        let mut objects: u128 = 0;
        let mut depth = base;
        loop {
            self.space();
            let opened = match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    if depth == MAX_DEPTH {
                        return Err(Fault { at: self.at, kind: FaultKind::TooDeep });
                    }
                    self.at += 1;
                    depth += 1;
                    objects = objects << 1 | u128::from(open == b'{');
                    self.space();
                    let close = if open == b'{' { b'}' } else { b']' };
                    if self.peek() == Some(close) {
                        false
                    } else {
                        if open == b'{' {
                            self.key()?;
                        }
                        true
                    }
                }
                _ => {
                    self.scalar()?;
                    false
                }
            };
            if !opened && self.close(base, &mut depth, &mut objects)? {
                break;
            }
        }
        Ok(match first {
            Some(b'"') => Kind::String,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        })
    }

    /// After a value: closes what ends here. True when the outermost value is complete, false when
    /// another value has to follow.
    fn close(&mut self, base: u32, depth: &mut u32, objects: &mut u128) -> Result<bool, Fault> {
        while *depth > base {
            self.space();
            let in_object = *objects & 1 == 1;
            match (self.peek(), in_object) {
                (Some(b','), _) => {
                    self.at += 1;
                    self.space();
                    if in_object {
                        self.key()?;
                    }
                    return Ok(false);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    *depth -= 1;
                    *objects >>= 1;
                }
                (_, true) => return Err(self.fault("`,` or `}`")),
                (_, false) => return Err(self.fault("`,` or `]`")),
            }
        }
        Ok(true)
    }

    fn scalar(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => Err(self.fault("a JSON value")),
        }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Fault> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.fault("a JSON value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            self.at += plain_run(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.fault("no raw control character in a string")),
                None => return Err(self.fault("`\"`, the end of a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|digit| digit.is_ascii_hexdigit()) {
                        return Err(self.fault("four hexadecimal digits behind `\\u`"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.fault("an escape that JSON knows behind `\\`")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.fault("a digit")) } else { Ok(()) }
    }
}

/// Length of the run of bytes that need no look: no quote, no backslash, no control character.
/// Eight bytes at a time.
fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero_in = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, _) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = zero_in(word ^ (ONES * u64::from(b'"')));
        let backslash = zero_in(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let found = quote | backslash | control;
        if found != 0 {
            return index * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    let start = words.len() * 8;
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    start + bytes[start..].iter().position(special).unwrap_or(bytes.len() - start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(text: &str) -> Result<Vec<(String, String)>, Fault> {
        let mut found = Vec::new();
        scan_object::<Fault>(text, |member| {
            found.push((text[member.name].to_owned(), text[member.value].to_owned()));
            Ok(())
        })
        .map(|_| found)
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(".{0,9}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// serde_json and the scan agree on every object, plain or pretty.
        #[test]
        fn agrees_on_good_json(value in prop::collection::btree_map("[a-z]{1,8}", json(), 0..5), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let found = scan(&text).unwrap();
            prop_assert_eq!(found.len(), value.len());
            for (name, raw) in found {
                prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&raw).unwrap(), &serde_json::from_str::<serde_json::Value>(&serde_json::to_string(&value[&name]).unwrap()).unwrap());
            }
        }

        /// serde_json and the scan agree on damaged text, too: both take it or both refuse it.
        #[test]
        fn agrees_on_damaged_json(value in prop::collection::btree_map("[a-z]{1,8}", json(), 0..4), at: prop::sample::Index, byte in prop::sample::select(b"{}[],:\"\\0e-.tn x".to_vec()), cut: bool) {
            let mut text = serde_json::to_string(&value).unwrap().into_bytes();
            let at = at.index(text.len());
            if cut { text.truncate(at) } else { text[at] = byte }
            if let Ok(text) = String::from_utf8(text) {
                let theirs = serde_json::from_str::<Strict>(&text).is_ok();
                prop_assert_eq!(scan(&text).is_ok(), theirs, "{}", text);
            }
        }

        /// Any text at all: an answer, never a panic.
        #[test]
        fn never_panics(text in ".{0,64}") {
            let _ = scan(&text);
        }

        #[test]
        fn plain_run_stops_where_a_plain_loop_stops(bytes: Vec<u8>) {
            let expected = bytes.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\');
            prop_assert_eq!(plain_run(&bytes), expected.unwrap_or(bytes.len()));
        }
    }

    /// An object whose values are only checked, as the scan does: numbers of any size, lone surrogates.
    #[derive(serde::Deserialize)]
    struct Strict(
        #[allow(dead_code, reason = "read by the derive")]
        std::collections::HashMap<String, Box<serde_json::value::RawValue>>,
    );

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(scan(&nested(127)).is_ok());
        assert_eq!(scan(&nested(128)).unwrap_err().kind, FaultKind::TooDeep);
        assert_eq!(scan(&nested(2_000_000)).unwrap_err().kind, FaultKind::TooDeep);
    }

    #[test]
    fn says_where() {
        for (text, at) in [
            ("", 0),
            ("[]", 0),
            ("{\"a\":}", 5),
            ("{\"a\":01}", 6),
            ("{\"a\":1}x", 7),
            ("{\"a\":\"\u{0}\"}", 6),
            ("{\"a\":1,}", 7),
        ] {
            assert_eq!(scan(text).unwrap_err().at, at, "{text}");
        }
    }
}
