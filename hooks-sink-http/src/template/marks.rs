//! Marks around what is filled into JSON. Whether a text needs quotes of its own depends on where it stands, which is known
//! only when the whole result is there: a macro's result, say, comes to stand somewhere else.
//!
//! The marks are code points that Unicode keeps for a program's own use. Those of an event are written as escapes, and a
//! template has none.

use std::fmt::{self, Write};

const BEGIN: char = '\u{fdd0}';
const END: char = '\u{fdd1}';

/// Behind [`BEGIN`]: a text that is escaped and has no quotes, or whole JSON.
const TEXT: char = 't';
const JSON: char = 'j';

/// # Errors
/// When a template has such code points.
pub(super) fn refuse(template: &str) -> Result<(), String> {
    if template.contains([BEGIN, END]) { Err("it has a code point that is no character".to_owned()) } else { Ok(()) }
}

/// Writes a text that is escaped for JSON, without its quotes.
pub(super) fn text(out: &mut impl Write, escaped: &str) -> fmt::Result {
    marked(out, TEXT, escaped)
}

/// Writes a list or a table.
pub(super) fn json(out: &mut impl Write, json: &str) -> fmt::Result {
    marked(out, JSON, json)
}

fn marked(out: &mut impl Write, kind: char, json: &str) -> fmt::Result {
    out.write_char(BEGIN)?;
    out.write_char(kind)?;
    // They stand in strings only, where an escape means the same.
    let mut rest = json;
    while let Some(at) = rest.find([BEGIN, END]) {
        out.write_str(&rest[..at])?;
        out.write_str(if rest[at..].starts_with(BEGIN) { "\\ufdd0" } else { "\\ufdd1" })?;
        rest = &rest[at + BEGIN.len_utf8()..];
    }
    out.write_str(rest)?;
    out.write_char(END)
}

/// The result without marks: a text within quotes stays as it is, and gets quotes elsewhere; JSON within quotes becomes a
/// text. `None` where marks don't belong together.
pub(super) fn settle(marked: &str) -> Option<String> {
    let mut settled = String::with_capacity(marked.len());
    let (mut quotes, mut rest) = (Quotes::default(), marked);
    while let Some((before, behind)) = rest.split_once(BEGIN) {
        let (content, behind) = behind.split_once(END)?;
        quotes.follow(before);
        settled.push_str(before);
        let (kind, content) = content.split_at_checked(1)?;
        match (kind.starts_with(TEXT), quotes.are_open) {
            (true, true) | (false, false) => settled.push_str(content),
            (true, false) => settled.extend(["\"", content, "\""]),
            (false, true) => {
                let text = serde_json::Value::from(content).to_string();
                settled.push_str(&text[1..text.len() - 1]);
            }
        }
        rest = behind;
    }
    settled.push_str(rest);
    (!settled.contains([BEGIN, END])).then_some(settled)
}

/// Whether a place in JSON is within a string.
#[derive(Default)]
struct Quotes {
    are_open: bool,
    is_escaped: bool,
}

impl Quotes {
    fn follow(&mut self, json: &str) {
        for byte in json.bytes() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = self.are_open,
                b'"' => self.are_open = !self.are_open,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text_of(json: &str) -> String {
        let mut out = String::new();
        text(&mut out, json).unwrap();
        out
    }

    fn json_of(value: &str) -> String {
        let mut out = String::new();
        json(&mut out, value).unwrap();
        out
    }

    #[test]
    fn a_text_gets_quotes_where_it_has_none() {
        let marked = format!(
            r#"{{"a \"{}":{}, "b":"{}","c":{}}}"#,
            text_of("x"),
            text_of("y"),
            json_of("[\"z\"]"),
            json_of("[1]")
        );
        assert_eq!(settle(&marked).unwrap(), r#"{"a \"x":"y", "b":"[\"z\"]","c":[1]}"#);
    }

    #[test]
    fn marks_that_do_not_belong_together_are_no_result() {
        for marked in ["\u{fdd0}", "\u{fdd1}", "\u{fdd0}tx", "\u{fdd0}\u{fdd1}", "\u{fdd0}t\u{fdd0}tx\u{fdd1}\u{fdd1}"]
        {
            assert_eq!(settle(marked), None, "{marked:?}");
        }
    }

    proptest! {
        /// Whatever a text holds, it stays one text.
        #[test]
        fn a_text_stays_within_its_quotes(value in "[\u{fdd0}\u{fdd1}\"\\\\a{},\\n\u{e9}]{0,12}", is_quoted in any::<bool>()) {
            let quoted = serde_json::Value::from(value.as_str()).to_string();
            let marked = text_of(&quoted[1..quoted.len() - 1]);
            let whole = if is_quoted { format!("[1,\"-{marked}-\"]") } else { format!("[1,{marked}]") };
            let read: serde_json::Value = serde_json::from_str(&settle(&whole).unwrap()).unwrap();
            let expected = if is_quoted { format!("-{value}-") } else { value };
            prop_assert_eq!(read, serde_json::json!([1, expected]));
        }
    }
}
