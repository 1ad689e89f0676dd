//! The `Host` header of a request.

use http::header::HOST;
use http::{HeaderMap, Version};

use super::answer::Refusal;

/// The asked host has to be clear (RFC 9112, §3.2): where it is not, another server in between may have understood
/// something else.
pub(super) fn check(version: Version, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let why = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => "stands twice",
        (Some(host), None) if !is_host(host.as_bytes()) => "is no host and port",
        (None, _) if version == Version::HTTP_11 => "is missing",
        _ => return Ok(()),
    };
    Err(Refusal::Host(why))
}

fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_graphic() && !b",/?#@\\".contains(byte))
}
