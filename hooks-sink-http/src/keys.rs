//! The keys of Standard Webhooks 1.0.0, as text: `whsec_` (shared), `whsk_` (private), `whpk_` (public),
//! each followed by base64.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hooks_core::Secret;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

/// Bytes of a shared secret.
const SHARED: RangeInclusive<usize> = 24..=64;

/// The key that a sender signs with.
pub(crate) enum SigningKey {
    /// HMAC-SHA256.
    V1(hmac::Key),
    /// ed25519.
    V1a(Ed25519KeyPair),
}

/// The key that a receiver verifies with.
pub(crate) enum VerifyingKey {
    V1(hmac::Key),
    V1a(UnparsedPublicKey<Vec<u8>>),
}

/// A new secret for a hook and its receiver: `whsec_` and base64 of 32 random bytes of the operating system, as Standard
/// Webhooks asks for.
///
/// # Errors
/// When the operating system gives no random bytes.
///
/// ```
/// use hooks_sink_http::{HttpConfig, new_secret};
///
/// let secret = new_secret()?;
/// let sink = HttpConfig::new("https://example.com/hooks").secret(secret.expose());
/// assert!(secret.expose().starts_with("whsec_"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn new_secret() -> std::io::Result<Secret> {
    let random = ring::rand::generate::<[u8; 32]>(&SystemRandom::new());
    let random = random.map_err(|_| std::io::Error::other("the operating system gives no random bytes"))?;
    Ok(Secret::new(format!("whsec_{}", STANDARD.encode(random.expose()))))
}

impl SigningKey {
    /// `whsec_` and base64 of 24 to 64 bytes (the prefix may be missing), or `whsk_` and base64 of 64
    /// bytes, private then public. The error never shows the secret.
    pub(crate) fn parse(secret: &str) -> Result<Self, String> {
        if secret.starts_with("whpk_") {
            return Err("`whpk_` is a public key, which only verifies: sign with the `whsk_` that belongs to it".into());
        }
        match secret.strip_prefix("whsk_") {
            Some(encoded) => pair(encoded).map(Self::V1a),
            None => shared(secret).map(Self::V1),
        }
    }
}

impl VerifyingKey {
    /// As for signing, and `whpk_` with base64 of 32 bytes.
    pub(crate) fn parse(key: &str) -> Result<Self, String> {
        if let Some(encoded) = key.strip_prefix("whpk_") {
            let form = "`whpk_` and base64 of 32 bytes";
            let bytes = decode(encoded, form)?;
            return match bytes.len() {
                32 => Ok(Self::V1a(UnparsedPublicKey::new(&ED25519, bytes))),
                length => Err(format!("the key is {length} bytes long: expected {form}")),
            };
        }
        match SigningKey::parse(key)? {
            SigningKey::V1(key) => Ok(Self::V1(key)),
            SigningKey::V1a(pair) => {
                Ok(Self::V1a(UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref().to_vec())))
            }
        }
    }
}

fn shared(secret: &str) -> Result<hmac::Key, String> {
    let form = "`whsec_` and base64 of 24 to 64 bytes";
    let bytes = decode(secret.strip_prefix("whsec_").unwrap_or(secret), form)?;
    if !SHARED.contains(&bytes.len()) {
        return Err(format!("the secret is {} bytes long: expected {form}", bytes.len()));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn pair(encoded: &str) -> Result<Ed25519KeyPair, String> {
    let form = "`whsk_` and base64 of 64 bytes, the private key and then the public one";
    let bytes = decode(encoded, form)?;
    let Some((private, public)) = bytes.split_at_checked(32).filter(|_| bytes.len() == 64) else {
        return Err(format!("the key is {} bytes long: expected {form}", bytes.len()));
    };
    Ed25519KeyPair::from_seed_and_public_key(private, public)
        .map_err(|_| format!("the two halves of the key don't belong together: expected {form}"))
}

fn decode(encoded: &str, form: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(encoded).map_err(|_| format!("{}: expected {form}", why_not(encoded)))
}

/// The fault of a key, as precisely as can be told without showing any of it.
fn why_not(encoded: &str) -> &'static str {
    let undone = |fits: bool, text: &str| fits && STANDARD_NO_PAD.decode(text).is_ok();
    let bare = encoded.trim_end_matches('=');
    let standard = bare.replace('-', "+").replace('_', "/");
    if let Err(why) = hooks_core::secret::without_mark(encoded.as_bytes()) {
        why
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
        match SigningKey::parse(secret) {
            Ok(_) => panic!("{secret} was taken"),
            Err(error) => error,
        }
    }

    #[test]
    fn a_new_secret_signs_and_is_like_no_other() {
        let [one, other] = [new_secret().unwrap(), new_secret().unwrap()];
        assert!(matches!(SigningKey::parse(one.expose()), Ok(SigningKey::V1(_))));
        assert_ne!(one.expose(), other.expose());
    }

    #[test]
    fn secrets_that_are_none() {
        for bytes in [24, 32, 64] {
            assert!(SigningKey::parse(&text("whsec_", bytes)).is_ok(), "{bytes}");
            assert!(SigningKey::parse(&text("", bytes)).is_ok(), "{bytes}");
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
        let error = VerifyingKey::parse(public.trim_end_matches('=')).err().unwrap();
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
    fn a_public_key_verifies_only() {
        assert!(refused(&text("whpk_", 32)).contains("whsk_"));
        assert!(VerifyingKey::parse(&text("whpk_", 32)).is_ok());
        assert!(VerifyingKey::parse(&text("whpk_", 31)).is_err_and(|error| error.contains("32 bytes")));
    }
}
