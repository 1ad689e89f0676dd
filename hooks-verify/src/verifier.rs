//! Is this request from who it says, unchanged, and fresh?
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use hooks_verify::{Signed, Verifier};
//!
//! // One secret, or several while the sender changes over from one to the next.
//! let verifier = Verifier::new(["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])?;
//!
//! let body = br#"{"email":"test@example.com","username":"test_user"}"#;
//! let mut headers = http::HeaderMap::new();
//! headers.insert("webhook-id", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk".parse()?);
//! headers.insert("webhook-timestamp", "1649367553".parse()?);
//! headers.insert("webhook-signature", "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=".parse()?);
//!
//! // A receiver passes `SystemTime::now()`.
//! let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_649_367_560);
//! let id = verifier.verify(&Signed::from_headers(&headers)?, body, now)?;
//! assert_eq!(id, "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The signature is over the body before compression: a receiver that takes `content-encoding` undoes it
//! first. The body has to be the bytes as they came, not JSON that was read and written again.
//!
//! A signature proves where a request comes from, not that it comes for the first time. Repeats are told
//! by the events' own `source` and `id`.
//!
//! The format is that of [Standard Webhooks] 1.0.0: `v1` is HMAC-SHA256, `v1a` is ed25519. Signatures of
//! other versions are skipped. Comparing takes the same time whatever differs.
//!
//! [Standard Webhooks]: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use ring::hmac;
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::Key;

/// The default tolerance: how far a timestamp may be from now, before or after.
pub const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// Verifies requests that are signed after Standard Webhooks.
pub struct Verifier {
    keys: Vec<VerifyingKey>,
    tolerance: Duration,
}

/// A key, ready to use.
enum VerifyingKey {
    V1(hmac::Key),
    V1a(UnparsedPublicKey<Vec<u8>>),
}

/// Most signatures with private keys that are looked at: for each, the whole message is hashed.
const MOST_V1A: usize = 16;

impl VerifyingKey {
    fn parse(key: &str) -> Result<Self, String> {
        Ok(match Key::parse(key)? {
            Key::Shared(bytes) => Self::V1(hmac::Key::new(hmac::HMAC_SHA256, &bytes)),
            Key::Private { public, .. } | Key::Public(public) => Self::V1a(UnparsedPublicKey::new(&ED25519, public)),
        })
    }
}

/// The signature headers of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`: Unix seconds.
    pub timestamp: &'a str,
    /// `webhook-signature`: one signature or several, separated by spaces.
    pub signature: &'a str,
}

/// A key that is none. Does not show it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key {}: {message}", .index + 1)]
pub struct InvalidKey {
    /// The key's index, from 0.
    pub index: usize,
    message: String,
}

/// The reason why a request can't be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A header is not there, or is no text.
    #[error("the header {0} is missing or is no text")]
    Header(&'static str),
    /// The timestamp is no number of seconds.
    #[error("the timestamp is no number of seconds")]
    Timestamp,
    /// The request was signed too long ago: it may be a replay.
    #[error("signed {} s ago, which is too old", .0.as_secs())]
    TooOld(Duration),
    /// The request was signed in the future: one of the clocks is wrong.
    #[error("signed {} s in the future: is one of the clocks wrong?", .0.as_secs())]
    TooNew(Duration),
    /// No signature is by one of the keys: another key, a body or id that was changed, or none of a
    /// version that is known.
    #[error("no signature matches: another secret, or the body was changed on its way")]
    Mismatch,
}

impl Verifier {
    /// With these keys, one of which has to match: `whsec_…` (shared secrets), `whpk_…` (public keys), or
    /// `whsk_…` (a private key, of which the public half is used).
    ///
    /// # Errors
    /// When one is no key, or there is none at all.
    pub fn new<K: AsRef<str>>(keys: impl IntoIterator<Item = K>) -> Result<Self, InvalidKey> {
        let parsed = keys
            .into_iter()
            .enumerate()
            .map(|(index, key)| VerifyingKey::parse(key.as_ref()).map_err(|message| InvalidKey { index, message }));
        let keys: Vec<_> = parsed.collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(InvalidKey { index: 0, message: "there is none, so nothing could be verified".to_owned() });
        }
        Ok(Self { keys, tolerance: TOLERANCE })
    }

    /// With another tolerance than [`TOLERANCE`].
    #[must_use]
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Verifies a request that arrives now, and returns its id.
    ///
    /// # Errors
    /// When it can't be trusted. Nothing of it should be used then.
    pub fn verify<'a>(&self, signed: &Signed<'a>, body: &[u8], now: SystemTime) -> Result<&'a str, VerifyError> {
        self.check_time(signed.timestamp, now)?;
        let message = [signed.id.as_bytes(), b".", signed.timestamp.as_bytes(), b".", body].concat();
        let is_signed = self.keys.iter().any(|key| match key {
            VerifyingKey::V1(key) => is_tagged(key, &message, signed.given("v1", 32)),
            VerifyingKey::V1a(key) => {
                signed.given("v1a", 64).take(MOST_V1A).any(|given| key.verify(&message, &given).is_ok())
            }
        });
        if is_signed { Ok(signed.id) } else { Err(VerifyError::Mismatch) }
    }

    fn check_time(&self, timestamp: &str, now: SystemTime) -> Result<(), VerifyError> {
        // `+5` parses, but is nothing that a sender writes.
        let digits = timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = timestamp.parse().ok().filter(|_| digits).ok_or(VerifyError::Timestamp)?;
        let signed = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).ok_or(VerifyError::Timestamp)?;
        match now.duration_since(signed) {
            Ok(age) if age > self.tolerance => Err(VerifyError::TooOld(age)),
            Err(ahead) if ahead.duration() > self.tolerance => Err(VerifyError::TooNew(ahead.duration())),
            _ => Ok(()),
        }
    }
}

/// Returns true if one of these is the message's tag. The message is hashed once, however many there are: whoever knows no
/// key may send as many as fit into a header.
fn is_tagged(key: &hmac::Key, message: &[u8], given: impl Iterator<Item = Vec<u8>>) -> bool {
    let mut given = given.peekable();
    if given.peek().is_none() {
        return false;
    }
    // Tags of tags tell whether tags are equal, in a time that tells nothing of them.
    let check = hmac::sign(key, hmac::sign(key, message).as_ref());
    given.any(|given| hmac::verify(key, &given, check.as_ref()).is_ok())
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys, tolerance } = self;
        f.debug_struct("Verifier").field("keys", &keys.len()).field("tolerance", tolerance).finish()
    }
}

impl<'a> Signed<'a> {
    /// The signatures of a version that are this many bytes long.
    fn given(&self, version: &str, length: usize) -> impl Iterator<Item = Vec<u8>> {
        let entries = self.signature.split(' ').filter_map(|entry| entry.split_once(','));
        let encoded = entries.filter(move |(known, _)| *known == version).map(|(_, encoded)| encoded);
        encoded.filter_map(|encoded| STANDARD.decode(encoded).ok()).filter(move |given| given.len() == length)
    }

    /// From the headers of a request.
    ///
    /// # Errors
    /// When one of the three is missing.
    pub fn from_headers(headers: &'a HeaderMap) -> Result<Self, VerifyError> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).ok_or(VerifyError::Header(name));
        Ok(Self {
            id: text("webhook-id")?,
            timestamp: text("webhook-timestamp")?,
            signature: text("webhook-signature")?,
        })
    }
}

/// Verifies a plain HMAC-SHA256 of the body: `sha256=` and hex, as GitHub sends it.
///
/// ```
/// let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
/// hooks_verify::plain_hmac("It's a Secret to Everybody", signature, b"Hello, World!")?;
/// # Ok::<(), hooks_verify::VerifyError>(())
/// ```
///
/// It proves nothing about when a request was sent.
///
/// # Errors
/// When it does not match.
pub fn plain_hmac(secret: &str, signature: &str, body: &[u8]) -> Result<(), VerifyError> {
    // A variable that is not set is no secret.
    if secret.is_empty() {
        return Err(VerifyError::Mismatch);
    }
    let tag = signature.strip_prefix("sha256=").and_then(unhex).ok_or(VerifyError::Mismatch)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::verify(&key, body, &tag).map_err(|_| VerifyError::Mismatch)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8; 2]| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

#[cfg(test)]
pub(crate) mod tests;
