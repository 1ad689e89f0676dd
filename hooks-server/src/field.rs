//! Parses values of HTTP fields: lists, and strings in quotes (RFC 9110, §5.3 and §5.6).

use std::borrow::Cow;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

/// The elements of a field that is a list, of all lines that it stands on.
pub(crate) fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).iter().flat_map(elements)
}

/// A value that is no text is an element that nobody knows.
fn elements(value: &HeaderValue) -> impl Iterator<Item = &str> {
    split(value.to_str().unwrap_or("?"), ',').filter(|element| !element.is_empty())
}

/// The parts between separators that are not in quotes, without the spaces around them.
pub fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let ends = move |char| {
        let ends = char == separator && !quoted;
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        ends
    };
    text.split(ends).map(str::trim)
}

/// A value, or what is meant by one that is a string in quotes. `None` where quotes begin it and do not end it.
pub(crate) fn unquote(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(quoted) = value.strip_prefix(b"\"") else { return Some(Cow::Borrowed(value)) };
    let mut plain = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return bytes.as_slice().is_empty().then_some(Cow::Owned(plain)),
            b'\\' => plain.push(*bytes.next()?),
            _ => plain.push(*byte),
        }
    }
    None
}

/// True if it is a token: what names of fields and both parts of a media type are made of.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::ACCEPT;

    #[test]
    fn separators_in_quotes_separate_nothing() {
        for (text, parts) in [
            ("a;b ; c", vec!["a", "b", "c"]),
            (r#"a; x="1;2" ;y"#, vec!["a", r#"x="1;2""#, "y"]),
            (r#"a; x="\";\\"; y"#, vec!["a", r#"x="\";\\""#, "y"]),
            (r#"a\"; b"#, vec![r#"a\"; b"#]),
            ("", vec![""]),
            (";", vec!["", ""]),
        ] {
            assert_eq!(split(text, ';').collect::<Vec<_>>(), parts, "{text}");
        }
    }

    #[test]
    fn quotes_are_undone_where_they_are_around_a_value() {
        for (value, plain) in [
            ("a", Some("a")),
            ("", Some("")),
            (r#""""#, Some("")),
            (r#""a b""#, Some("a b")),
            (r#""\"a\\\b""#, Some(r#""a\b"#)),
            (r#"a"b""#, Some(r#"a"b""#)),
            (r#"""#, None),
            (r#""a"#, None),
            (r#""a\""#, None),
            (r#""a"b"#, None),
        ] {
            assert_eq!(unquote(value.as_bytes()).as_deref(), plain.map(str::as_bytes), "{value}");
        }
    }

    #[test]
    fn a_list_may_stand_on_several_lines() {
        let mut headers = HeaderMap::new();
        for value in [&b"a, b"[..], b"", b" ,c,", b"\xff"] {
            headers.append(ACCEPT, HeaderValue::from_bytes(value).unwrap());
        }
        assert_eq!(list(&headers, ACCEPT).collect::<Vec<_>>(), ["a", "b", "c", "?"]);
    }
}
