//! Definitions as the bus keeps them: encrypted, because they hold secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hooks_core::HookId;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::Keys;

/// The purpose of the keys that are derived.
const PURPOSE: &str = "hooks: definitions of hooks";

/// Seals with the first key, opens with any. AES-256-GCM with random nonces; the hook's name is authenticated, so that
/// nobody moves a definition to another hook.
pub(super) struct Sealer(Vec<LessSafeKey>);

/// The text of a definition.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    /// Base64 of the nonce, the encrypted text and its tag.
    sealed: String,
}

impl Sealer {
    pub(super) fn new(keys: Option<&Keys>) -> Self {
        let keys = keys.into_iter().flat_map(|keys| keys.derive(PURPOSE));
        let keys = keys.filter_map(|key| UnboundKey::new(&AES_256_GCM, &key).ok());
        Self(keys.map(LessSafeKey::new).collect())
    }

    pub(super) fn has_key(&self) -> bool {
        !self.0.is_empty()
    }

    /// # Errors
    /// When the system gives no random bytes.
    pub(super) fn seal(&self, hook: &HookId, plain: Vec<u8>) -> Result<String, String> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| "the system gives no random bytes".to_owned())?;
        let mut sealed = plain;
        let key = self.0.first().ok_or_else(|| "there is no key".to_owned())?;
        let done = key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), associated(hook), &mut sealed);
        done.map_err(|_| "it is too long to be encrypted".to_owned())?;
        let sealed = STANDARD.encode([&nonce[..], &sealed].concat());
        serde_json::to_string(&Sealed { sealed }).map_err(|error| error.to_string())
    }

    /// # Errors
    /// When it was sealed with another key, or is damaged.
    pub(super) fn open(&self, hook: &HookId, text: &str) -> Result<Vec<u8>, String> {
        let damaged = || "its definition on the bus is damaged: it is not what this version keeps".to_owned();
        let Sealed { sealed } = serde_json::from_str(text).map_err(|_| damaged())?;
        let bytes = STANDARD.decode(sealed).map_err(|_| damaged())?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(damaged)?;
        let opened = self.0.iter().find_map(|key| {
            let mut sealed = sealed.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let length = key.open_in_place(nonce, associated(hook), &mut sealed).ok()?.len();
            sealed.truncate(length);
            Some(sealed)
        });
        opened
            .ok_or_else(|| "its definition is sealed with a key that is not here: see api.secrets_key_file".to_owned())
    }
}

fn associated(hook: &HookId) -> Aad<&[u8]> {
    Aad::from(hook.as_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(name: &str) -> HookId {
        HookId::new(name).unwrap()
    }

    #[test]
    fn only_the_keys_open_what_is_sealed_and_only_for_its_hook() {
        let (old, new) = (Keys::random().unwrap(), Keys::random().unwrap());
        let sealed = Sealer::new(Some(&old)).seal(&hook("a"), b"open sesame".to_vec()).unwrap();
        assert!(!sealed.contains("sesame"));
        assert_ne!(sealed, Sealer::new(Some(&old)).seal(&hook("a"), b"open sesame".to_vec()).unwrap());
        let both = Keys::parse(&[new.to_text(), old.to_text()].concat()).unwrap();
        assert_eq!(Sealer::new(Some(&both)).open(&hook("a"), &sealed).unwrap(), b"open sesame");
        for (keys, name) in [(&new, "a"), (&old, "b")] {
            let error = Sealer::new(Some(keys)).open(&hook(name), &sealed).unwrap_err();
            assert!(error.contains("api.secrets_key_file"), "{error}");
        }
        for damaged in ["", "{}", "\"a\"", r#"{"sealed":"?"}"#, r#"{"sealed":"AAAA"}"#] {
            assert!(Sealer::new(Some(&old)).open(&hook("a"), damaged).unwrap_err().contains("damaged"), "{damaged}");
        }
    }
}
