//! The members of an event, one after the other. The event was checked before, so this looks for the ends of values only.

use memchr::memchr2;

/// Name and raw JSON value of each member. What `data` holds is not looked into: its place is known.
#[derive(Debug, Clone)]
pub(super) struct Members<'a> {
    text: &'a str,
    at: usize,
    /// Where `data` begins and ends.
    data: Option<(usize, usize)>,
}

impl<'a> Members<'a> {
    /// Those of a whole event, whose `data` stands there.
    pub(super) fn new(text: &'a str, data: Option<(usize, usize)>) -> Self {
        Self { text, at: 0, data }
    }

    /// The end of the value that begins here.
    fn end(&self, start: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        match (self.data, bytes.get(start)?) {
            (Some((data, end)), _) if data == start => Some(end),
            (_, b'"') => string_end(bytes, start),
            // A number, a boolean or null: no attribute is a list or a table.
            _ => {
                let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b' ' | b'\t');
                bytes[start..].iter().position(is_end).map(|length| start + length)
            }
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        // In front of a name there are a bracket or a comma, and spaces.
        let name = self.at + quote(&bytes[self.at..])? + 1;
        let name_end = name + quote(&bytes[name..])?;
        let is_between = |byte: &u8| matches!(byte, b':' | b' ' | b'\t');
        let behind = name_end + 1;
        let start = behind + bytes[behind..].iter().position(|byte| !is_between(byte))?;
        let end = self.end(start)?;
        self.at = end;
        Some((&self.text[name..name_end], &self.text[start..end]))
    }
}

/// The place of the first quote. It is near, so that a search for far ones would take longer.
fn quote(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'"')
}

/// The place behind a string's closing quote.
fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes[at] {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::envelope::Envelope;

    fn members(json: &str) -> Vec<(String, String)> {
        let event = Envelope::from_json(json.as_bytes()).unwrap();
        event.members().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// serde_json finds the same ones, at the same places.
    #[test]
    fn each_member_is_found_with_its_value_as_it_stands() {
        for json in [
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2026-11-23T10:00:00Z"}"#,
            r#" { "specversion" : "1.0" , "id":"a\"}\\" ,"source":"/s","type":"t","time":"2026-11-23T10:00:00Z" , "data" : {"id":["}",{"a":"\\"}]} , "n" : 7 , "b":true,"x":null } "#,
            r#"{"data":"a,b}","specversion":"1.0","id":"1","source":"/s","type":"t","time":"2026-11-23T10:00:00Z","z":"é"}"#,
            r#"{"data_base64":"aGVsbG8\/","specversion":"1.0","id":"\u00e9","source":"/s","type":"t","time":"2026-11-23T10:00:00Z","n":-1}"#,
            r#"{"data":null,"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2026-11-23T10:00:00Z","subject":null}"#,
        ] {
            let event = Envelope::from_json(json.as_bytes()).unwrap();
            let read: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
                serde_json::from_str(event.json()).unwrap();
            let mut found = members(json);
            assert_eq!(found.iter().find(|(name, _)| name == "data").map(|(_, data)| data.as_str()), event.data());
            found.sort();
            let expected: Vec<_> = read.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect();
            assert_eq!(found, expected, "{json}");
        }
    }
}
