//! Keeps secrets out of what a receiver's answer shows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hooks_core::Secret;
use http::HeaderValue;
use url::Url;

/// Values shorter than this are no secrets, and masking them would garble ordinary answers.
const SHORTEST: usize = 8;

/// Parts of a path that are as long as this may be secrets; shorter ones are names.
const LONG_PART: usize = 16;

/// Most bytes of a header's value that are shown.
const SHOWN: usize = 200;

/// Secrets that were sent and must not be printed when a receiver echoes them.
#[derive(Default)]
pub(crate) struct Mask {
    secrets: Vec<Box<str>>,
    /// Access tokens, the latest first.
    tokens: Vec<Box<str>>,
}

/// Access tokens that are masked: one that was replaced may be echoed late.
const TOKENS: usize = 2;

impl Mask {
    /// For the values of these headers, these texts, and the query of this address and long parts of its path.
    pub(crate) fn new<'a>(headers: impl Iterator<Item = &'a HeaderValue>, texts: &[Secret], url: &Url) -> Self {
        let values = headers.filter_map(|value| value.to_str().ok()).flat_map(spellings);
        let query = url.query().into_iter().flat_map(|query| query.split('&'));
        let query = query.flat_map(|pair| [Some(pair), pair.split_once('=').map(|(_, value)| value)]);
        let path = url.path_segments().into_iter().flatten().filter(|part| part.len() >= LONG_PART);
        let mut secrets: Vec<Box<str>> = values
            .chain(query.flatten().chain(path).map(str::to_owned))
            .chain(texts.iter().map(|text| text.expose().to_owned()))
            .filter(|text| text.len() >= SHORTEST)
            .map(Into::into)
            .collect();
        // The longest first: a shorter one may be a part of it.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self { secrets, tokens: Vec::new() }
    }

    /// For these texts.
    pub(crate) fn of_texts(texts: [&str; 2]) -> Self {
        let secrets = texts.into_iter().flat_map(spellings).filter(|text| text.len() >= SHORTEST);
        Self { secrets: secrets.map(Into::into).collect(), tokens: Vec::new() }
    }

    /// Masks the access token that a header sends from now on.
    pub(crate) fn learn(&mut self, authorization: &HeaderValue) {
        let token = authorization.to_str().ok().and_then(|value| value.split_once(' '));
        let Some((_, token)) = token.filter(|(_, token)| token.len() >= SHORTEST) else { return };
        if self.tokens.first().is_none_or(|known| **known != *token) {
            self.tokens.insert(0, token.into());
            self.tokens.truncate(TOKENS);
        }
    }

    /// A text without secrets.
    fn hide(&self, mut text: String) -> String {
        for secret in self.secrets.iter().chain(&self.tokens) {
            if text.contains(&**secret) {
                text = text.replace(&**secret, "[secret]");
            }
        }
        text
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

/// In which forms a value may be echoed: `Bearer abc` whole or as `abc`, basic credentials also in clear.
fn spellings(value: &str) -> Vec<String> {
    let mut spellings = vec![value.to_owned()];
    let Some((scheme, token)) = value.split_once(' ') else { return spellings };
    spellings.push(token.to_owned());
    let plain =
        STANDARD.decode(token).ok().filter(|_| scheme == "Basic").and_then(|plain| String::from_utf8(plain).ok());
    if let Some(plain) = plain {
        spellings.extend(plain.split_once(':').map(|(_, password)| password.to_owned()));
        spellings.push(plain);
    }
    spellings
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
    }
}
