//! A JSON array as the texts of its elements.

use super::scan::{Fault, FaultKind, MAX_DEPTH, scan_value};
use super::{EnvelopeError, SliceBuilder};

/// Cuts a JSON array into its elements without building or checking them: that is what
/// [`SliceBuilder::push_json`] does with each. [`push_next`](Self::push_next) does both in one pass.
///
/// Ends after the last element, or with the first error. Checks the brackets and commas of the array, and that the
/// brackets and quotes of each element match; an element with another error may end at the wrong place.
///
/// ```
/// use hooks_core::{envelope::ArrayElements, SliceBuilder};
///
/// let mut slice = SliceBuilder::new("/my/service");
/// for element in ArrayElements::new(br#"[{"type":"a"}, {"type":"b"}]"#) {
///     slice.push_json(element?.json)?;
/// }
/// assert_eq!(slice.finish()[1].event_type(), "b");
/// # Ok::<(), hooks_core::EnvelopeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ArrayElements<'a> {
    text: &'a [u8],
    /// The same, where it is UTF-8.
    utf8: Option<&'a str>,
    at: usize,
    state: State,
}

/// One element of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrayElement<'a> {
    /// Its beginning in the array's text, in bytes from 0.
    pub offset: usize,
    /// Its text, without the spaces around it.
    pub json: &'a [u8],
}

/// An element that was pushed, or the reason why it is no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedElement<'a> {
    /// The element.
    pub element: ArrayElement<'a>,
    /// The result, as [`SliceBuilder::push_json`] returns it.
    pub result: Result<(), EnvelopeError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was read.
    Begin,
    /// Between elements.
    Between,
    Ended,
}

impl<'a> ArrayElements<'a> {
    /// The elements of this text, which has to be one array.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, utf8: std::str::from_utf8(text).ok(), at: 0, state: State::Begin }
    }

    /// Cuts the next element and pushes it to the slice, in one pass where it is an event.
    ///
    /// ```
    /// use hooks_core::{envelope::ArrayElements, SliceBuilder};
    ///
    /// let mut slice = SliceBuilder::new("/my/service");
    /// let mut elements = ArrayElements::new(br#"[{"type":"a"}, 7]"#);
    /// assert!(elements.push_next(&mut slice).unwrap()?.result.is_ok());
    /// assert!(elements.push_next(&mut slice).unwrap()?.result.is_err());
    /// assert!(elements.push_next(&mut slice).is_none());
    /// assert_eq!(slice.len(), 1);
    /// # Ok::<(), hooks_core::EnvelopeError>(())
    /// ```
    pub fn push_next(&mut self, slice: &mut SliceBuilder) -> Option<Result<PushedElement<'a>, EnvelopeError>> {
        self.step(|elements| {
            let (text, offset) = (elements.text, elements.at);
            let pushed = elements.utf8.and_then(|text| slice.push_first(&text[offset..]).ok());
            if let Some(length) = pushed {
                elements.at += length;
                let element = ArrayElement { offset, json: &text[offset..offset + length] };
                return Ok(PushedElement { element, result: Ok(()) });
            }
            // The error is that of the element alone.
            let element = elements.element()?;
            Ok(PushedElement { element, result: slice.push_json(element.json) })
        })
    }

    /// Moves to the next element and takes it. `None` behind the last, and after an error.
    fn step<T>(
        &mut self,
        take: impl FnOnce(&mut Self) -> Result<T, EnvelopeError>,
    ) -> Option<Result<T, EnvelopeError>> {
        if self.state == State::Ended {
            return None;
        }
        let next = match self.is_at_next() {
            Ok(true) => Some(take(self)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        };
        if !matches!(next, Some(Ok(_))) {
            self.state = State::Ended;
        }
        next
    }

    /// Moves to the beginning of the next element. Returns false behind the last.
    fn is_at_next(&mut self) -> Result<bool, EnvelopeError> {
        self.space();
        if self.state == State::Begin {
            self.expect(b"[", "`[`, the beginning of an array")?;
            self.space();
            if self.peek() == Some(b']') {
                return self.end();
            }
        } else {
            if self.peek() == Some(b']') {
                return self.end();
            }
            self.expect(b",", "`,` or `]`")?;
            self.space();
        }
        self.state = State::Between;
        Ok(true)
    }

    fn end(&mut self) -> Result<bool, EnvelopeError> {
        self.at += 1;
        self.space();
        if self.at < self.text.len() { Err(self.fault("the end of the array")) } else { Ok(false) }
    }

    fn element(&mut self) -> Result<ArrayElement<'a>, EnvelopeError> {
        let offset = self.at;
        if !self.pass() {
            return Err(self.broken(offset));
        }
        let json = self.text[offset..self.at].trim_ascii_end();
        if json.is_empty() { Err(self.fault("a JSON value")) } else { Ok(ArrayElement { offset, json }) }
    }

    /// Moves behind the element that begins here. False where its brackets or quotes don't match, or there
    /// are too many of them.
    fn pass(&mut self) -> bool {
        // The open containers, the innermost in the lowest bit: 1 for an object.
        let (mut open, mut depth) = (0u128, 0);
        while let Some(byte) = self.peek() {
            match byte {
                b'"' if self.string() => continue,
                b'"' => return false,
                b'{' | b'[' if depth == MAX_DEPTH => return false,
                b'{' | b'[' => {
                    depth += 1;
                    open = open << 1 | u128::from(byte == b'{');
                }
                b'}' | b']' | b',' if depth == 0 => return true,
                b'}' | b']' if (byte == b'}') != (open & 1 == 1) => return false,
                b'}' | b']' => {
                    depth -= 1;
                    open >>= 1;
                }
                _ => {}
            }
            self.at += 1;
        }
        depth == 0
    }

    /// Moves behind a string. False where it has no end.
    fn string(&mut self) -> bool {
        self.at += 1;
        loop {
            let rest = &self.text[self.at..];
            let Some(next) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) else { return false };
            // A backslash takes the next byte with it.
            let escape = rest[next] == b'\\';
            self.at = (self.at + next + 1 + usize::from(escape)).min(self.text.len());
            if !escape {
                return true;
            }
        }
    }

    /// The error of an element that has no end: brackets alone don't tell.
    fn broken(&self, offset: usize) -> EnvelopeError {
        let rest = &self.text[offset..];
        let text = match std::str::from_utf8(rest) {
            Ok(text) => text,
            Err(error) => {
                let at = error.valid_up_to();
                return EnvelopeError::NotUtf8 { byte: rest[at], column: offset + at + 1 };
            }
        };
        let Fault { at, kind } = match scan_value(text) {
            Ok(end) => Fault { at: end, kind: FaultKind::Expected("`,` or `]`") },
            Err(fault) => fault,
        };
        let column = offset + at + 1;
        match kind {
            FaultKind::Expected(expected) => EnvelopeError::NotArray { expected, column },
            FaultKind::TooDeep => EnvelopeError::TooDeep { column },
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.iter().take_while(|byte| b" \t\n\r".contains(byte)).count();
    }

    fn expect(&mut self, byte: &[u8; 1], what: &'static str) -> Result<(), EnvelopeError> {
        if self.peek() != Some(byte[0]) {
            return Err(self.fault(what));
        }
        self.at += 1;
        Ok(())
    }

    fn fault(&self, expected: &'static str) -> EnvelopeError {
        EnvelopeError::NotArray { expected, column: self.at + 1 }
    }
}

impl<'a> Iterator for ArrayElements<'a> {
    type Item = Result<ArrayElement<'a>, EnvelopeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(Self::element)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn elements(text: &str) -> Result<Vec<&str>, usize> {
        ArrayElements::new(text.as_bytes())
            .map(|element| match element {
                Ok(element) => Ok(std::str::from_utf8(element.json).unwrap()),
                Err(EnvelopeError::NotArray { column, .. }) => Err(column),
                Err(other) => panic!("{other}"),
            })
            .collect()
    }

    #[test]
    fn elements_are_cut_where_they_end() {
        assert_eq!(elements("[]"), Ok(vec![]));
        assert_eq!(elements(" [ ] \n"), Ok(vec![]));
        assert_eq!(elements("[1,\"],\\\"\" , {\"a\":[{}]}\n]"), Ok(vec!["1", "\"],\\\"\"", "{\"a\":[{}]}"]));
    }

    #[test]
    fn what_holds_no_array_together_is_found_at_its_place() {
        for (text, column) in [
            ("", 1),
            ("{}", 1),
            ("[", 2),
            ("[1", 3),
            ("[1,", 4),
            ("[1,]", 4),
            ("[,1]", 2),
            ("[1 2]]", 6),
            ("[1]x", 4),
            ("[1}", 3),
        ] {
            assert_eq!(elements(text), Err(column), "{text}");
        }
    }

    #[test]
    fn an_element_without_an_end_is_said_as_what_it_is() {
        let deep = "[".repeat(MAX_DEPTH as usize + 2);
        for (text, said) in [
            ("[{\"a\":1", "not a JSON array: expected `,` or `}` at column 8"),
            ("[{\"a\":1]", "not a JSON array: expected `,` or `}` at column 8"),
            ("[{\"a\":[1", "not a JSON array: expected `,` or `]` at column 9"),
            ("[{]", "not a JSON array: expected a member name in quotes at column 3"),
            ("[0, {\"a", "not a JSON array: expected `\"`, the end of a string at column 8"),
            (
                "[{\"a\":\"b},\n{\"c\":\"d\"}]",
                "not a JSON array: expected no raw control character in a string at column 11",
            ),
            ("[\"\\", "not a JSON array: expected an escape that JSON knows behind `\\` at column 4"),
            ("[{} {", "not a JSON array: expected `,` or `]` at column 5"),
            (&deep, "nested deeper than 128 levels at column 129"),
        ] {
            let last = ArrayElements::new(text.as_bytes()).last().unwrap();
            assert_eq!(last.unwrap_err().to_string(), said, "{text}");
        }
        let last = ArrayElements::new(b"[{\"a\":\"\xff").last().unwrap();
        assert_eq!(last, Err(EnvelopeError::NotUtf8 { byte: 0xff, column: 8 }));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<i64>().prop_map(Value::from), ".{0,12}".prop_map(Value::from), Just(Value::Null)];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map(".{0,6}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_array_is_cut_as_serde_cuts_it(values in prop::collection::vec(json(), 0..8), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&values) } else { serde_json::to_string(&values) }.unwrap();
            let raw: Vec<&serde_json::value::RawValue> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(elements(&text), Ok(raw.iter().map(|raw| raw.get()).collect()));
        }

        /// Together with a check of every element, nothing passes that serde refuses.
        #[test]
        fn damaged_arrays_are_refused(values in prop::collection::vec(json(), 0..5), at: prop::sample::Index, byte in prop::sample::select(b"{}[],:\"\\0 x".to_vec())) {
            let mut text = serde_json::to_string(&values).unwrap().into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            let Ok(text) = String::from_utf8(text) else { return Ok(()) };
            let theirs = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(&text).is_ok();
            let ours = elements(&text).is_ok_and(|elements| {
                elements.iter().all(|element| serde_json::from_str::<&serde_json::value::RawValue>(element).is_ok())
            });
            prop_assert_eq!(ours, theirs, "{}", text);
        }

        /// Cutting and pushing in one pass is the same as one after the other.
        #[test]
        fn pushed_elements_are_those_that_are_cut(
            values in prop::collection::vec(prop_oneof![json(), Just(serde_json::json!({"type": "a", "id": "\u{e9}"}))], 0..6),
            pretty: bool, at: prop::sample::Index, byte in prop::sample::select(b"{}[],:\"\\0 x\xff".to_vec()), damaged: bool,
        ) {
            let text = if pretty { serde_json::to_string_pretty(&values) } else { serde_json::to_string(&values) }.unwrap();
            let mut text = text.into_bytes();
            let at = at.index(text.len());
            if damaged { text[at] = byte; }
            let (mut one, mut two) = (SliceBuilder::new("s").max_event_bytes(60), SliceBuilder::new("s").max_event_bytes(60));
            let mut elements = ArrayElements::new(&text);
            for element in ArrayElements::new(&text) {
                let want = element.map(|element| PushedElement { element, result: one.push_json(element.json) });
                let got = elements.push_next(&mut two);
                if got != Some(want.clone()) {
                    // An event ends where it ends, also where what follows is not JSON.
                    let Some(Ok(got)) = got else { panic!("{got:?} {want:?}") };
                    prop_assert!(got.result.is_ok() && damaged);
                    return Ok(());
                }
            }
            prop_assert!(elements.push_next(&mut two).is_none());
            prop_assert_eq!(one.len(), two.len());
        }

        #[test]
        fn any_bytes_get_an_answer(text: Vec<u8>) {
            prop_assert!(ArrayElements::new(&text).count() <= text.len() + 1);
        }
    }
}
