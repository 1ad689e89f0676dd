//! The meaning of an answer to the question whether a receiver wants to be delivered to. No I/O.

use std::num::NonZeroU32;

use hooks_core::sink::CallHeader;
use http::{HeaderMap, HeaderName};

use super::registry::Granted;
use crate::header_names::{ALLOWED_ORIGIN, ALLOWED_RATE};

/// Reads the permission for this origin. The error is the reason why there is none. A status proves nothing: many servers
/// answer OPTIONS without knowing what was asked.
pub(crate) fn read(headers: &HeaderMap, origin: &str) -> Result<Granted, String> {
    let values = |name: &HeaderName| {
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("text that is not ASCII"));
        values.map(str::trim).collect::<Vec<_>>()
    };
    let origins = values(&ALLOWED_ORIGIN);
    if origins.is_empty() {
        return Err(format!("the answer has no {ALLOWED_ORIGIN}"));
    }
    granted(&origins, &values(&ALLOWED_RATE), origin)
}

/// Reads a call to the address that the receiver was given. Its secret alone grants, as somebody may call it by hand.
pub(crate) fn read_call(headers: &[CallHeader<'_>], origin: &str) -> Result<Granted, String> {
    let values = |name: &HeaderName| {
        let values = headers.iter().filter(|(known, _)| name.as_str() == *known).map(|(_, value)| value.trim());
        values.collect::<Vec<_>>()
    };
    let mut origins = values(&ALLOWED_ORIGIN);
    if origins.is_empty() {
        origins.push(origin);
    }
    granted(&origins, &values(&ALLOWED_RATE), origin)
}

fn granted(origins: &[&str], rates: &[&str], origin: &str) -> Result<Granted, String> {
    if !origins.iter().any(|allowed| *allowed == "*" || allowed.eq_ignore_ascii_case(origin)) {
        return Err(format!("{ALLOWED_ORIGIN} is `{}`, neither `{origin}` nor `*`", origins.join(", ")));
    }
    let mut per_minute = None;
    for rate in rates.iter().filter(|rate| **rate != "*") {
        let Some(rate) = number(rate) else {
            return Err(format!("{ALLOWED_RATE} is `{rate}`, neither requests per minute nor `*`"));
        };
        per_minute = Some(per_minute.map_or(rate, |least: NonZeroU32| least.min(rate)));
    }
    Ok(Granted { per_minute })
}

/// A number that is too long is as good as no limit.
fn number(text: &str) -> Option<NonZeroU32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX)).and_then(NonZeroU32::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(headers: &[(&'static str, &'static str)]) -> Result<Option<u32>, String> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        read(&headers, "events.example.com").map(|granted| granted.per_minute.map(NonZeroU32::get))
    }

    #[test]
    fn granted() {
        let origin = |value| ("webhook-allowed-origin", value);
        let rate = |value| ("WebHook-Allowed-Rate", value);
        assert_eq!(answer(&[origin("events.example.com"), rate("60")]), Ok(Some(60)));
        assert_eq!(answer(&[origin("Events.Example.com"), rate("*")]), Ok(None));
        assert_eq!(answer(&[origin("*"), rate(" 007 ")]), Ok(Some(7)));
        assert_eq!(answer(&[origin("*")]), Ok(None), "no rate was asked for, so none has to be named");
        assert_eq!(answer(&[origin("*"), rate("9"), rate("*"), rate("3")]), Ok(Some(3)));
        assert_eq!(answer(&[origin("other"), origin("*")]), Ok(None));
        assert_eq!(answer(&[origin("*"), rate("99999999999999")]), Ok(Some(u32::MAX)));
    }

    #[test]
    fn a_call_grants_unless_it_says_otherwise() {
        let call = |headers: &[CallHeader<'_>]| {
            read_call(headers, "events.example.com").map(|granted| granted.per_minute.map(NonZeroU32::get))
        };
        assert_eq!(call(&[("user-agent", "a browser")]), Ok(None));
        assert_eq!(call(&[("webhook-allowed-rate", " 60")]), Ok(Some(60)));
        assert_eq!(call(&[("webhook-allowed-origin", "*"), ("webhook-allowed-rate", "*")]), Ok(None));
        assert!(call(&[("webhook-allowed-origin", "other.example")]).unwrap_err().contains("neither"));
        assert!(call(&[("webhook-allowed-rate", "0")]).unwrap_err().contains("webhook-allowed-rate is `0`"));
    }

    #[test]
    fn not_granted() {
        for (headers, why) in [
            (&[][..], "no webhook-allowed-origin"),
            (&[("access-control-allow-origin", "*")], "no webhook-allowed-origin"),
            (&[("webhook-allowed-rate", "*")], "no webhook-allowed-origin"),
            (&[("webhook-allowed-origin", "example.com")], "`example.com`, neither"),
            (&[("webhook-allowed-origin", "")], "``, neither"),
            (&[("webhook-allowed-origin", "https://events.example.com")], "neither"),
            (&[("webhook-allowed-origin", "*"), ("webhook-allowed-rate", "0")], "webhook-allowed-rate is `0`"),
            (&[("webhook-allowed-origin", "*"), ("webhook-allowed-rate", "+1")], "webhook-allowed-rate is `+1`"),
            (&[("webhook-allowed-origin", "*"), ("webhook-allowed-rate", "1.5")], "webhook-allowed-rate is `1.5`"),
            (&[("webhook-allowed-origin", "*"), ("webhook-allowed-rate", "")], "webhook-allowed-rate is ``"),
        ] {
            let refused = answer(headers).unwrap_err();
            assert!(refused.contains(why), "{headers:?}: {refused}");
        }
    }
}
