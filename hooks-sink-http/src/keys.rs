//! The keys that a sender signs with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hooks_core::Secret;
use hooks_verify::Key;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;

/// The key that a sender signs with.
pub(crate) enum SigningKey {
    /// HMAC-SHA256.
    V1(hmac::Key),
    /// ed25519.
    V1a(Ed25519KeyPair),
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
    /// A shared or a private key, as [`Key::parse`] reads it. The error never shows the secret.
    pub(crate) fn parse(secret: &str) -> Result<Self, String> {
        let only_verifies = "`whpk_` is a public key, which only verifies: sign with the `whsk_` that belongs to it";
        if secret.starts_with("whpk_") {
            return Err(only_verifies.into());
        }
        match Key::parse(secret)? {
            Key::Shared(bytes) => Ok(Self::V1(hmac::Key::new(hmac::HMAC_SHA256, &bytes))),
            Key::Private { seed, public } => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(&seed, &public);
                pair.map(Self::V1a).map_err(|error| error.to_string())
            }
            _ => Err(only_verifies.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_secret_signs_and_is_like_no_other() {
        let [one, other] = [new_secret().unwrap(), new_secret().unwrap()];
        assert!(matches!(SigningKey::parse(one.expose()), Ok(SigningKey::V1(_))));
        assert_ne!(one.expose(), other.expose());
    }

    #[test]
    fn a_public_key_verifies_only() {
        let public = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
        assert!(SigningKey::parse(public).is_err_and(|error| error.contains("whsk_")));
    }
}
