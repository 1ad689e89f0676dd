//! Addresses that are not of the public internet: IANA's special-purpose registries, whole.
//!
//! <https://www.iana.org/assignments/iana-ipv4-special-registry> and
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>, rows within others included, so that the list can
//! be compared with theirs. Rows that routers pass on stand here, too: nobody receives webhooks there. Behind
//! them, what the registries don't have: multicast.

use std::net::IpAddr;
use std::sync::LazyLock;

use super::kind::Kind;
use super::kind::Kind::{LinkLocal, Loopback, Private, Special};
use crate::cidr::Cidr;

/// Ranges, what they are to the guard, and what the registry calls them.
const ROWS: [(&str, Kind, &str); 53] = [
    // To 0.0.0.0 the kernel connects as to 127.0.0.1.
    ("0.0.0.0/8", Loopback, "This network"),
    ("0.0.0.0/32", Loopback, "This host on this network"),
    ("10.0.0.0/8", Private, "Private-Use"),
    ("100.64.0.0/10", Private, "Shared Address Space"),
    ("127.0.0.0/8", Loopback, "Loopback"),
    ("169.254.0.0/16", LinkLocal, "Link Local"),
    ("172.16.0.0/12", Private, "Private-Use"),
    ("192.0.0.0/24", Special, "IETF Protocol Assignments"),
    ("192.0.0.0/29", Special, "IPv4 Service Continuity Prefix"),
    ("192.0.0.8/32", Special, "IPv4 dummy address"),
    ("192.0.0.9/32", Special, "Port Control Protocol Anycast"),
    ("192.0.0.10/32", Special, "Traversal Using Relays around NAT Anycast"),
    ("192.0.0.170/32", Special, "NAT64/DNS64 Discovery"),
    ("192.0.0.171/32", Special, "NAT64/DNS64 Discovery"),
    ("192.0.2.0/24", Special, "Documentation (TEST-NET-1)"),
    ("192.31.196.0/24", Special, "AS112-v4"),
    ("192.52.193.0/24", Special, "AMT"),
    ("192.88.99.0/24", Special, "Deprecated (6to4 Relay Anycast)"),
    ("192.88.99.2/32", Special, "6a44-relay anycast address"),
    ("192.168.0.0/16", Private, "Private-Use"),
    ("192.175.48.0/24", Special, "Direct Delegation AS112 Service"),
    ("198.18.0.0/15", Special, "Benchmarking"),
    ("198.51.100.0/24", Special, "Documentation (TEST-NET-2)"),
    ("203.0.113.0/24", Special, "Documentation (TEST-NET-3)"),
    ("240.0.0.0/4", Special, "Reserved"),
    ("255.255.255.255/32", Special, "Limited Broadcast"),
    ("::1/128", Loopback, "Loopback Address"),
    ("::/128", Loopback, "Unspecified Address"),
    // `::ffff:0:0/96` and `64:ff9b::/96` are judged by the IPv4 address in them.
    ("64:ff9b:1::/48", Special, "IPv4-IPv6 Translat."),
    ("100::/64", Special, "Discard-Only Address Block"),
    ("100:0:0:1::/64", Special, "Dummy IPv6 Prefix"),
    ("2001::/23", Special, "IETF Protocol Assignments"),
    ("2001::/32", Special, "TEREDO"),
    ("2001:1::1/128", Special, "Port Control Protocol Anycast"),
    ("2001:1::2/128", Special, "Traversal Using Relays around NAT Anycast"),
    ("2001:1::3/128", Special, "DNS-SD Service Registration Protocol Anycast"),
    ("2001:2::/48", Special, "Benchmarking"),
    ("2001:3::/32", Special, "AMT"),
    ("2001:4:112::/48", Special, "AS112-v6"),
    ("2001:10::/28", Special, "Deprecated (previously ORCHID)"),
    ("2001:20::/28", Special, "ORCHIDv2"),
    ("2001:30::/28", Special, "Drone Remote ID Protocol Entity Tags (DETs) Prefix"),
    ("2001:db8::/32", Special, "Documentation"),
    ("2002::/16", Special, "6to4"),
    ("2620:4f:8000::/48", Special, "Direct Delegation AS112 Service"),
    ("3fff::/20", Special, "Documentation"),
    ("5f00::/16", Special, "Segment Routing (SRv6) SIDs"),
    ("fc00::/7", Private, "Unique-Local"),
    ("fe80::/10", LinkLocal, "Link-Local Unicast"),
    ("fec0::/10", Special, "Site-Local Unicast"),
    ("224.0.0.0/4", Special, "Multicast"),
    ("ff00::/8", Special, "Multicast"),
    ("::/96", Special, "IPv4-Compatible Addresses"),
];

static RANGES: LazyLock<Vec<(Cidr, Kind)>> =
    LazyLock::new(|| ROWS.iter().filter_map(|(range, kind, _)| Some((range.parse().ok()?, *kind))).collect());

/// The part of IPv6 that is given out at all.
static GLOBAL_UNICAST: LazyLock<Option<Cidr>> = LazyLock::new(|| "2000::/3".parse().ok());

/// The kind of an address; `None`: one of the public internet.
pub(super) fn kind(address: IpAddr) -> Option<Kind> {
    let row = RANGES.iter().find(|(range, _)| range.contains(address));
    let is_given_out = || address.is_ipv4() || GLOBAL_UNICAST.is_some_and(|range| range.contains(address));
    row.map(|(_, kind)| *kind).or_else(|| (!is_given_out()).then_some(Special))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::Guard;
    use ipnet::IpNet;

    /// The first and last address of each range is refused; so are those just outside, unless they are public.
    #[test]
    fn every_row() {
        assert_eq!((RANGES.len(), GLOBAL_UNICAST.is_some()), (ROWS.len(), true));
        let guard = Guard::new(Vec::new());
        for (range, kind, name) in ROWS {
            let net: IpNet = range.parse().unwrap();
            for address in [net.network(), net.addr(), net.broadcast()] {
                let refused = guard.judge(address).unwrap_err();
                assert!(
                    refused.kind == kind || refused.kind == Kind::Metadata || name.contains("Compatible"),
                    "{refused}"
                );
            }
        }
    }

    /// The neighbours of ranges that border on the public internet.
    #[test]
    fn nothing_more() {
        let guard = Guard::new(Vec::new());
        for open in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.31.195.255",
            "192.31.197.0",
            "192.52.192.255",
            "192.52.194.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "192.175.47.255",
            "192.175.49.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "2000::",
            "2000:ffff::",
            "2001:200::",
            "2001:db7:ffff::",
            "2001:db9::",
            "2001:ffff::",
            "2003::",
            "2620:4f:7fff::",
            "2620:4f:8001::",
            "3ffe:ffff::",
            "3fff:1000::",
            "3fff:ffff::",
        ] {
            assert!(guard.judge(open.parse().unwrap()).is_ok(), "{open} is public");
        }
        for shut in ["1fff:ffff::", "4000::", "2001:1ff:ffff::", "5eff::", "6000::", "e000::", "fe00::", "::2"] {
            assert!(guard.judge(shut.parse().unwrap()).is_err(), "{shut}");
        }
    }
}
