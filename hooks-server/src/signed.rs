//! Tokens that say themselves what they allow and when they end, signed by the daemon.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hooks_core::{Secret, TenantId};
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::{Access, Keys, Right};

/// The beginning of a signed token.
const PREFIX: &str = "hst_";

/// The purpose of its keys.
const LABEL: &str = "hooks: signed tokens, version 1";

/// Signs tokens, and knows its own. The text is `hst_`, base64url of what is allowed as JSON, a dot, and base64url of
/// its HMAC-SHA256. Clones are the same signer.
#[derive(Clone, Default)]
pub struct Signer(Arc<[hmac::Key]>);

/// What a token allows.
#[derive(Serialize, Deserialize)]
struct Claims {
    may: BTreeSet<Right>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    /// Seconds since 1970.
    exp: u64,
    /// The name of the token that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

impl Signer {
    /// Signs with the first of these keys, and knows what any of them signed. The default has none: it signs nothing.
    pub fn new(keys: &Keys) -> Self {
        Self(keys.derive(LABEL).map(|key| hmac::Key::new(hmac::HMAC_SHA256, &key)).collect())
    }

    /// A token that allows this until then, in whole seconds. `None` without a key.
    pub(crate) fn sign(&self, access: &Access, expires: SystemTime) -> Option<Secret> {
        let exp = expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let by = access.name().map(|name| name.to_string());
        let claims = Claims { may: access.rights().clone(), tenant: access.tenant().cloned(), exp, by };
        let mut token = PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(&claims).ok()?, &mut token);
        let tag = hmac::sign(self.0.first()?, token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(tag, &mut token);
        Some(Secret::new(token))
    }

    /// What a token allows, if one of the keys has signed it and it has not ended. What it says is looked at only then.
    pub(crate) fn verify(&self, token: &[u8], now: SystemTime) -> Option<Access> {
        let dot = token.iter().rposition(|byte| *byte == b'.')?;
        let (signed, tag) = (&token[..dot], URL_SAFE_NO_PAD.decode(&token[dot + 1..]).ok()?);
        let payload = signed.strip_prefix(PREFIX.as_bytes())?;
        self.0.iter().find(|key| hmac::verify(key, signed, &tag).is_ok())?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let expires = UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp))?;
        let access = Access::new(claims.may, claims.tenant).until(expires);
        let access = match claims.by {
            Some(name) => access.named(name),
            None => access,
        };
        (now < expires).then_some(access)
    }
}

/// True if it is meant as a signed token.
pub(crate) fn is_signed(token: &[u8]) -> bool {
    token.starts_with(PREFIX.as_bytes())
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer with {} keys", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn access() -> Access {
        Access::new([Right::Read], Some(TenantId::new("acme").unwrap()))
    }

    #[test]
    fn a_token_holds_until_it_ends() {
        let signer = Signer::new(&Keys::random().unwrap());
        let token = signer.sign(&access(), now()).unwrap();
        let token = token.expose().as_bytes();
        assert!(is_signed(token));
        assert_eq!(signer.verify(token, now() - SECOND), Some(access().until(now())));
        assert_eq!(signer.verify(token, now()), None);
        assert_eq!(Signer::default().verify(token, now() - SECOND), None);
        assert!(Signer::default().sign(&access(), now()).is_none());
    }

    #[test]
    fn old_keys_verify_and_only_the_first_signs() {
        let (old, new) = (Keys::random().unwrap(), Keys::random().unwrap());
        let both = Signer::new(&Keys::parse(&[new.to_text(), old.to_text()].concat()).unwrap());
        let (old, new) = (Signer::new(&old), Signer::new(&new));
        let good = |by: &Signer, of: &Signer| {
            let token = of.sign(&access(), now()).unwrap();
            by.verify(token.expose().as_bytes(), now() - SECOND).is_some()
        };
        assert!(good(&both, &old) && good(&both, &new) && good(&new, &both) && !good(&old, &both));
    }

    #[test]
    fn no_part_of_it_can_be_changed() {
        let signer = Signer::new(&Keys::random().unwrap());
        let token = signer.sign(&access(), now()).unwrap().expose().to_owned();
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(signer.verify(&changed, now() - SECOND), None, "{at}");
            assert_eq!(signer.verify(&token.as_bytes()[..at], now() - SECOND), None, "{at}");
        }
        for other in ["", "hst_", "hst_.", ".", "hst_e30.", "hst_e30.e30"] {
            assert_eq!(signer.verify(other.as_bytes(), now()), None, "{other}");
        }
    }
}
