//! One validating pass over the JSON text of an event.
//!
//! The scan proves that the text is one JSON value (RFC 8259), finds the spans of the top-level
//! members and builds nothing. It knows JSON, not CloudEvents.
//!
//! It is most of what an event costs, so it is written for few branches per token: the ends of strings are
//! found 64 bytes at a time, the end of the text reads as a zero, which no token begins with, and the state
//! of the nesting is one bit a level.

mod stops;

use std::cell::Cell;
use std::ops::Range;

use stops::Stops;

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

/// Walks the JSON object that `text` begins with, and gives `visit` each top-level member.
///
/// Returns where it ends, and true if a raw line break stands between its tokens.
#[inline]
pub(crate) fn scan_object<E: From<Fault>>(
    text: &str,
    visit: impl FnMut(Member) -> Result<(), E>,
) -> Result<(usize, bool), E> {
    let seen = Seen::default();
    let end = Scan::new(text, &seen).object(visit)?;
    Ok((end, seen.broken.get()))
}

/// Checks that nothing but space stands behind an object that ends there. Returns true if there is a raw line break.
pub(crate) fn scan_end(text: &str, end: usize) -> Result<bool, Fault> {
    if end == text.len() {
        return Ok(false);
    }
    let seen = Seen::default();
    let end = Scan::new(text, &seen).space(end);
    if end < text.len() { Err(fault(end, "the end of the event")) } else { Ok(seen.broken.get()) }
}

/// Walks the JSON value that `text` begins with, as one that stands in an array. Returns where the rest begins.
pub(crate) fn scan_value(text: &str) -> Result<usize, Fault> {
    let seen = Seen::default();
    let scan = Scan::new(text, &seen);
    let (_, end) = scan.member_value(scan.byte(0), 0)?;
    Ok(scan.space(end))
}

/// The steps take the place where they begin and return the one where they end. So text and place stay in registers,
/// which a scan that is changed in place would write to memory at each step.
#[derive(Clone, Copy)]
struct Scan<'a> {
    bytes: &'a [u8],
    seen: &'a Seen,
}

/// What is known of the text so far.
#[derive(Debug, Default)]
struct Seen {
    /// True if a raw line break stands between tokens.
    broken: Cell<bool>,
    stops: Stops,
}

impl<'a> Scan<'a> {
    fn new(text: &'a str, seen: &'a Seen) -> Self {
        seen.stops.look(text.as_bytes(), 0);
        Self { bytes: text.as_bytes(), seen }
    }

    #[inline]
    fn object<E: From<Fault>>(self, mut visit: impl FnMut(Member) -> Result<(), E>) -> Result<usize, E> {
        let (byte, at) = self.token(0);
        if byte != b'{' {
            return Err(fault(at, "`{`, the beginning of an object").into());
        }
        let (byte, mut at) = self.token(at + 1);
        if byte == b'}' {
            return Ok(at + 1);
        }
        loop {
            let name = self.quote(at)?;
            let (name_end, colon) = self.key(name)?;
            let (first, start) = self.token(colon);
            let (kind, end) = self.member_value(first, start)?;
            visit(Member { name: name..name_end, value: start..end, kind })?;
            let byte;
            (byte, at) = self.token(end);
            at += 1;
            match byte {
                b',' => {}
                b'}' => return Ok(at),
                _ => return Err(fault(at - 1, "`,` or `}`").into()),
            }
        }
    }

    /// The byte there; 0 at the end. A 0 in the text is as little a token as the end is.
    #[inline(always)]
    fn byte(self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// The next byte that is no space, and its place.
    #[inline(always)]
    fn token(self, at: usize) -> (u8, usize) {
        let byte = self.byte(at);
        if byte > b' ' {
            return (byte, at);
        }
        self.token_behind_space(at)
    }

    /// The same, where a space stands first. Most writers that put spaces put one.
    #[inline(never)]
    fn token_behind_space(self, at: usize) -> (u8, usize) {
        let next = self.byte(at + 1);
        if self.byte(at) == b' ' && next > b' ' {
            return (next, at + 1);
        }
        let at = self.space(at);
        (self.byte(at), at)
    }

    fn space(self, mut at: usize) -> usize {
        loop {
            match self.byte(at) {
                b' ' | b'\t' => {}
                b'\n' | b'\r' => self.seen.broken.set(true),
                _ => return at,
            }
            at += 1;
        }
    }

    /// The quote in front of a member's name. Returns where the name begins.
    #[inline(always)]
    fn quote(self, at: usize) -> Result<usize, Fault> {
        let (byte, at) = self.token(at);
        if byte == b'"' { Ok(at + 1) } else { Err(fault(at, "a member name in quotes")) }
    }

    /// A member's name and the colon behind it. Returns where the name ends, and the place behind the colon.
    #[inline(always)]
    fn key(self, start: usize) -> Result<(usize, usize), Fault> {
        let end = self.seen.stops.next(self.bytes, start);
        if self.bytes.get(end..).and_then(<[u8]>::first_chunk) == Some(b"\":") {
            return Ok((end, end + 2));
        }
        self.odd_key(end)
    }

    /// The rest of a name that holds escapes or that the colon does not stand right behind.
    #[inline(never)]
    fn odd_key(self, at: usize) -> Result<(usize, usize), Fault> {
        let end = self.escaped(at)?;
        let (byte, at) = self.token(end);
        if byte == b':' { Ok((end - 1, at + 1)) } else { Err(fault(at, "`:`")) }
    }

    /// The value of a top-level member, which begins with `first`.
    #[inline(always)]
    fn member_value(self, first: u8, at: usize) -> Result<(Kind, usize), Fault> {
        Ok(match first {
            b'"' => {
                let (end, escaped) = self.string(at)?;
                let plain = !escaped && (!self.seen.stops.saw_beyond() || self.is_plain(at, end));
                (Kind::String { plain }, end)
            }
            b'{' => (Kind::Object, self.nested(at)?),
            b'[' => (Kind::Array, self.nested(at)?),
            b't' | b'f' => (Kind::Bool, self.scalar(first, at)?),
            b'n' => (Kind::Null, self.scalar(first, at)?),
            _ => (Kind::Number, self.scalar(first, at)?),
        })
    }

    /// Returns true if nothing from there to there is beyond `~`.
    #[inline(never)]
    fn is_plain(self, start: usize, end: usize) -> bool {
        self.bytes[start..end].iter().all(|byte| *byte <= b'~')
    }

    /// An array or object within the event. It is walked with a stack of one bit a level, so depth costs
    /// no memory.
    #[inline(never)]
    fn nested(self, mut at: usize) -> Result<usize, Fault> {
        // The open containers, the innermost in the lowest bit: 1 for an object. Above the outermost stands a 1.
        let mut open: u128 = 1;
        loop {
            // A value begins here.
            let first;
            (first, at) = self.token(at);
            match first {
                b'"' => (at, _) = self.string(at)?,
                b'{' | b'[' => {
                    if open >> (MAX_DEPTH - 1) == 1 {
                        return Err(Fault { at, kind: FaultKind::TooDeep });
                    }
                    open = open << 1 | u128::from(first == b'{');
                    let next;
                    (next, at) = self.token(at + 1);
                    // An empty one is closed below.
                    if next != first + 2 {
                        if first == b'{' {
                            (_, at) = self.key(self.quote(at)?)?;
                        }
                        continue;
                    }
                }
                _ => at = self.scalar(first, at)?,
            }
            // A value has ended here: so may its container.
            loop {
                let in_object = open & 1 == 1;
                let byte;
                (byte, at) = self.token(at);
                if byte == b',' {
                    at += 1;
                    if in_object {
                        (_, at) = self.key(self.quote(at)?)?;
                    }
                    break;
                }
                if byte != if in_object { b'}' } else { b']' } {
                    return Err(fault(at, if in_object { "`,` or `}`" } else { "`,` or `]`" }));
                }
                at += 1;
                open >>= 1;
                if open == 1 {
                    return Ok(at);
                }
            }
        }
    }

    #[inline(always)]
    fn scalar(self, first: u8, at: usize) -> Result<usize, Fault> {
        match first {
            b'-' | b'0'..=b'9' => self.number(at),
            b't' => self.literal(at, b"true"),
            b'f' => self.literal(at, b"false"),
            b'n' => self.literal(at, b"null"),
            _ => Err(fault(at, "a JSON value")),
        }
    }

    #[inline(always)]
    fn literal(self, at: usize, word: &'static [u8]) -> Result<usize, Fault> {
        if !self.bytes[at..].starts_with(word) {
            return Err(fault(at, "a JSON value"));
        }
        Ok(at + word.len())
    }

    #[inline(always)]
    fn number(self, mut at: usize) -> Result<usize, Fault> {
        if self.byte(at) == b'-' {
            at += 1;
        }
        at = if self.byte(at) == b'0' { at + 1 } else { self.digits(at)? };
        if self.byte(at) == b'.' {
            at = self.digits(at + 1)?;
        }
        if matches!(self.byte(at), b'e' | b'E') {
            at += 1;
            if matches!(self.byte(at), b'+' | b'-') {
                at += 1;
            }
            at = self.digits(at)?;
        }
        Ok(at)
    }

    #[inline(always)]
    fn digits(self, mut at: usize) -> Result<usize, Fault> {
        if !self.byte(at).is_ascii_digit() {
            return Err(fault(at, "a digit"));
        }
        while self.byte(at).is_ascii_digit() {
            at += 1;
        }
        Ok(at)
    }

    /// Walks a string, from quote to quote. Returns true if it has escapes, too.
    #[inline(always)]
    fn string(self, at: usize) -> Result<(usize, bool), Fault> {
        let end = self.seen.stops.next(self.bytes, at + 1);
        if self.byte(end) == b'"' {
            return Ok((end + 1, false));
        }
        Ok((self.escaped(end)?, true))
    }

    /// The rest of a string, from the first byte on that is not plain.
    #[inline(never)]
    fn escaped(self, mut at: usize) -> Result<usize, Fault> {
        loop {
            match self.byte(at) {
                b'"' => return Ok(at + 1),
                b'\\' => at = self.escape(at + 1)?,
                _ if at == self.bytes.len() => return Err(fault(at, "`\"`, the end of a string")),
                _ => return Err(fault(at, "no raw control character in a string")),
            }
            at = self.seen.stops.next(self.bytes, at);
        }
    }

    /// An escape, without its backslash.
    #[inline(always)]
    fn escape(self, at: usize) -> Result<usize, Fault> {
        match self.byte(at) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 1),
            b'u' => match (at + 1..at + 5).find(|at| !self.byte(*at).is_ascii_hexdigit()) {
                None => Ok(at + 5),
                Some(at) => Err(fault(at, "four hexadecimal digits behind `\\u`")),
            },
            _ => Err(fault(at, "an escape that JSON knows behind `\\`")),
        }
    }
}

#[cold]
#[inline(never)]
fn fault(at: usize, expected: &'static str) -> Fault {
    Fault { at, kind: FaultKind::Expected(expected) }
}

#[cfg(test)]
mod plain;

#[cfg(test)]
mod tests;
