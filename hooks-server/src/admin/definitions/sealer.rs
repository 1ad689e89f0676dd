//! Definitions as the bus keeps them: encrypted, because they hold secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hooks_core::{HookId, TenantId};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::Keys;

/// The purpose of the keys that are derived.
const PURPOSE: &str = "hooks: definitions of hooks";

/// Seals with the first key, opens with any. AES-256-GCM with random nonces; the hook's name is authenticated, so that
/// nobody moves a definition to another hook.
pub(super) struct Sealer(Vec<(String, LessSafeKey)>);

/// The text of a definition. Everybody can read the notes beside `sealed`. They say, without opening it, what a rekey has
/// to seal and what is logged; of a hook that can't be opened also whom it counts for. Nobody sees or changes a hook
/// because of them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    /// Base64 of the nonce, the encrypted text and its tag.
    sealed: String,
    /// The id of the key. `None`: it was sealed before keys had ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Whose hook it is, also when the key is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
}

/// How a definition is sealed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seal {
    /// With the first key.
    Current,
    /// With another one that is here.
    Old(String),
    /// With one that is not here, or it is damaged.
    Closed(Option<String>),
}

impl Sealer {
    pub(super) fn new(keys: Option<&Keys>) -> Self {
        let keys = keys.into_iter().flat_map(|keys| keys.ids().zip(keys.derive(PURPOSE)));
        let keys = keys.filter_map(|(id, key)| Some((id, UnboundKey::new(&AES_256_GCM, &key).ok()?)));
        Self(keys.map(|(id, key)| (id, LessSafeKey::new(key))).collect())
    }

    /// The id of the key that seals.
    pub(super) fn key(&self) -> Option<&str> {
        self.0.first().map(|(id, _)| id.as_str())
    }

    /// # Errors
    /// When the system gives no random bytes.
    pub(super) fn seal(&self, hook: &HookId, plain: Vec<u8>, tenant: Option<TenantId>) -> Result<String, String> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| "the system gives no random bytes".to_owned())?;
        let mut sealed = plain;
        let (id, key) = self.0.first().ok_or_else(|| "there is no key".to_owned())?;
        let done = key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), associated(hook), &mut sealed);
        done.map_err(|_| "it is too long to be encrypted".to_owned())?;
        let sealed = STANDARD.encode([&nonce[..], &sealed].concat());
        serde_json::to_string(&Sealed { sealed, key: Some(id.clone()), tenant }).map_err(|error| error.to_string())
    }

    /// # Errors
    /// When it was sealed with another key, or is damaged.
    pub(super) fn open(&self, hook: &HookId, text: &str) -> Result<Vec<u8>, String> {
        let damaged = || "its definition on the bus is damaged: it is not what this version keeps".to_owned();
        let Sealed { sealed, key, .. } = serde_json::from_str(text).map_err(|_| damaged())?;
        let bytes = STANDARD.decode(sealed).map_err(|_| damaged())?;
        if let Some((_, plain)) = self.opened(hook, &bytes) {
            return Ok(plain);
        }
        if bytes.len() <= NONCE_LEN || key.is_some_and(|id| self.has(&id)) {
            return Err(damaged());
        }
        Err("its definition is sealed with a key that is not here: see api.secrets_key_file".to_owned())
    }

    /// Which key it was sealed with. Only where it does not say so it is opened.
    pub(super) fn seal_of(&self, hook: &HookId, text: &str) -> (Seal, Option<TenantId>) {
        let Ok(Sealed { sealed, key, tenant }) = serde_json::from_str(text) else {
            return (Seal::Closed(None), None);
        };
        let known = || {
            let (place, _) = self.opened(hook, &STANDARD.decode(&sealed).ok()?)?;
            self.0.get(place).map(|(id, _)| id.clone())
        };
        let seal = match key.or_else(known) {
            Some(id) if self.key() == Some(&id) => Seal::Current,
            Some(id) if self.has(&id) => Seal::Old(id),
            id => Seal::Closed(id),
        };
        (seal, tenant)
    }

    fn has(&self, id: &str) -> bool {
        self.0.iter().any(|(known, _)| known == id)
    }

    /// The plain text, and which of the keys opened it.
    fn opened(&self, hook: &HookId, bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        self.0.iter().enumerate().find_map(|(place, (_, key))| {
            let mut sealed = sealed.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let length = key.open_in_place(nonce, associated(hook), &mut sealed).ok()?.len();
            sealed.truncate(length);
            Some((place, sealed))
        })
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
        let seal = || Sealer::new(Some(&old)).seal(&hook("a"), b"open sesame".to_vec(), None).unwrap();
        let sealed = seal();
        assert!(!sealed.contains("sesame"));
        assert_ne!(sealed, seal());
        let both = Keys::parse(&[new.to_text(), old.to_text()].concat()).unwrap();
        assert_eq!(Sealer::new(Some(&both)).open(&hook("a"), &sealed).unwrap(), b"open sesame");
        let error = Sealer::new(Some(&new)).open(&hook("a"), &sealed).unwrap_err();
        assert!(error.contains("api.secrets_key_file"), "{error}");
        let error = Sealer::new(Some(&old)).open(&hook("b"), &sealed).unwrap_err();
        assert!(error.contains("damaged"), "{error}");
        for damaged in ["", "{}", "\"a\"", r#"{"sealed":"?"}"#, r#"{"sealed":"AAAA"}"#] {
            assert!(Sealer::new(Some(&old)).open(&hook("a"), damaged).unwrap_err().contains("damaged"), "{damaged}");
            assert_eq!(Sealer::new(Some(&old)).seal_of(&hook("a"), damaged), (Seal::Closed(None), None));
        }
    }

    /// Also of definitions that were sealed before they named their key.
    #[test]
    fn a_definition_says_which_key_it_takes_and_whose_it_is() {
        let (old, new) = (Keys::random().unwrap(), Keys::random().unwrap());
        let id = old.ids().next();
        let acme = TenantId::new("acme").ok();
        let sealed = Sealer::new(Some(&old)).seal(&hook("a"), b"{}".to_vec(), acme.clone()).unwrap();
        let mut bare: serde_json::Value = serde_json::from_str(&sealed).unwrap();
        bare.as_object_mut().unwrap().retain(|name, _| name == "sealed");
        let both = Keys::parse(&[new.to_text(), old.to_text()].concat()).unwrap();
        for (text, id, tenant) in [(sealed, id.clone(), acme), (bare.to_string(), None, None)] {
            let seal_of = |keys: &Keys| Sealer::new(Some(keys)).seal_of(&hook("a"), &text);
            assert_eq!(seal_of(&old), (Seal::Current, tenant.clone()));
            assert_eq!(seal_of(&both), (Seal::Old(old.ids().next().unwrap()), tenant.clone()));
            assert_eq!(seal_of(&new), (Seal::Closed(id), tenant));
            assert_eq!(Sealer::new(Some(&old)).open(&hook("a"), &text).unwrap(), b"{}");
        }
    }
}
