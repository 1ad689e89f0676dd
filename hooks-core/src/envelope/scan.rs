//! One validating pass over the JSON text of an event.
//!
//! The scan proves that the text is one JSON value (RFC 8259), finds the spans of the top-level
//! members and builds nothing. It knows JSON, not CloudEvents.
//!
//! It is most of what an event costs, so it is written for few branches per token: strings are looked
//! at sixteen bytes at a time, the end of the text reads as a zero, which no token begins with, and
//! the state of the nesting is one bit a level.

use std::ops::Range;

use wide::u8x16;

/// Deepest nesting of arrays and objects that is accepted, the event itself included.
pub(crate) const MAX_DEPTH: u32 = 128;

/// The place where a text is not the expected JSON, and the reason.
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

/// The kind of a JSON value, known from its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `plain`: of the characters from space to `~` alone, without escapes.
    String {
        plain: bool,
    },
    Number,
    Bool,
    Null,
    Array,
    Object,
}

/// One top-level member: the spans of its name (between the quotes) and of its value (quotes included).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: Range<usize>,
    pub(crate) value: Range<usize>,
    pub(crate) kind: Kind,
}

/// Walks `text`, which must hold exactly one JSON object, and gives `visit` each top-level member.
///
/// Returns true if a raw line break stands between tokens.
#[inline]
pub(crate) fn scan_object<E: From<Fault>>(text: &str, visit: impl FnMut(Member) -> Result<(), E>) -> Result<bool, E> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0, broken: false };
    scan.object(visit)?;
    scan.space();
    if scan.at < scan.bytes.len() {
        return Err(scan.fault("the end of the event").into());
    }
    Ok(scan.broken)
}

/// Like [`scan_object`], for the object that `text` begins with. Returns where it ends, too.
#[inline]
pub(crate) fn scan_first<E: From<Fault>>(
    text: &str,
    visit: impl FnMut(Member) -> Result<(), E>,
) -> Result<(usize, bool), E> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0, broken: false };
    scan.object(visit)?;
    Ok((scan.at, scan.broken))
}

/// Walks the JSON value that `text` begins with, as one that stands in an array. Returns where the rest begins.
pub(crate) fn scan_value(text: &str) -> Result<usize, Fault> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0, broken: false };
    scan.member_value(scan.peek())?;
    scan.space();
    Ok(scan.at)
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    broken: bool,
}

impl Scan<'_> {
    #[inline]
    fn object<E: From<Fault>>(&mut self, mut visit: impl FnMut(Member) -> Result<(), E>) -> Result<(), E> {
        self.space();
        self.expect(b'{', "`{`, the beginning of an object")?;
        if self.next() == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            let name = self.key()?;
            let first = self.next();
            let start = self.at;
            let kind = self.member_value(first)?;
            visit(Member { name, value: start..self.at, kind })?;
            match self.next() {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.fault("`,` or `}`").into()),
            }
            self.space();
        }
    }

    /// The byte here; 0 at the end. A 0 in the text is as little a token as the end is.
    #[inline(always)]
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    #[cold]
    fn fault(&self, expected: &'static str) -> Fault {
        Fault { at: self.at, kind: FaultKind::Expected(expected) }
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Fault> {
        if self.peek() != byte {
            return Err(self.fault(what));
        }
        self.at += 1;
        Ok(())
    }

    /// The next byte that is no space.
    #[inline(always)]
    fn next(&mut self) -> u8 {
        let byte = self.peek();
        if byte > b' ' {
            return byte;
        }
        self.space();
        self.peek()
    }

    fn space(&mut self) {
        loop {
            match self.peek() {
                b' ' | b'\t' => {}
                b'\n' | b'\r' => self.broken = true,
                _ => return,
            }
            self.at += 1;
        }
    }

    /// A member's name and the colon behind it.
    #[inline(always)]
    fn key(&mut self) -> Result<Range<usize>, Fault> {
        if self.peek() != b'"' {
            return Err(self.fault("a member name in quotes"));
        }
        let start = self.at + 1;
        self.string()?;
        let name = start..self.at - 1;
        if self.next() != b':' {
            return Err(self.fault("`:`"));
        }
        self.at += 1;
        Ok(name)
    }

    /// The value of a top-level member, which begins with `first`.
    #[inline]
    fn member_value(&mut self, first: u8) -> Result<Kind, Fault> {
        Ok(match first {
            b'"' => Kind::String { plain: self.string()? },
            b'{' | b'[' => {
                self.nested()?;
                if first == b'{' { Kind::Object } else { Kind::Array }
            }
            _ => {
                self.scalar(first)?;
                match first {
                    b't' | b'f' => Kind::Bool,
                    b'n' => Kind::Null,
                    _ => Kind::Number,
                }
            }
        })
    }

    /// An array or object within the event. It is walked with a stack of one bit a level, so depth costs
    /// no memory.
    fn nested(&mut self) -> Result<(), Fault> {
        // The open containers, the innermost in the lowest bit: 1 for an object.
        let mut open: u128 = 0;
        let mut depth = 1;
        loop {
            // A value begins here.
            let first = self.next();
            match first {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    if depth == MAX_DEPTH {
                        return Err(Fault { at: self.at, kind: FaultKind::TooDeep });
                    }
                    self.at += 1;
                    depth += 1;
                    open = open << 1 | u128::from(first == b'{');
                    let next = self.next();
                    // An empty one is closed below.
                    if next != first + 2 {
                        if first == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                }
                _ => self.scalar(first)?,
            }
            // A value has ended here: so may its container.
            loop {
                let in_object = open & 1 == 1;
                match self.next() {
                    b',' => {
                        self.at += 1;
                        if in_object {
                            self.next();
                            self.key()?;
                        }
                        break;
                    }
                    byte if byte == if in_object { b'}' } else { b']' } => {
                        self.at += 1;
                        depth -= 1;
                        open >>= 1;
                        if depth == 1 {
                            return Ok(());
                        }
                    }
                    _ => return Err(self.fault(if in_object { "`,` or `}`" } else { "`,` or `]`" })),
                }
            }
        }
    }

    fn scalar(&mut self, first: u8) -> Result<(), Fault> {
        match first {
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
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

    /// Walks a string, from quote to quote. Returns true if it has only characters from space to `~`, without
    /// escapes.
    #[inline(always)]
    fn string(&mut self) -> Result<bool, Fault> {
        self.at += 1;
        let mut plain = true;
        loop {
            let (stop, beyond) = self.marks(text_marks);
            if stop == 0 {
                plain &= beyond == 0;
                self.at += BLOCK;
                continue;
            }
            let length = stop.trailing_zeros();
            plain &= beyond & ((1 << length) - 1) == 0;
            self.at += length as usize;
            if self.peek() == b'"' {
                self.at += 1;
                return Ok(plain);
            }
            plain = false;
            self.no_quote()?;
        }
    }

    /// Handles the byte that ends a plain run of a string, unless it is a quote.
    #[inline(never)]
    fn no_quote(&mut self) -> Result<(), Fault> {
        match self.peek() {
            b'\\' => self.escape(),
            _ if self.at == self.bytes.len() => Err(self.fault("`\"`, the end of a string")),
            _ => Err(self.fault("no raw control character in a string")),
        }
    }

    /// The marks of the bytes from here on, and of the end of the text, if it is that near.
    #[inline(always)]
    fn marks(&self, look: impl Fn(u8x16) -> (u32, u32)) -> (u32, u32) {
        match self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
            Some(block) => look(u8x16::new(*block)),
            None => self.last_marks(look),
        }
    }

    #[inline(never)]
    fn last_marks(&self, look: impl Fn(u8x16) -> (u32, u32)) -> (u32, u32) {
        let rest = &self.bytes[self.at..];
        let mut block = [0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        look(u8x16::new(block))
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_ascii_hexdigit() {
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
        if self.peek() == b'-' {
            self.at += 1;
        }
        if self.peek() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    #[inline(always)]
    fn digits(&mut self) -> Result<(), Fault> {
        let mut found = false;
        loop {
            let (others, _) = self.marks(number_marks);
            let length = others.trailing_zeros().min(BLOCK as u32);
            self.at += length as usize;
            found |= length > 0;
            if length < BLOCK as u32 {
                return if found { Ok(()) } else { Err(self.fault("a digit")) };
            }
        }
    }
}

/// Number of bytes that are looked at together.
const BLOCK: usize = 16;

/// A bit for each byte that ends a plain run of a string (a quote, a backslash or a control character),
/// and one for each byte beyond `~`.
#[inline(always)]
fn text_marks(block: u8x16) -> (u32, u32) {
    let control = block.min(u8x16::splat(0x1f)).simd_eq(block);
    let stop = block.simd_eq(u8x16::splat(b'"')) | block.simd_eq(u8x16::splat(b'\\')) | control;
    let beyond = block.max(u8x16::splat(0x7f)).simd_eq(block);
    (stop.to_bitmask(), beyond.to_bitmask())
}

/// A bit for each byte that is no digit.
#[inline(always)]
fn number_marks(block: u8x16) -> (u32, u32) {
    let value = block - u8x16::splat(b'0');
    let others = value.max(u8x16::splat(10)).simd_eq(value);
    (others.to_bitmask(), 0)
}

#[cfg(test)]
mod plain;

#[cfg(test)]
mod tests;
