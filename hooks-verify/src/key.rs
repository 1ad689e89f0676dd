//! The keys of Standard Webhooks 1.0.0, as text: `whsec_` (shared), `whsk_` (private), `whpk_` (public),
//! each followed by base64.

use std::fmt;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::signature::Ed25519KeyPair;

/// Bytes of a shared secret.
const SHARED: RangeInclusive<usize> = 24..=64;

/// A key of Standard Webhooks, as bytes. `Debug` does not show them.
///
/// ```
/// use hooks_verify::Key;
///
/// assert!(matches!(Key::parse("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"), Ok(Key::Shared(_))));
/// assert!(Key::parse("open sesame").is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Key {
    /// `whsec_`: both sides sign and verify with it, by HMAC-SHA256. 24 to 64 bytes.
    Shared(Vec<u8>),
    /// `whsk_`: senders sign with it, by ed25519.
    Private {
        /// The private half, 32 bytes.
        seed: Vec<u8>,
        /// The public half, 32 bytes, which belongs to the private one.
        public: Vec<u8>,
    },
    /// `whpk_`: receivers verify with it. 32 bytes.
    Public(Vec<u8>),
}

impl Key {
    /// `whsec_` and base64 of 24 to 64 bytes (the prefix may be missing), `whsk_` and base64 of 64 bytes, private then
    /// public, or `whpk_` and base64 of 32 bytes.
    ///
    /// # Errors
    /// What is wrong with it, without showing any of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(encoded) = text.strip_prefix("whpk_") {
            let form = "`whpk_` and base64 of 32 bytes";
            let bytes = decode(encoded, form)?;
            return match bytes.len() {
                32 => Ok(Self::Public(bytes)),
                length => Err(format!("the key is {length} bytes long: expected {form}")),
            };
        }
        match text.strip_prefix("whsk_") {
            Some(encoded) => pair(encoded),
            None => shared(text),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Shared(_) => "Shared",
            Self::Private { .. } => "Private",
            Self::Public(_) => "Public",
        };
        f.debug_struct(kind).finish_non_exhaustive()
    }
}

fn shared(secret: &str) -> Result<Key, String> {
    let form = "`whsec_` and base64 of 24 to 64 bytes";
    let bytes = decode(secret.strip_prefix("whsec_").unwrap_or(secret), form)?;
    if !SHARED.contains(&bytes.len()) {
        return Err(format!("the secret is {} bytes long: expected {form}", bytes.len()));
    }
    Ok(Key::Shared(bytes))
}

fn pair(encoded: &str) -> Result<Key, String> {
    let form = "`whsk_` and base64 of 64 bytes, the private key and then the public one";
    let bytes = decode(encoded, form)?;
    let Some((seed, public)) = bytes.split_at_checked(32).filter(|_| bytes.len() == 64) else {
        return Err(format!("the key is {} bytes long: expected {form}", bytes.len()));
    };
    Ed25519KeyPair::from_seed_and_public_key(seed, public)
        .map_err(|_| format!("the two halves of the key don't belong together: expected {form}"))?;
    Ok(Key::Private { seed: seed.to_vec(), public: public.to_vec() })
}

fn decode(encoded: &str, form: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(encoded).map_err(|_| format!("{}: expected {form}", why_not(encoded)))
}

/// The fault of a key, as precisely as can be told without showing any of it.
fn why_not(encoded: &str) -> &'static str {
    let undone = |fits: bool, text: &str| fits && STANDARD_NO_PAD.decode(text).is_ok();
    let bare = encoded.trim_end_matches('=');
    let standard = bare.replace('-', "+").replace('_', "/");
    if encoded.starts_with('\u{feff}') {
        "it begins with a byte order mark: save it as UTF-8 without one"
    } else if undone(encoded.trim() != encoded, encoded.trim().trim_end_matches('=')) {
        "spaces or line breaks stand around it: remove them"
    } else if undone(standard != bare, &standard) {
        "it is in the URL-safe alphabet, with `-` and `_`: write it in the standard one, with `+` and `/`"
    } else if undone(true, bare) {
        "its padding is cut off or too long: its length, with the `=` at its end, is a multiple of 4"
    } else {
        "not a signing secret"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(prefix: &str, bytes: usize) -> String {
        format!("{prefix}{}", STANDARD.encode(vec![7u8; bytes]))
    }

    fn refused(secret: &str) -> String {
        match Key::parse(secret) {
            Ok(_) => panic!("{secret} was taken"),
            Err(error) => error,
        }
    }

    #[test]
    fn secrets_that_are_none() {
        for bytes in [24, 32, 64] {
            assert!(Key::parse(&text("whsec_", bytes)).is_ok(), "{bytes}");
            assert!(Key::parse(&text("", bytes)).is_ok(), "{bytes}");
        }
        let wrong = [text("whsec_", 0), text("whsec_", 23), text("whsec_", 65), text("", 23)];
        let nonsense = ["", "whsec_", "open sesame", "whsec_é"].map(str::to_owned);
        for bad in wrong.into_iter().chain(nonsense) {
            let error = refused(&bad);
            assert!(error.contains("24 to 64 bytes"), "{error}");
            assert!(bad.len() < 7 || !error.contains(&bad), "{error}");
        }
    }

    #[test]
    fn near_misses_are_named() {
        let good = STANDARD.encode([0xfb; 25]);
        assert!(good.ends_with("==") && good.contains('+'), "{good}");
        let urlsafe = good.replace('+', "-").replace('/', "_");
        for (bad, part) in [
            (good.trim_end_matches('=').to_owned(), "padding"),
            (good.trim_end_matches('=').to_owned() + "=", "padding"),
            (good.clone() + "=", "padding"),
            (urlsafe.clone(), "URL-safe"),
            (urlsafe.trim_end_matches('=').to_owned(), "URL-safe"),
            (good.clone() + "\n", "line breaks"),
            (format!(" {good}"), "spaces"),
        ] {
            for prefix in ["whsec_", ""] {
                let error = refused(&format!("{prefix}{bad}"));
                assert!(error.contains(part) && error.contains("24 to 64 bytes"), "{bad:?}: {error}");
                assert!(!error.contains(bad.trim().trim_end_matches('=')), "{error}");
            }
        }
        assert!(refused(&format!("\u{feff}{good}")).contains("byte order mark"));
        assert!(refused(&format!("\u{feff}whsec_{good}")).contains("byte order mark"));
        let pair = text("whsk_", 64);
        assert!(refused(pair.trim_end_matches('=')).contains("padding"));
        let public = text("whpk_", 32);
        let error = Key::parse(public.trim_end_matches('=')).err().unwrap();
        assert!(error.contains("padding") && error.contains("whpk_"), "{error}");
    }

    #[test]
    fn private_keys_that_are_none() {
        for bytes in [0, 32, 63, 65] {
            assert!(refused(&text("whsk_", bytes)).contains("64 bytes"), "{bytes}");
        }
        assert!(refused(&text("whsk_", 64)).contains("don't belong together"));
        assert!(refused("whsk_!").contains("64 bytes"));
    }

    #[test]
    fn a_public_key_has_32_bytes() {
        assert!(matches!(Key::parse(&text("whpk_", 32)), Ok(Key::Public(_))));
        assert!(refused(&text("whpk_", 31)).contains("32 bytes"));
    }

    #[test]
    fn no_key_is_shown() {
        let key = Key::parse(&text("whsec_", 32)).unwrap();
        assert_eq!(format!("{key:?}"), "Shared { .. }");
    }
}
