use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::{Builder, Uuid};

/// A new UUIDv7 (RFC 9562): the time, and 62 random bits. Those made a quarter of a microsecond apart sort by age, as long
/// as nobody sets the clock back; closer ones do not.
pub fn uuid_v7() -> Uuid {
    uuid_v7_at(SystemTime::now())
}

fn uuid_v7_at(now: SystemTime) -> Uuid {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut random = [0; 10];
    fastrand::fill(&mut random);
    // The twelve bits behind the milliseconds are the part of a millisecond (section 6.2, method 3).
    let fraction = (now.subsec_nanos() % 1_000_000) * 4096 / 1_000_000;
    random[..2].copy_from_slice(&(fraction as u16).to_be_bytes());
    Builder::from_unix_timestamp_millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), &random).into_uuid()
}

/// Makes a type of a legal name, and the error of a text that is none.
macro_rules! name {
    ($(#[$documentation:meta])* $name:ident, $what:literal, $(#[$error_documentation:meta])* $error:ident) => {
        $(#[$documentation])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// # Errors
            /// When the text is empty, too long, or has an illegal character.
            pub fn new(id: impl Into<Arc<str>>) -> Result<Self, $error> {
                let id = id.into();
                if is_legal(&id) { Ok(Self(id)) } else { Err($error(id.chars().take(80).collect())) }
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(id: &str) -> Result<Self, $error> {
                Self::new(id)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }

        #[cfg(feature = "config")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$" })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        $(#[$error_documentation])*
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("`{0}` is no {what}: 1 to 64 letters, digits, `-`, `_` and `.`", what = $what)]
        pub struct $error(String);
    };
}

fn is_legal(id: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(legal)
}

name! {
    /// A hook's name: 1 to 64 letters, digits, `-`, `_` and `.`.
    HookId, "hook id",
    /// A text that cannot name a hook.
    InvalidHookId
}

name! {
    /// The name of a customer whose hooks and events are apart from those of others: 1 to 64 letters, digits, `-`, `_`
    /// and `.`, so that it is a value of a CloudEvents attribute as it stands.
    TenantId, "tenant id",
    /// A text that cannot name a tenant.
    InvalidTenantId
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn names_are_short_and_plain() {
        for legal in ["a", "Acme-2_x.y", &"a".repeat(64)] {
            assert_eq!(TenantId::new(legal).unwrap().to_string(), legal);
            assert_eq!(legal.parse::<HookId>().unwrap().as_str(), legal);
        }
        for illegal in ["", "a b", "a/b", "\u{e9}", "\"", "a\n", &"a".repeat(65)] {
            assert!(HookId::new(illegal).is_err() && TenantId::new(illegal).is_err(), "{illegal}");
            assert!(serde_json::from_value::<TenantId>(illegal.into()).is_err(), "{illegal}");
        }
        let tenant: TenantId = serde_json::from_str("\"acme\"").unwrap();
        assert_eq!(serde_json::to_string(&tenant).unwrap(), "\"acme\"");
        let expected = "`a b` is no tenant id: 1 to 64 letters, digits, `-`, `_` and `.`";
        assert_eq!(TenantId::new("a b").unwrap_err().to_string(), expected);
    }

    #[test]
    fn ids_of_one_millisecond_sort_by_age() {
        let begin = UNIX_EPOCH + Duration::from_millis(1_700_000_000_000);
        let ids: Vec<_> = (0..8_000).map(|step| uuid_v7_at(begin + Duration::from_nanos(step * 250))).collect();
        assert!(ids.is_sorted() && ids.iter().all(|id| id.get_version_num() == 7));
    }
}
