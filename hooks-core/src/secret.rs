//! Secrets, and the text of files that hold them.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

/// A secret from a config file. It can't be printed, logged or serialized, and its memory is wiped.
///
/// ```
/// let secret: hooks_core::Secret = serde_json::from_str(r#""open sesame""#)?;
/// assert_eq!(format!("{secret:?}"), "[secret]");
/// assert_eq!(secret.expose(), "open sesame");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(SecretString::from(secret.into()))
    }

    /// The secret itself, for signing or sending.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Compares settings. The time depends on the secrets, so this is no way to check one.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not a plain `String`: its error would quote the value.
        match serde_json::Value::deserialize(deserializer) {
            Ok(serde_json::Value::String(secret)) => Ok(Self::new(secret)),
            _ => Err(serde::de::Error::custom("expected a secret in quotes")),
        }
    }
}

#[cfg(feature = "config")]
impl schemars::JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "writeOnly": true })
    }
}

/// The text of a file that holds a secret.
///
/// # Errors
/// The reason why it is no text. It quotes nothing of the file.
///
/// ```
/// assert_eq!(hooks_core::secret::plain_text(b"open sesame"), Ok("open sesame"));
/// assert!(hooks_core::secret::plain_text(b"\xef\xbb\xbfopen sesame").is_err_and(|why| why.contains("byte order mark")));
/// ```
pub fn plain_text(bytes: &[u8]) -> Result<&str, &'static str> {
    str::from_utf8(without_mark(bytes)?).map_err(|_| "it is no text (UTF-8)")
}

/// Refuses a byte order mark: it would silently become part of a secret, or hide a certificate.
///
/// # Errors
/// When there is one.
pub fn without_mark(bytes: &[u8]) -> Result<&[u8], &'static str> {
    match bytes {
        [0xef, 0xbb, 0xbf, ..] => Err("it begins with a byte order mark: save it as UTF-8 without one"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err("it is UTF-16: save it as UTF-8 without a byte order mark"),
        _ => Ok(bytes),
    }
}

/// A fingerprint that tells contents apart and reveals nothing of them.
pub fn fingerprint(content: &[u8]) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, content).to_string()
}
