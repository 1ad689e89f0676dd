//! Secret keys of a daemon, from which those for single purposes are derived.

mod folder;

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

/// The purpose of the keys of which the ids are a part.
const NAME: &str = "hooks: the id of a key";

/// Bytes of a key.
const LENGTH: usize = 32;

/// With or without the signs that fill up.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Keys of 32 bytes: the first is the one in use, the others are good still for what they were used for.
///
/// ```
/// use hooks_server::Keys;
///
/// let keys = Keys::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")?;
/// assert_ne!(keys.derive("sealing").next(), keys.derive("signing").next());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone)]
pub struct Keys(Vec<[u8; LENGTH]>);

impl Keys {
    /// Takes them from the text of a file: a line each, base64 of 32 bytes.
    ///
    /// # Errors
    /// When there is none, or something else. The error quotes nothing of the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = (1..).zip(text.lines()).map(|(number, line)| (number, line.trim()));
        let mut keys: Vec<[u8; LENGTH]> = Vec::new();
        for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
            let key = BASE64.decode(line).ok().and_then(|bytes| bytes.try_into().ok());
            let key = key.ok_or_else(|| {
                format!("line {number}: a key is 32 bytes in base64, as `openssl rand -base64 32` makes one")
            })?;
            if keys.contains(&key) {
                return Err(format!("line {number}: this key stands twice"));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err("there is no key in it".to_owned()) } else { Ok(Self(keys)) }
    }

    /// A new key.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn random() -> Result<Self, String> {
        let mut key = [0; LENGTH];
        SystemRandom::new().fill(&mut key).map_err(|_| "the system gives no random bytes".to_owned())?;
        Ok(Self(vec![key]))
    }

    /// The text of a file with these keys.
    pub fn to_text(&self) -> String {
        self.0.iter().map(|key| BASE64.encode(key) + "\n").collect()
    }

    /// Ids of the keys, in the same order, for people and for what was made with a key. An id reveals nothing of its key.
    pub fn ids(&self) -> impl Iterator<Item = String> {
        self.derive(NAME).map(|key| key.iter().take(4).map(|byte| format!("{byte:02x}")).collect())
    }

    /// The keys for one purpose, in the same order: who knows one of them knows none for another purpose.
    pub fn derive(&self, label: &str) -> impl Iterator<Item = [u8; LENGTH]> {
        self.0.iter().map(move |key| {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), label.as_bytes());
            let mut derived = [0; LENGTH];
            derived.copy_from_slice(tag.as_ref());
            derived
        })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} keys]", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        let keys = Keys::random().unwrap();
        let text = keys.to_text();
        assert_eq!(Keys::parse(&text).unwrap().0, keys.0);
        assert_eq!(Keys::parse(&format!("\r\n {} \r\n", text.trim().trim_end_matches('='))).unwrap().0, keys.0);
        let two = [text, Keys::random().unwrap().to_text()].concat();
        assert_eq!(Keys::parse(&two).unwrap().derive("x").count(), 2);
        assert!(Keys::parse(&[two.as_str(), &two].concat()).unwrap_err().starts_with("line 3: "));
        let ids: Vec<String> = Keys::parse(&two).unwrap().ids().collect();
        assert!(ids[0] != ids[1] && ids.iter().all(|id| id.len() == 8) && keys.ids().eq(ids[..1].iter().cloned()));
        assert!(!format!("{keys:?}").contains(keys.to_text().trim()));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_quoted() {
        for (text, expected) in
            [("", "there is no key"), ("aHVudGVyMg==\n", "line 1: a key is 32 bytes"), ("\n\nhunter2", "line 3: ")]
        {
            let error = Keys::parse(text).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains("hunter2") && !error.contains("aHVu"), "{error}");
        }
    }
}
