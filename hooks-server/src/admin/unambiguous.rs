//! JSON that all who read it understand in the same way. No name stands twice in a table: of two, some readers take the
//! first and others the last, so what a proxy has checked might not be what is done here. And `1.0` is the integer `1`, as
//! in JSON Schema: some who write JSON know one kind of numbers.

use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

/// Reads a body.
///
/// # Errors
/// When it is no JSON, has a name twice, or is something else than what is asked for.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    let Unambiguous(json) = serde_json::from_slice(body)?;
    serde_json::from_value(json)
}

struct Unambiguous(Json);

/// A greater floating-point number is read so roughly that it might be a neighbour of the integer that was written.
const GREATEST: f64 = (1_u64 << 48) as f64;

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values).map(Self)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        let is_integer = value.fract() == 0.0 && value.abs() < GREATEST;
        Ok(if is_integer { (value as i64).into() } else { value.into() })
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(Unambiguous(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Json, A::Error> {
        let mut members = serde_json::Map::new();
        while let Some(name) = table.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(format!("`{name}` stands twice")));
            }
            let Unambiguous(value) = table.next_value()?;
            members.insert(name, value);
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_read_but_names_that_stand_twice() {
        for text in
            [r#"{"a":[1,-2,3.5,true,null,{"b":"\u00e9"}],"b":{"a":{}}}"#, "[]", "7", "\"x\"", "18446744073709551615"]
        {
            assert_eq!(
                serde_json::from_str::<Unambiguous>(text).unwrap().0,
                serde_json::from_str::<Json>(text).unwrap()
            );
        }
        for text in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"c":2,"\u0061":3}}]"#] {
            let error = read::<Json>(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("`a` stands twice at line 1"), "{error}");
        }
        assert!(read::<Json>("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn a_whole_number_is_an_integer_however_it_is_written() {
        assert_eq!(
            read::<Vec<i64>>(b"[1.0, 1e3, -0.0, 281474976710655.0]").unwrap(),
            [1, 1_000, 0, 281_474_976_710_655]
        );
        assert_eq!(read::<Vec<f64>>(b"[1.5, 1e300]").unwrap(), [1.5, 1e300]);
        assert!(read::<Vec<i64>>(b"[1.5]").is_err() && read::<Vec<i64>>(b"[1e15]").is_err());
    }
}
