//! Keeps secrets out of what a receiver's answer shows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hooks_core::Secret;
use http::HeaderValue;
use url::{Url, form_urlencoded};

mod view;

use view::View;

/// Values shorter than this are no secrets, and masking them would garble ordinary answers.
const SHORTEST: usize = 8;

/// Most bytes of a header's value that are shown.
const SHOWN: usize = 200;

/// Secrets that were sent and must not be printed when a receiver echoes them.
#[derive(Default)]
pub(crate) struct Mask {
    secrets: Vec<Box<str>>,
    /// Access tokens, the latest first, each in its spellings.
    tokens: Vec<Vec<String>>,
}

/// Access tokens that are masked: one that was replaced may be echoed late.
const TOKENS: usize = 2;

impl Mask {
    /// For the values of these headers, these texts, and the path and query of this address, whole and in parts.
    pub(crate) fn new<'a>(headers: impl Iterator<Item = &'a HeaderValue>, texts: &'a [Secret], url: &'a Url) -> Self {
        let values = headers.filter_map(|value| value.to_str().ok());
        Self::of_texts(values.chain(parts(url.path(), url.query())).chain(texts.iter().map(Secret::expose)))
    }

    /// For these texts.
    pub(crate) fn of_texts<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let secrets = texts.flat_map(spellings).filter(|text| text.len() >= SHORTEST);
        let mut secrets: Vec<Box<str>> = secrets.map(Into::into).collect();
        // The longest first: a shorter one may be a part of it.
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self { secrets, tokens: Vec::new() }
    }

    /// Masks the access token that a header sends from now on.
    pub(crate) fn learn(&mut self, authorization: &HeaderValue) {
        let token = authorization.to_str().ok().and_then(|value| value.split_once(' '));
        let Some((_, token)) = token.filter(|(_, token)| token.len() >= SHORTEST) else { return };
        let token: Vec<_> = decodings(token).filter(|text| text.len() >= SHORTEST).collect();
        if self.tokens.first() != Some(&token) {
            self.tokens.insert(0, token);
            self.tokens.truncate(TOKENS);
        }
    }

    /// A text without secrets.
    fn hide(&self, text: String) -> String {
        let secrets = || self.secrets.iter().map(|secret| &**secret).chain(self.tokens.iter().flatten().map(|t| &**t));
        if secrets().next().is_none() {
            return text;
        }
        let views = View::all_of(&text);
        let mut places: Vec<_> =
            views.iter().flat_map(|view| secrets().flat_map(|secret| view.places(secret))).collect();
        places.sort_unstable_by_key(|place| place.start);
        let (mut hidden, mut shown_to) = (String::with_capacity(text.len()), 0);
        for place in places {
            // One may be a part of another, or overlap it.
            if place.start >= shown_to {
                hidden.push_str(&text[shown_to..place.start]);
                hidden.push_str("[secret]");
            }
            shown_to = shown_to.max(place.end);
        }
        hidden.push_str(&text[shown_to..]);
        hidden
    }

    /// The value of a header, fit to print.
    pub(crate) fn header(&self, value: &HeaderValue) -> String {
        if value.is_sensitive() { "[secret]".to_owned() } else { self.excerpt(value.as_bytes(), SHOWN) }
    }

    /// A body that is sent, fit to print on several lines.
    pub(crate) fn body(&self, body: &str) -> String {
        let body = self.hide(body.to_owned());
        body.chars().map(|char| if is_hidden_in_text(char) { ' ' } else { char }).collect()
    }

    /// The beginning of a text that somebody else wrote, fit to print: one line, at most `max` bytes and
    /// a mark where it was cut, without control characters and secrets.
    pub(crate) fn excerpt(&self, text: &[u8], max: usize) -> String {
        let text = self.hide(String::from_utf8_lossy(text).into_owned());
        let text = text.trim();
        let end = text.floor_char_boundary(max);
        let mut line: String = text[..end].chars().map(|char| if is_hidden(char) { ' ' } else { char }).collect();
        if end < text.len() {
            line.push('…');
        }
        line
    }
}

/// Control characters but line breaks and tabs.
fn is_hidden_in_text(char: char) -> bool {
    is_hidden(char) && !matches!(char, '\n' | '\t')
}

/// The path and the query of an address, whole and in parts.
pub(crate) fn parts<'a>(path: &'a str, query: Option<&'a str>) -> impl Iterator<Item = &'a str> {
    let pairs = query.into_iter().flat_map(|query| query.split('&'));
    let query = pairs.flat_map(|pair| [Some(pair), pair.split_once('=').map(|(_, value)| value)]);
    query.flatten().chain([path.trim_matches('/')]).chain(path.split('/'))
}

/// In which forms a value may be echoed: `Bearer abc` whole or as `abc`, basic credentials also in clear; each of them
/// as it is, and decoded. How that is escaped is seen to where it is looked for.
fn spellings(value: &str) -> Vec<String> {
    let mut plain = vec![value.to_owned()];
    if let Some((scheme, token)) = value.split_once(' ') {
        plain.push(token.to_owned());
        let basic = STANDARD.decode(token).ok().filter(|_| scheme == "Basic");
        if let Some(basic) = basic.and_then(|basic| String::from_utf8(basic).ok()) {
            plain.extend(basic.split_once(':').map(|(_, password)| password.to_owned()));
            plain.push(basic);
        }
    }
    plain.iter().flat_map(|text| decodings(text)).collect()
}

/// A text, and what it would be if it were encoded for an address or a form.
fn decodings(text: &str) -> impl Iterator<Item = String> {
    let of_form = text.replace('&', "%26").replace('=', "%3D");
    let decoded = [of_form.replace('+', "%2B"), of_form].map(|text| {
        let pair = form_urlencoded::parse(text.as_bytes()).next();
        pair.map(|(text, _)| text.into_owned())
    });
    [Some(text.to_owned())].into_iter().chain(decoded).flatten()
}

/// Control characters, and those that turn the direction of what follows or break a line.
fn is_hidden(char: char) -> bool {
    char.is_control() || matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mask() -> Mask {
        let headers = [HeaderValue::from_static("Bearer open-sesame"), HeaderValue::from_static("prod")];
        Mask::new(headers.iter(), &[], &Url::parse("https://example.com/?token=t0p-secret&n=1").unwrap())
    }

    #[test]
    fn an_echo_shows_no_secret() {
        let echo =
            br#"{"authorization":"Bearer open-sesame","t":"open-sesame","q":"?token=t0p-secret&n=1","env":"prod"}"#;
        let shown = mask().excerpt(echo, 1024);
        assert_eq!(shown, r#"{"authorization":"[secret]","t":"[secret]","q":"?[secret]&n=1","env":"prod"}"#);
    }

    #[test]
    fn a_path_is_masked_whole_and_in_parts() {
        let url = Url::parse("http://h/services/T0/B0/caf%C3%A9-sesame/in").unwrap();
        let mask = Mask::new([].into_iter(), &[], &url);
        for (echo, shown) in [
            ("no /services/T0/B0/caf%C3%A9-sesame/in here", "no /[secret] here"),
            ("no route services/T0/B0/café-sesame/in", "no route [secret]"),
            (r#"{"team":"T0","hook":"café-sesame","in":1}"#, r#"{"team":"T0","hook":"[secret]","in":1}"#),
        ] {
            assert_eq!(mask.excerpt(echo.as_bytes(), 99), shown);
        }
    }

    #[test]
    fn a_secret_is_masked_as_forms_and_json_write_it() {
        let mask = Mask::of_texts(["open sesame & \"1\"", "Basic bWU6b3BlbiUyNnNlc2FtZQ=="].into_iter());
        for echo in
            ["open+sesame+%26+%221%22", "open%20sesame%20%26%20%221%22", "open sesame & \\\"1\\\"", "open&sesame"]
        {
            assert_eq!(mask.excerpt(echo.as_bytes(), 99), "[secret]", "{echo}");
        }
    }

    #[test]
    fn a_secret_is_masked_however_it_is_escaped() {
        let mut mask = Mask::of_texts(["open/sesame/<&>/é😀"].into_iter());
        mask.learn(&HeaderValue::from_static("Bearer to+ken/one=="));
        for echo in [
            r"open\/sesame\/<&>\/\u00e9\ud83d\ude00",
            r"open/sesame/\u003c\u0026\u003e/é😀",
            r"open\u002Fsesame\u002F\u003C\u0026\u003E\u002F\u00E9\uD83D\uDE00",
            r"open\\\/sesame\\\/<&>\\\/\\u00e9😀",
            "open%2fsesame%2f%3c%26%3e%2f%c3%a9%f0%9f%98%80",
            r"open%2Fsesame%2F<\u0026>%2F\u00e9😀",
            r"to\u002Bken\/one==",
            "to%2bken%2fone%3d%3d",
            "to+ken%2Fone==",
        ] {
            assert_eq!(mask.excerpt(format!("a {echo}%2").as_bytes(), 99), "a [secret]%2", "{echo}");
        }
    }

    #[test]
    fn secrets_that_overlap_are_masked_as_one() {
        let mask = Mask::of_texts(["open-sesame", "sesame-street"].into_iter());
        assert_eq!(mask.excerpt(b"1 open-sesame-street 2", 99), "1 [secret] 2");
    }

    #[test]
    fn access_tokens_are_masked_as_they_come() {
        let mut mask = mask();
        for token in
            ["Bearer token-number-1", "Bearer token-number-1", "Bearer token-number-2", "Bearer token-number-3"]
        {
            mask.learn(&HeaderValue::from_static(token));
        }
        let shown = mask.excerpt(b"Bearer token-number-3, token-number-2, open-sesame", 99);
        assert_eq!(shown, "Bearer [secret], [secret], [secret]");
    }

    #[test]
    fn a_secret_at_the_cut_is_not_shown_in_part() {
        assert_eq!(mask().excerpt(b"is open-sesame", 8), "is [secr…");
    }

    #[test]
    fn one_line_without_control_characters() {
        assert_eq!(mask().excerpt(b" a\r\nb\x1b[31mc\0 \xff ", 99), "a  b [31mc  \u{fffd}");
        assert_eq!(mask().excerpt("a\u{202e}b".as_bytes(), 99), "a b");
        assert_eq!(mask().excerpt("ééé".as_bytes(), 3), "é…");
    }

    proptest! {
        #[test]
        fn always_short_and_printable(text in prop::collection::vec(any::<u8>(), 0..200), max in 0usize..64) {
            let line = mask().excerpt(&text, max);
            prop_assert!(line.len() <= max + '…'.len_utf8());
            prop_assert!(!line.chars().any(char::is_control));
        }

        #[test]
        fn any_escapes_are_read(text in r#"([%\\+u0-9a-fé"/😀]|%c3%a9|\\u00e9|\\ud83d|é{8})*"#) {
            let shown = Mask::of_texts(["éééééééé"].into_iter()).body(&text);
            prop_assert!(!shown.contains("éééééééé"));
        }
    }
}
