//! Authenticates publishers by tokens.

use hooks_core::Secret;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use subtle::{Choice, ConstantTimeEq as _};

/// The tokens that are good now. While one token takes the place of another, both are.
#[derive(Debug, Clone)]
pub struct Tokens(Vec<Secret>);

impl Tokens {
    /// Takes them from a text, a line each.
    ///
    /// # Errors
    /// When the text has something else in it, or no token. The error quotes nothing of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let mut tokens = Vec::new();
        for (number, token) in lines.filter(|(_, line)| !line.is_empty()) {
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(format!("line {number}: a token has visible ASCII characters only, without spaces"));
            }
            tokens.push(Secret::new(token));
        }
        if tokens.is_empty() { Err("there is no token in it".to_owned()) } else { Ok(Self(tokens)) }
    }

    /// True if a request has one. Takes as long for a wrong token as for a right one of the same length.
    pub(crate) fn allow(&self, headers: &HeaderMap) -> bool {
        // Of two, a proxy in between may have looked at the other.
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(given), None) = (given.next().and_then(bearer), given.next()) else { return false };
        let known = self.0.iter().map(|token| token.expose().as_bytes().ct_eq(given));
        known.fold(Choice::from(0), |any, equal| any | equal).into()
    }
}

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(tokens: &Tokens, value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        tokens.allow(&headers)
    }

    #[test]
    fn only_whole_tokens_open() {
        let tokens = Tokens::parse("old-token\n\n  new-token\r\n").unwrap();
        for good in ["Bearer old-token", "bearer new-token", "BEARER   new-token "] {
            assert!(allows(&tokens, good), "{good}");
        }
        for bad in ["", "Bearer", "Bearer ", "Bearer new-toke", "Bearer new-token1", "Basic old-token", "old-token"] {
            assert!(!allows(&tokens, bad), "{bad}");
        }
        assert!(!tokens.allow(&HeaderMap::new()));
        let mut twice = HeaderMap::new();
        for value in ["Bearer old-token", "Bearer x"] {
            twice.append(AUTHORIZATION, value.parse().unwrap());
        }
        assert!(!tokens.allow(&twice));
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
