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
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use ring::signature::Ed25519KeyPair;

    const SHARED: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const OTHER: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const PRIVATE: &str =
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
    const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    const V1: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
    const SIGNED_AT: u64 = 1_649_367_553;

    fn signed(signature: &str) -> Signed<'_> {
        Signed { id: "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", timestamp: "1649367553", signature }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn verify(keys: &[&str], signature: &str) -> Result<(), VerifyError> {
        Verifier::new(keys).unwrap().verify(&signed(signature), BODY, at(SIGNED_AT)).map(drop)
    }

    fn message(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
        [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
    }

    /// What a sender that has this key signs with.
    pub(crate) fn v1(key: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
        let message = message(id, timestamp, body);
        match Key::parse(key).unwrap() {
            Key::Shared(bytes) => {
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), &message);
                format!("v1,{}", STANDARD.encode(tag))
            }
            Key::Private { seed, public } => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(&seed, &public).unwrap();
                format!("v1a,{}", STANDARD.encode(pair.sign(&message)))
            }
            Key::Public(_) => panic!("a public key signs nothing"),
        }
    }

    /// The signature of the message of `V1` by another key.
    fn v1a() -> String {
        v1(PRIVATE, signed("").id, "1649367553", BODY)
    }

    #[test]
    fn vectors_of_the_specification() {
        assert_eq!(verify(&[SHARED], V1), Ok(()));
        let v1a = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";
        for (key, signature) in
            [(OTHER, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="), (PUBLIC, v1a), (PRIVATE, v1a)]
        {
            let signed = Signed { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: "1614265330", signature };
            let verifier = Verifier::new([key.trim_start_matches("whsec_")]).unwrap();
            assert!(verifier.verify(&signed, br#"{"test": 2432232314}"#, at(1_614_265_330)).is_ok(), "{key}");
        }
    }

    #[test]
    fn any_key_and_any_signature_may_match() {
        let v1a = v1a();
        for signature in [format!("v1,AAAA {V1}"), format!("{V1} {v1a}"), format!("v2,xyz v1a,!! junk {V1} v9")] {
            assert_eq!(verify(&[OTHER, SHARED], &signature), Ok(()), "{signature}");
        }
        assert_eq!(verify(&[OTHER, PUBLIC], &format!("{V1} {v1a}")), Ok(()));
    }

    #[test]
    fn a_header_full_of_signatures_takes_no_time() {
        let body = vec![b' '; 2 << 20];
        let wrong = format!("v1,{} ", STANDARD.encode([1; 32])).repeat(5_000);
        let right = v1(SHARED, signed("").id, "1649367553", &body);
        let of =
            |signature: &str| Verifier::new([SHARED]).unwrap().verify(&signed(signature), &body, at(SIGNED_AT)).is_ok();
        assert!(!of(&wrong));
        assert!(of(&(wrong + &right)));
        let wrong = format!("v1a,{} ", STANDARD.encode([1; 64])).repeat(5_000);
        assert!(Verifier::new([PUBLIC]).unwrap().verify(&signed(&wrong), &body, at(SIGNED_AT)).is_err());
    }

    #[test]
    fn what_does_not_match() {
        let v1a = v1a();
        let under_another_version = [V1.replace("v1,", "v1a,"), v1a.replace("v1a,", "v1,"), V1.replace("v1,", "v2,")];
        for signature in under_another_version {
            assert_eq!(verify(&[SHARED, PUBLIC], &signature), Err(VerifyError::Mismatch), "{signature}");
        }
        for signature in ["", "v1", "v1,", ",", " ", &V1[3..], "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3"] {
            assert_eq!(verify(&[SHARED], signature), Err(VerifyError::Mismatch), "{signature}");
        }
        assert_eq!(verify(&[OTHER], V1), Err(VerifyError::Mismatch));
        assert_eq!(verify(&[SHARED], &v1a), Err(VerifyError::Mismatch));
    }

    #[test]
    fn five_minutes_either_way() {
        let verifier = Verifier::new([SHARED]).unwrap();
        let verify = |now| verifier.verify(&signed(V1), BODY, at(now)).map(drop);
        assert_eq!(verify(SIGNED_AT - 300), Ok(()));
        assert_eq!(verify(SIGNED_AT + 300), Ok(()));
        assert_eq!(verify(SIGNED_AT + 301), Err(VerifyError::TooOld(Duration::from_secs(301))));
        assert_eq!(verify(SIGNED_AT - 301), Err(VerifyError::TooNew(Duration::from_secs(301))));
        let patient = Verifier::new([SHARED]).unwrap().tolerance(Duration::MAX);
        assert!(patient.verify(&signed(V1), BODY, at(0)).is_ok());
    }

    #[test]
    fn timestamps_that_are_none() {
        let verifier = Verifier::new([SHARED]).unwrap().tolerance(Duration::MAX);
        for timestamp in ["", "now", "+1649367553", "-1", "1649367553.0", " 1649367553", "99999999999999999999"] {
            let signed = Signed { timestamp, ..signed(V1) };
            assert_eq!(verifier.verify(&signed, BODY, at(SIGNED_AT)), Err(VerifyError::Timestamp), "{timestamp}");
        }
    }

    #[test]
    fn keys_that_are_none() {
        assert_eq!(Verifier::new([SHARED, "short"]).unwrap_err().index, 1);
        assert!(Verifier::new::<&str>([]).is_err());
        assert_eq!(format!("{:?}", Verifier::new([SHARED]).unwrap()), "Verifier { keys: 1, tolerance: 300s }");
    }

    #[test]
    fn a_missing_header_is_named() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("webhook-id", "a"), ("webhook-timestamp", "1"), ("webhook-signature", "v1,")] {
            assert_eq!(Signed::from_headers(&headers), Err(VerifyError::Header(name)));
            headers.insert(name, value.parse().unwrap());
        }
        assert_eq!(Signed::from_headers(&headers), Ok(Signed { id: "a", timestamp: "1", signature: "v1," }));
    }

    #[test]
    fn plain_signatures() {
        let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let check = |signature: &str| plain_hmac("It's a Secret to Everybody", signature, b"Hello, World!");
        assert_eq!(check(good), Ok(()));
        for bad in ["", "sha256=", "sha256=7", &good[7..], &good[..69], &good.replace("e17", "e18"), "sha256=zz"] {
            assert_eq!(check(bad), Err(VerifyError::Mismatch), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_made_up_verifies(id in ".*", timestamp in "[0-9]{0,12}|.*", signature in "(v1a?,[A-Za-z0-9+/=]{0,90} ?){0,3}|.*") {
            let verifier = Verifier::new([SHARED, PUBLIC]).unwrap().tolerance(Duration::MAX);
            let signed = Signed { id: &id, timestamp: &timestamp, signature: &signature };
            prop_assert!(verifier.verify(&signed, BODY, at(SIGNED_AT)).is_err());
            prop_assert!(plain_hmac("secret", &signature, BODY).is_err());
        }

        /// A signed body verifies, and with a bit of it changed it does not.
        #[test]
        fn what_is_signed_verifies(
            body in prop::collection::vec(any::<u8>(), 1..200),
            bit in any::<prop::sample::Index>(),
            (signs, verifies) in prop::sample::select(vec![(SHARED, SHARED), (PRIVATE, PUBLIC)]),
        ) {
            let signature = v1(signs, "id", "1649367553", &body);
            let signed = Signed { id: "id", timestamp: "1649367553", signature: &signature };
            let verifier = Verifier::new([verifies]).unwrap();
            prop_assert_eq!(verifier.verify(&signed, &body, at(SIGNED_AT)), Ok("id"));
            let mut changed = body;
            let bit = bit.index(changed.len() * 8);
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(verifier.verify(&signed, &changed, at(SIGNED_AT)), Err(VerifyError::Mismatch));
        }
    }
}
