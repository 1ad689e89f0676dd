//! Keeps web pages away from what needs no token: a browser on the same machine reaches loopback addresses for any page
//! that it shows.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Method};

/// Where a browser says how the page that asks stands to what it asks.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// What to do where it is no web page.
const INSTEAD: &str = "set api.tokens in the daemon's config file, and send one";

/// # Errors
/// When a request without a token may come from a web page of somebody else. A name that only now stands for a loopback
/// address (DNS rebinding) is no loopback name.
pub(super) fn refuse(method: &Method, headers: &HeaderMap) -> Result<(), String> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !is_loopback(host) {
        return Err(format!(
            "without a token the header `host` has to be a loopback address or `localhost`, so that no web page gets in under a name of its own: {INSTEAD}"
        ));
    }
    let is_foreign = |origin: &HeaderValue| !is_of(origin, host);
    let is_from_elsewhere = headers.get(SEC_FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none");
    if changes(method) && (is_from_elsewhere || headers.get_all(ORIGIN).iter().any(is_foreign)) {
        return Err(format!("a web page of another origin can't change anything here without a token: {INSTEAD}"));
    }
    Ok(())
}

/// True for a method that may change something.
pub(super) fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// True for a loopback name or address, with any port.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn is_of(origin: &HeaderValue, host: &str) -> bool {
    let (_, authority) = origin.to_str().ok().and_then(|origin| origin.split_once("://")).unwrap_or_default();
    authority.eq_ignore_ascii_case(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &Method, headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        refuse(method, &headers.collect()).is_err()
    }

    #[test]
    fn only_loopback_names_are_asked_for() {
        for good in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "127.1.2.3", "[::1]:8080", "[::1]"] {
            assert!(!refused(&Method::POST, &[("host", good)]), "{good}");
        }
        for bad in
            ["", "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil", "10.0.0.1", "[::2]"]
        {
            assert!(refused(&Method::GET, &[("host", bad)]), "{bad}");
        }
        assert!(refused(&Method::GET, &[]));
    }

    #[test]
    fn other_pages_change_nothing() {
        let host = ("host", "localhost:8080");
        for own in [("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "none")]
        {
            assert!(!refused(&Method::POST, &[host, own]), "{own:?}");
        }
        for foreign in [
            ("origin", "http://localhost:3000"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            for method in [Method::POST, Method::DELETE, Method::PUT] {
                assert!(refused(&method, &[host, foreign]), "{foreign:?}");
            }
            assert!(!refused(&Method::GET, &[host, foreign]), "reading is the browser's to prevent");
        }
    }
}
