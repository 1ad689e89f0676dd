//! Signatures: Standard Webhooks 1.0.0 (v1), and a plain HMAC of the body in a header.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use ring::hmac;

/// Where Standard Webhooks puts its signatures.
pub(crate) const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The keys of one hook, ready to use.
#[derive(Default)]
pub(crate) struct Signer {
    /// One per secret; during a rotation there are several.
    pub(crate) standard: Vec<hmac::Key>,
    /// The header that the operator named, and its key.
    pub(crate) plain: Option<(HeaderName, hmac::Key)>,
}

impl Signer {
    /// The headers that sign these bytes, sent under this id at this time (Unix seconds).
    pub(crate) fn sign(
        &self,
        id: &str,
        timestamp: u64,
        body: &[u8],
    ) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let standard = (!self.standard.is_empty()).then(|| (SIGNATURE, ascii(&self.standard(id, timestamp, body))));
        let plain = self.plain.as_ref().map(|(name, key)| (name.clone(), ascii(&plain(key, body))));
        standard.into_iter().chain(plain)
    }

    fn standard(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let mut text = String::with_capacity(48 * self.standard.len());
        for key in &self.standard {
            let mut context = hmac::Context::with_key(key);
            context.update(format!("{id}.{timestamp}.").as_bytes());
            context.update(body);
            let separator = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{separator}v1,{}", STANDARD.encode(context.sign()));
        }
        text
    }
}

/// The key of a Standard Webhooks secret: `whsec_` and base64 of 24 to 64 bytes; the prefix may be
/// missing. The error never shows the secret.
pub(crate) fn standard_key(secret: &str) -> Result<hmac::Key, String> {
    let form = "`whsec_` and base64 of 24 to 64 bytes";
    if secret.starts_with("whsk_") || secret.starts_with("whpk_") {
        return Err(format!("keys of asymmetric signatures are not supported: expected {form}"));
    }
    let encoded = secret.strip_prefix("whsec_").unwrap_or(secret);
    let bytes = STANDARD.decode(encoded).map_err(|_| format!("not a signing secret: expected {form}"))?;
    if !(24..=64).contains(&bytes.len()) {
        return Err(format!("the secret is {} bytes long: expected {form}", bytes.len()));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// The key of the plain header: the bytes of the text.
pub(crate) fn plain_key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

fn plain(key: &hmac::Key, body: &[u8]) -> String {
    let mut text = "sha256=".to_owned();
    for byte in hmac::sign(key, body).as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("base64 and hex are legal in a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const SECOND: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn signature(secrets: &[&str], id: &str, timestamp: u64, body: &str) -> String {
        let standard = secrets.iter().map(|secret| standard_key(secret).unwrap()).collect();
        let signer = Signer { standard, plain: None };
        let headers: Vec<_> = signer.sign(id, timestamp, body.as_bytes()).collect();
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[0].0, "webhook-signature");
        headers[0].1.to_str().unwrap().to_owned()
    }

    #[test]
    fn standard_webhooks_vectors() {
        let body = r#"{"email":"test@example.com","username":"test_user"}"#;
        assert_eq!(
            signature(&[FIRST], "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body),
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="
        );
        assert_eq!(
            signature(&[SECOND], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn one_signature_per_secret() {
        let both = signature(&[FIRST, SECOND], "id", 1, "body");
        let each = [FIRST, SECOND].map(|secret| signature(&[secret], "id", 1, "body"));
        assert_eq!(both, each.join(" "));
    }

    #[test]
    fn plain_header_vector() {
        let name = HeaderName::from_static("x-hub-signature-256");
        let signer = Signer { standard: Vec::new(), plain: Some((name, plain_key("It's a Secret to Everybody"))) };
        let headers: Vec<_> = signer.sign("id", 1, b"Hello, World!").collect();
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[0].0, "x-hub-signature-256");
        assert_eq!(headers[0].1, "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
    }

    #[test]
    fn nothing_is_signed_without_a_secret() {
        assert_eq!(Signer::default().sign("id", 1, b"body").count(), 0);
    }

    #[test]
    fn secrets_that_are_none() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7u8; bytes]));
        for bytes in [24, 32, 64] {
            assert!(standard_key(&of(bytes)).is_ok(), "{bytes}");
        }
        for bad in [of(0), of(23), of(65), "whsec_".into(), "".into(), "open sesame".into(), "whsec_é".into()] {
            let error = standard_key(&bad).unwrap_err();
            assert!(error.contains("24 to 64 bytes"), "{error}");
            assert!(bad.len() < 7 || !error.contains(&bad), "{error}");
        }
        assert!(standard_key("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=").unwrap_err().contains("asymmetric"));
    }
}
