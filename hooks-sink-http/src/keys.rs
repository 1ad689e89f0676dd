//! The keys of Standard Webhooks 1.0.0, as text: `whsec_` (shared), `whsk_` (private), `whpk_` (public),
//! each followed by base64.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

/// Bytes of a shared secret.
const SHARED: RangeInclusive<usize> = 24..=64;

/// What a sender signs with.
pub(crate) enum SigningKey {
    /// HMAC-SHA256.
    V1(hmac::Key),
    /// ed25519.
    V1a(Ed25519KeyPair),
}

/// What a receiver verifies with.
pub(crate) enum VerifyingKey {
    V1(hmac::Key),
    V1a(UnparsedPublicKey<Vec<u8>>),
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
    STANDARD.decode(encoded).map_err(|_| format!("not a signing secret: expected {form}"))
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
