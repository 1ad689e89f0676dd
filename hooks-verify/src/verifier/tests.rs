//! Vectors of the specification, and what does not verify.

use super::*;
use proptest::prelude::*;
use ring::signature::Ed25519KeyPair;

const SHARED: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const OTHER: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PRIVATE: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
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
    for (key, signature) in [(OTHER, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="), (PUBLIC, v1a), (PRIVATE, v1a)]
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
