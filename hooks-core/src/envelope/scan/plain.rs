//! The scan, byte by byte: slow and plain. The reference for tests of the fast one, errors and their places
//! included.

use std::ops::Range;

use super::{Fault, FaultKind, Kind, MAX_DEPTH, Member};

/// Walks `text`, which must hold exactly one JSON object, and gives `visit` each top-level member.
///
/// Returns true if a raw line break stands between tokens.
pub(crate) fn scan_object(text: &str, visit: &mut dyn FnMut(Member) -> Result<(), Fault>) -> Result<bool, Fault> {
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
        return Err(scan.fault("the end of the event"));
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
        let (first, start) = (self.peek(), self.at);
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
            Some(b'"') => Kind::String { plain: self.is_plain(start) },
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

    fn is_plain(&self, start: usize) -> bool {
        let text = &self.bytes[start + 1..self.at - 1];
        text.iter().all(|byte| (0x20..0x7f).contains(byte) && *byte != b'\\')
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
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0..0x20) => return Err(self.fault("no raw control character in a string")),
                Some(_) => self.at += 1,
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
