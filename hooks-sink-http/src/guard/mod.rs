//! The address guard: decides where a webhook may be sent. No I/O: an address goes in, a verdict comes out.
//!
//! Whoever may choose where webhooks go could otherwise reach what only this machine or its network may
//! reach: databases, admin pages, the cloud's metadata service. A name is judged by the address that is
//! really connected to, after each resolution, so that a name which changes its mind gains nothing.
//!
//! The ranges are those of the IANA special-purpose registries, and addresses under which clouds serve metadata
//! and credentials.

mod kind;
mod registry;

use std::net::{IpAddr, Ipv4Addr};

use url::Host;

use crate::cidr::Cidr;
use kind::Kind;

/// Judges addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guard {
    allowed: Vec<Cidr>,
}

/// The refusal of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address guard refuses {address} ({kind}): {}", advice(*.kind, *.address))]
pub(crate) struct Refused {
    address: IpAddr,
    kind: Kind,
}

impl Guard {
    /// Lets through what is public, and these ranges.
    pub(crate) fn new(allowed: Vec<Cidr>) -> Self {
        Self { allowed }
    }

    /// True if a webhook may go to this address.
    pub(crate) fn judge(&self, address: IpAddr) -> Result<(), Refused> {
        let address = embedded(address);
        let Some(kind) = kind(address) else { return Ok(()) };
        let opens = |cidr: &&Cidr| cidr.contains(address) && is_specific(cidr, kind, address);
        if self.allowed.iter().any(|cidr| opens(&cidr)) { Ok(()) } else { Err(Refused { address, kind }) }
    }

    /// True if a webhook may go to this host, as far as can be told without asking anybody. `Url` has
    /// read every spelling of an address by now.
    pub(crate) fn judge_host<S>(&self, host: &Host<S>) -> Result<(), Refused> {
        match host {
            Host::Ipv4(address) => self.judge(IpAddr::V4(*address)),
            Host::Ipv6(address) => self.judge(IpAddr::V6(*address)),
            Host::Domain(_) => Ok(()),
        }
    }
}

/// A wide range opens private networks alone. Loopback and link-local addresses need an entry within their
/// own range, a metadata service one for its very address.
fn is_specific(cidr: &Cidr, kind: Kind, address: IpAddr) -> bool {
    let within =
        |ranges: &[&str]| ranges.iter().filter_map(|range| range.parse().ok()).any(|range| cidr.is_within(&range));
    match kind {
        Kind::Private | Kind::Special => true,
        Kind::Loopback => within(&["127.0.0.0/8", "0.0.0.0/8", "::1", "::"]),
        Kind::LinkLocal => within(&["169.254.0.0/16", "fe80::/10"]),
        Kind::Metadata => *cidr == Cidr::from(address),
    }
}

/// The IPv4 address within an IPv6 one that leads to it: mapped (`::ffff:0:0/96`), or through NAT64
/// (`64:ff9b::/96`, RFC 6052).
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            Ipv4Addr::new(a, b, c, d).into()
        }
        _ => address,
    }
}

/// The kind of an address; `None`: one of the public internet.
fn kind(address: IpAddr) -> Option<Kind> {
    if is_metadata(address) { Some(Kind::Metadata) } else { registry::kind(address) }
}

fn is_metadata(address: IpAddr) -> bool {
    match address {
        // EC2, GCE, Azure and most others; Azure's wire server; Alibaba; Oracle.
        IpAddr::V4(v4) => {
            matches!(v4.octets(), [169, 254, 169, 254] | [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192])
        }
        // EC2 over IPv6.
        IpAddr::V6(v6) => v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254],
    }
}

fn advice(kind: Kind, address: IpAddr) -> String {
    let cidr = Cidr::from(address);
    match kind {
        Kind::Private | Kind::Special => {
            format!("the operator may open it by a range in allow_cidrs, for example \"{cidr}\"")
        }
        Kind::Loopback | Kind::LinkLocal | Kind::Metadata => {
            format!("the operator may open it, only by an entry of its own in allow_cidrs: \"{cidr}\"")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    fn guard(allowed: &[&str]) -> Guard {
        Guard::new(allowed.iter().map(|cidr| cidr.parse().unwrap()).collect())
    }

    fn is_open(guard: &Guard, address: &str) -> bool {
        guard.judge(address.parse().unwrap()).is_ok()
    }

    /// IPv4 addresses are judged the same within IPv6.
    #[test]
    fn ipv4_in_ipv6() {
        let mut at = 0u32;
        let guard = guard(&["10.0.0.0/8"]);
        while let Some(next) = at.checked_add(0x000f_4243) {
            let v4 = Ipv4Addr::from(at);
            let [a, b, c, d] = v4.octets();
            for text in [format!("::ffff:{v4}"), format!("64:ff9b::{a:02x}{b:02x}:{c:02x}{d:02x}")] {
                assert_eq!(is_open(&guard, &text), is_open(&guard, &v4.to_string()), "{text}");
            }
            at = next;
        }
        // Other forms that hold an IPv4 address lead nowhere public.
        for text in ["::127.0.0.1", "::8.8.8.8", "64:ff9b:1::808:808", "2002:808:808::", "::ffff:0:808:808"] {
            assert!(!is_open(&guard, text), "{text}");
        }
        assert!(is_open(&guard, "::ffff:8.8.8.8") && is_open(&guard, "64:ff9b::808:808"));
    }

    /// The kind that the `host` of a URL is refused as.
    fn refused(guard: &Guard, host: &str) -> Option<String> {
        let url = Url::parse(&format!("http://{host}/")).unwrap();
        guard.judge_host(&url.host().unwrap()).err().map(|refused| refused.to_string())
    }

    #[test]
    fn odd_spellings() {
        let guard = guard(&[]);
        for host in [
            "127.0.0.1",
            "127.0.0.1.",
            "2130706433",
            "0x7f000001",
            "0x7F.1",
            "017700000001",
            "0177.0.0.1",
            "127.1",
            "127.0.1",
            "0",
            "0x0",
            "0.0.0.0",
            "0x7f.0x0.0x0.0x1",
            "127.0.0.1:80",
            "user@127.0.0.1",
            "[::1]",
            "[::]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::7f00:1]",
            "[::127.0.0.1]",
            "１２７.0.0.1",
            "①②⑦.0.0.1",
            "127。0。0。1",
            "%31%32%37.0.0.1",
            "127.0.0.0x1",
        ] {
            assert!(refused(&guard, host).is_some_and(|why| why.contains("refuses")), "{host}");
        }
        for (host, kind) in [
            ("2852039166", "metadata"),
            ("0xa9fea9fe", "metadata"),
            ("169.254.43518", "metadata"),
            ("[fd00:ec2::254]", "metadata"),
            ("168.63.129.16", "metadata"),
            ("3232235777", "private"),
            ("[fe80::1]", "link-local"),
            ("[fd12::1]", "private"),
            ("4294967295", "public internet"),
        ] {
            assert!(refused(&guard, host).is_some_and(|why| why.contains(kind)), "{host}: {:?}", refused(&guard, host));
        }
        for host in ["8.8.8.8", "134744072", "[2606:4700::1111]", "example.com", "localhost", "intranet", "1.1"] {
            assert_eq!(refused(&guard, host), None, "{host}: public, or a name that is judged once it is resolved");
        }
    }

    #[test]
    fn a_wide_range_opens_private_networks_only() {
        let wide = guard(&["0.0.0.0/0", "::/0"]);
        for open in ["10.1.2.3", "192.168.0.1", "100.64.0.1", "fd00::1", "198.18.0.1", "::ffff:10.0.0.1"] {
            assert!(is_open(&wide, open), "{open}");
        }
        for shut in [
            "127.0.0.1",
            "0.0.0.0",
            "::1",
            "::",
            "169.254.1.1",
            "fe80::1",
            "169.254.169.254",
            "168.63.129.16",
            "100.100.100.200",
            "fd00:ec2::254",
        ] {
            assert!(!is_open(&wide, shut), "{shut}");
        }
    }

    #[test]
    fn entries_of_their_own() {
        let guard = guard(&["127.0.0.1", "::1", "169.254.0.0/16", "168.63.129.16", "10.1.0.0/16"]);
        for open in ["127.0.0.1", "::ffff:127.0.0.1", "::1", "169.254.1.1", "168.63.129.16", "10.1.255.255"] {
            assert!(is_open(&guard, open), "{open}");
        }
        for shut in ["127.0.0.2", "0.0.0.0", "::", "169.254.169.254", "10.2.0.0", "192.168.1.1", "fe80::1"] {
            assert!(!is_open(&guard, shut), "{shut}");
        }
    }

    #[test]
    fn the_way_out_is_said() {
        let why = guard(&[]).judge("127.0.0.1".parse().unwrap()).unwrap_err().to_string();
        assert_eq!(
            why,
            "the address guard refuses 127.0.0.1 (this machine): the operator may open it, only by an entry of its \
             own in allow_cidrs: \"127.0.0.1/32\""
        );
    }
}
