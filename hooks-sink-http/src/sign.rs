//! Signatures: Standard Webhooks 1.0.0 (v1 and v1a), and a plain HMAC of the body in a header.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use ring::hmac;

use crate::keys::SigningKey;
use crate::traceparent::hex;

/// The header that Standard Webhooks puts signatures into.
pub(crate) const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The keys of one hook, ready to use.
#[derive(Default)]
pub(crate) struct Signer {
    /// One per secret; during a rotation there are several.
    pub(crate) standard: Vec<SigningKey>,
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
        let prefix = format!("{id}.{timestamp}.");
        let mut text = String::with_capacity(48 * self.standard.len());
        for key in &self.standard {
            let separator = if text.is_empty() { "" } else { " " };
            let _ = match key {
                SigningKey::V1(key) => write!(text, "{separator}v1,{}", STANDARD.encode(v1(key, &prefix, body))),
                // ed25519 takes the message twice over, so it has to be in one piece.
                SigningKey::V1a(pair) => {
                    let signature = pair.sign(&[prefix.as_bytes(), body].concat());
                    write!(text, "{separator}v1a,{}", STANDARD.encode(signature))
                }
            };
        }
        text
    }
}

fn v1(key: &hmac::Key, prefix: &str, body: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(prefix.as_bytes());
    context.update(body);
    context.sign()
}

/// The key of the plain header: the bytes of the text.
pub(crate) fn plain_key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

fn plain(key: &hmac::Key, body: &[u8]) -> String {
    format!("sha256={}", hex(hmac::sign(key, body).as_ref()))
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("base64 and hex are legal in a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const SECOND: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const PRIVATE: &str =
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";

    fn signature(secrets: &[&str], id: &str, timestamp: u64, body: &str) -> String {
        let standard = secrets.iter().map(|secret| SigningKey::parse(secret).unwrap()).collect();
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
        assert_eq!(
            signature(&[PRIVATE], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#),
            "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
        );
    }

    #[test]
    fn one_signature_per_secret() {
        let all = signature(&[FIRST, PRIVATE, SECOND], "id", 1, "body");
        let each = [FIRST, PRIVATE, SECOND].map(|secret| signature(&[secret], "id", 1, "body"));
        assert_eq!(all, each.join(" "));
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
}
