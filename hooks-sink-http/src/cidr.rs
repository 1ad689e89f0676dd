//! A range of addresses as people write it: `10.0.0.0/8`, `fd00::/8`, or one address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

/// A range of addresses: `10.0.0.0/8`, `fd00::/8`. One address stands for itself.
///
/// ```
/// use hooks_sink_http::Cidr;
///
/// let range: Cidr = "10.1.0.0/16".parse()?;
/// assert!(range.contains("10.1.2.3".parse()?));
/// assert!("10.1.2.3/16".parse::<Cidr>().is_err(), "no range begins there");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr(IpNet);

impl Cidr {
    /// True if the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// True if all of it lies in the other.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        other.0.contains(&self.0)
    }
}

impl From<IpAddr> for Cidr {
    fn from(address: IpAddr) -> Self {
        Self(IpNet::from(address))
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        if leads_with_zero(address) || length.is_some_and(|length| length.len() > 1 && length.starts_with('0')) {
            // Where URLs are read, `010` is 8.
            return Err(format!("`{text}` has leading zeros, which some read as octal: write it without"));
        }
        let expected = || "expected a range of addresses, for example \"10.0.0.0/8\"".to_owned();
        let address = address.parse::<IpAddr>().map_err(|_| expected())?;
        let net = match length {
            None => IpNet::from(address),
            Some(length) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                let length = length.parse().map_err(|_| expected())?;
                IpNet::new(address, length).map_err(|_| expected())?
            }
            Some(_) => return Err(expected()),
        };
        if net.trunc() != net {
            return Err(format!("`{net}` begins within its range: write {}", net.trunc()));
        }
        // Addresses are judged by what is embedded in them, so such a range would never hold one.
        if matches!(net, IpNet::V6(v6) if v6.prefix_len() >= 96 && v6.addr().to_ipv4_mapped().is_some()) {
            return Err("write the IPv4 range itself: mapped addresses are judged by it".to_owned());
        }
        Ok(Self(net))
    }
}

/// A part of an IPv4 address with a zero before it.
fn leads_with_zero(address: &str) -> bool {
    let has_zero =
        |part: &str| part.len() > 1 && part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit());
    // The IPv4 part of an IPv6 address, too.
    address.contains('.') && address.rsplit(':').next().is_some_and(|v4| v4.split('.').any(has_zero))
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "config")]
impl schemars::JsonSchema for Cidr {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cidr".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["10.0.0.0/8", "fd00::/8", "127.0.0.1"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_are_none() {
        let problem = |text: &str| text.parse::<Cidr>().unwrap_err();
        for text in ["", "10.0.0.0/33", "10.0/8", "example.com", "::/129", "10.0.0.0/8 "] {
            assert!(problem(text).contains("expected a range"), "{text}: {}", problem(text));
        }
        for text in ["10.0.0.0/+8", "10.0.0.0/", "/8", "10.0.0.0/8/8", "10.0.0.0/256", "0x0a.0.0.0/8", "10"] {
            assert!(problem(text).contains("expected a range"), "{text}: {}", problem(text));
        }
        for text in ["010.0.0.0/8", "10.00.0.0/16", "127.0.0.01", "10.0.0.0/08", "::ffff:010.0.0.0/104", "fd00::/08"] {
            assert!(problem(text).contains("leading zeros"), "{text}: {}", problem(text));
        }
        assert!("fd00:0001::/32".parse::<Cidr>().is_ok(), "groups of IPv6 are hexadecimal anyway");
        assert!(problem("10.0.0.1/8").contains("write 10.0.0.0/8"));
        assert!(problem("::ffff:10.0.0.0/104").contains("IPv4 range itself"));
    }

    #[test]
    fn one_address_is_a_range() {
        let one: Cidr = "127.0.0.1".parse().unwrap();
        assert_eq!(one.to_string(), "127.0.0.1/32");
        assert!(one.is_within(&"127.0.0.0/8".parse().unwrap()) && !one.contains("127.0.0.2".parse().unwrap()));
        assert!(!one.is_within(&"::/0".parse().unwrap()));
    }
}
