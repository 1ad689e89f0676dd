//! A client's assertion: a JSON Web Token that it signs (RFC 7523, RFC 7518 for the names of algorithms).

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use serde_json::json;

/// An assertion is good for this long, in seconds: clocks differ.
const LASTS: u64 = 300;

/// The key that signs assertions.
pub(crate) enum AssertionKey {
    Secret(hmac::Key),
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
    P384(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl AssertionKey {
    pub(crate) fn of_secret(secret: &str) -> Self {
        Self::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    /// Reads a private key. The error says what is wrong and shows nothing of it.
    pub(crate) fn of_pem(text: &str) -> Result<Self, String> {
        let (label, der) = pem(text).ok_or("no private key in PEM: `-----BEGIN PRIVATE KEY-----` and base64")?;
        if label == "RSA PRIVATE KEY" {
            let key = RsaKeyPair::from_der(&der).map_err(|error| format!("not an RSA key that can sign ({error})"))?;
            return Ok(Self::Rsa(Box::new(key)));
        }
        if label != "PRIVATE KEY" {
            return Err(format!("a `{label}` can't be read: write it anew by `openssl pkcs8 -topk8 -nocrypt`"));
        }
        let random = SystemRandom::new();
        let ecdsa = |curve| EcdsaKeyPair::from_pkcs8(curve, &der, &random).ok().map(Box::new);
        RsaKeyPair::from_pkcs8(&der)
            .ok()
            .map(|key| Self::Rsa(Box::new(key)))
            .or_else(|| ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self::P256))
            .or_else(|| ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING).map(Self::P384))
            .or_else(|| Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok().map(Box::new).map(Self::Ed25519))
            .ok_or_else(|| "no key that can sign: RSA of 2048 bits or more, P-256, P-384 or Ed25519".to_owned())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Secret(_) => "HS256",
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    /// The assertion that this client asks this audience, made at this time. `None`: the system gives no random numbers.
    pub(super) fn assert(
        &self,
        client_id: &str,
        audience: &str,
        key_id: Option<&str>,
        now: SystemTime,
    ) -> Option<String> {
        let random = SystemRandom::new();
        let mut id = [0; 16];
        random.fill(&mut id).ok()?;
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut header = json!({ "alg": self.algorithm(), "typ": "JWT" });
        if let Some(key_id) = key_id {
            header["kid"] = key_id.into();
        }
        let claims = json!({
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "jti": URL_SAFE_NO_PAD.encode(id),
            "iat": seconds,
            "exp": seconds + LASTS,
        });
        let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = self.sign(message.as_bytes(), &random)?;
        Some(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn sign(&self, message: &[u8], random: &SystemRandom) -> Option<Vec<u8>> {
        match self {
            Self::Secret(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, random, message, &mut signature).ok()?;
                Some(signature)
            }
            Self::P256(key) | Self::P384(key) => Some(key.sign(random, message).ok()?.as_ref().to_vec()),
            Self::Ed25519(key) => Some(key.sign(message).as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm())
    }
}

/// The label and the content of the first private key in a text.
fn pem(text: &str) -> Option<(String, Vec<u8>)> {
    let mut lines = text.lines().map(str::trim);
    let label = lines.find_map(|line| {
        let label = line.strip_prefix("-----BEGIN ")?.strip_suffix("-----")?;
        label.ends_with("PRIVATE KEY").then(|| label.to_owned())
    })?;
    let end = format!("-----END {label}-----");
    let mut base64 = String::new();
    for line in lines {
        if line == end {
            return Some((label, STANDARD.decode(base64).ok()?));
        }
        base64.push_str(line);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};
    use serde_json::Value as Json;

    fn parts(assertion: &str) -> (Json, Json, String, Vec<u8>) {
        let parts: Vec<_> = assertion.split('.').collect();
        let json = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        (json(parts[0]), json(parts[1]), format!("{}.{}", parts[0], parts[1]), signature)
    }

    fn pem_of(label: &str, der: &[u8]) -> String {
        format!("some text\n-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    #[test]
    fn the_claims_of_rfc_7523() {
        let now = UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        let assertion = AssertionKey::of_secret("s3cret").assert("me", "https://as/token", Some("key-1"), now).unwrap();
        let (header, claims, message, signature) = parts(&assertion);
        assert_eq!(header, json!({ "alg": "HS256", "typ": "JWT", "kid": "key-1" }));
        let id = claims["jti"].as_str().unwrap();
        assert_eq!(
            claims,
            json!({ "iss": "me", "sub": "me", "aud": "https://as/token", "jti": id, "iat": 1_700_000_000, "exp": 1_700_000_300 })
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"s3cret");
        hmac::verify(&key, message.as_bytes(), &signature).unwrap();
        let again = AssertionKey::of_secret("s3cret").assert("me", "https://as/token", None, now).unwrap();
        assert_ne!(parts(&again).1["jti"], id, "each is for one use");
    }

    #[test]
    fn each_kind_of_key_signs() {
        let random = SystemRandom::new();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let public = |pem: &str| match AssertionKey::of_pem(pem).unwrap() {
            AssertionKey::P256(key) => ring::signature::KeyPair::public_key(&*key).as_ref().to_vec(),
            AssertionKey::Ed25519(key) => ring::signature::KeyPair::public_key(&*key).as_ref().to_vec(),
            other => panic!("{other:?}"),
        };
        let cases: [(_, _, &'static dyn VerificationAlgorithm); 2] =
            [(ec.as_ref(), "ES256", &ECDSA_P256_SHA256_FIXED), (ed.as_ref(), "EdDSA", &ED25519)];
        for (der, algorithm, verification) in cases {
            let pem = pem_of("PRIVATE KEY", der);
            let assertion = AssertionKey::of_pem(&pem).unwrap().assert("me", "as", None, SystemTime::now()).unwrap();
            let (header, _, message, signature) = parts(&assertion);
            assert_eq!(header, json!({ "alg": algorithm, "typ": "JWT" }));
            UnparsedPublicKey::new(verification, public(&pem)).verify(message.as_bytes(), &signature).unwrap();
        }
    }

    #[test]
    fn what_is_no_key_is_said() {
        for (text, why) in [
            ("open sesame".to_owned(), "no private key in PEM"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA".to_owned(), "no private key in PEM"),
            (pem_of("CERTIFICATE", b"x"), "no private key in PEM"),
            (pem_of("PRIVATE KEY", b"x"), "no key that can sign"),
            (pem_of("EC PRIVATE KEY", b"x"), "a `EC PRIVATE KEY` can't be read: write it anew by `openssl pkcs8"),
            (pem_of("RSA PRIVATE KEY", b"x"), "not an RSA key that can sign"),
        ] {
            let told = AssertionKey::of_pem(&text).unwrap_err();
            assert!(told.starts_with(why), "{told}");
        }
    }
}
