//! Who sends a request, by its token.

use std::collections::HashMap;
use std::fmt;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use ring::hmac;

use crate::{Access, Keys, Right};

/// A token under a key that nobody knows.
type Digest = [u8; 32];

/// The tokens that are good now, and what each allows. While one token takes the place of another, both are.
///
/// A token is looked up by its HMAC under a random key of this process: that takes as long for a wrong one as for a right
/// one, reveals neither a part nor the length of any, and costs the same for one token and for 10,000 (about 1 µs).
#[derive(Clone)]
pub struct Tokens {
    key: hmac::Key,
    known: HashMap<Digest, Access>,
}

impl Tokens {
    /// Takes tokens of publishers from a text, a line each.
    ///
    /// # Errors
    /// When the text has something else in it, or no token. The error quotes nothing of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Self::none()?;
        tokens.add(text, &Access::new([Right::Publish], None))?;
        Ok(tokens)
    }

    /// No token yet.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn none() -> Result<Self, String> {
        let key = Keys::random()?.derive("digests of tokens").next().unwrap_or_default();
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), known: HashMap::new() })
    }

    /// Adds the tokens of a text, a line each, which allow this.
    ///
    /// # Errors
    /// When the text has something else in it, no token, or one that allows something else already. The error quotes
    /// nothing of it.
    pub fn add(&mut self, text: &str, access: &Access) -> Result<(), String> {
        let lines = (1..).zip(text.lines()).map(|(number, line)| (number, line.trim()));
        let mut any = false;
        for (number, token) in lines.filter(|(_, line)| !line.is_empty()) {
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(format!("line {number}: a token has visible ASCII characters only, without spaces"));
            }
            let before = self.known.insert(self.digest(token.as_bytes()), access.clone());
            if before.is_some_and(|before| before != *access) {
                return Err(format!(
                    "line {number}: this token stands elsewhere, too, and may do something else there"
                ));
            }
            any = true;
        }
        if any { Ok(()) } else { Err("there is no token in it".to_owned()) }
    }

    /// True if some token may read: reading takes one then.
    pub(crate) fn has_readers(&self) -> bool {
        self.known.values().any(|access| access.may(Right::Read))
    }

    /// What a token allows.
    pub(crate) fn find(&self, token: &[u8]) -> Option<&Access> {
        self.known.get(&self.digest(token))
    }

    fn digest(&self, token: &[u8]) -> Digest {
        let mut digest = Digest::default();
        digest.copy_from_slice(hmac::sign(&self.key, token).as_ref());
        digest
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.known.len())
    }
}

/// The token of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given<'a> {
    Nothing,
    Token(&'a [u8]),
    /// Something else. Of two headers, a proxy in between may have looked at the other.
    Unclear,
}

impl<'a> Given<'a> {
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        match (given.next(), given.next()) {
            (None, _) => Self::Nothing,
            (Some(value), None) => bearer(value).map_or(Self::Unclear, Self::Token),
            (Some(_), Some(_)) => Self::Unclear,
        }
    }
}

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(tokens: &Tokens, values: &[&str]) -> bool {
        let values = values.iter().map(|value| (AUTHORIZATION, value.parse().unwrap()));
        let headers: HeaderMap = values.collect();
        matches!(Given::of(&headers), Given::Token(token) if tokens.find(token).is_some())
    }

    #[test]
    fn only_whole_tokens_open() {
        let tokens = Tokens::parse("old-token\n\n  new-token\r\n").unwrap();
        for good in ["Bearer old-token", "bearer new-token", "BEARER   new-token "] {
            assert!(allows(&tokens, &[good]), "{good}");
        }
        for bad in ["", "Bearer", "Bearer ", "Bearer new-toke", "Bearer new-token1", "Basic old-token", "old-token"] {
            assert!(!allows(&tokens, &[bad]), "{bad}");
        }
        assert!(!allows(&tokens, &[]) && !allows(&tokens, &["Bearer x", "Bearer old-token"]));
    }

    #[test]
    fn a_token_allows_one_thing() {
        let mut tokens = Tokens::parse("a\na").unwrap();
        let read = Access::new([Right::Read], None);
        assert!(!tokens.has_readers());
        tokens.add("b", &read).unwrap();
        assert_eq!((tokens.find(b"b"), tokens.has_readers()), (Some(&read), true));
        assert!(tokens.add("c\na", &read).unwrap_err().starts_with("line 2: this token stands elsewhere"));
    }

    #[test]
    fn what_holds_no_token_is_refused_without_being_quoted() {
        for (text, expected) in
            [("", "there is no token in it"), (" \n", "there is no token"), ("a\nb hunter2", "line 2: ")]
        {
            let error = Tokens::parse(text).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains("hunter2"), "{error}");
        }
        assert!(!format!("{:?}", Tokens::parse("hunter2").unwrap()).contains("hunter2"));
    }
}
