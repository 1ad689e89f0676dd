//! The meaning of a token endpoint's answer (RFC 6749, section 5). No I/O and no clock.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value as Json;

/// A token as it was issued.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Issued {
    /// `Bearer …`
    pub(super) authorization: HeaderValue,
    /// Where it is not known, the token is good until the receiver refuses it.
    pub(super) lifetime: Option<Duration>,
}

#[derive(Deserialize)]
struct Success {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<Json>,
}

#[derive(Deserialize)]
struct Failure {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// What an answer without a token says. A body that may hold one all the same is not quoted.
fn said(status: StatusCode, body: &[u8]) -> String {
    if let Ok(Failure { error, error_description }) = serde_json::from_slice(body) {
        return format!("{error} {error_description}");
    }
    let body = String::from_utf8_lossy(body);
    let is_error = status.is_client_error() || status.is_server_error();
    if !body.is_empty() && (!is_error || body.to_ascii_lowercase().contains("token")) {
        return "its body may hold a token, and is not shown".to_owned();
    }
    body.into_owned()
}

/// Reads an answer. Some servers issue tokens with 201. The error is the reason why there is no token, and may hold what
/// the endpoint wrote.
pub(super) fn read(status: StatusCode, body: &[u8]) -> Result<Issued, String> {
    if !status.is_success() {
        let advice = if status.is_redirection() { " (redirects are not followed)" } else { "" };
        return Err(format!("{status}{advice}: {}", said(status, body).trim()));
    }
    // An error of the parser may quote the token.
    let Ok(Success { access_token, token_type, expires_in }) = serde_json::from_slice(body) else {
        return Err(format!("{status}, but the body is no JSON with an `access_token`"));
    };
    if let Some(other) = token_type.filter(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(format!("{status}, but its token_type is `{other}`: only bearer tokens can be sent"));
    }
    let value =
        Some(access_token).filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
    let value = value.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
    let Some(mut authorization) = value else {
        return Err(format!("{status}, but its access_token can't be sent in a header"));
    };
    authorization.set_sensitive(true);
    let lifetime = expires_in.and_then(|seconds| match seconds {
        // Some write it in quotes, or with a fraction.
        Json::String(text) => text.parse().ok(),
        other => other.as_f64(),
    });
    let lifetime = lifetime.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok());
    Ok(Issued { authorization, lifetime })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifetime(body: &str) -> Option<u64> {
        read(StatusCode::OK, body.as_bytes()).unwrap().lifetime.map(|lifetime| lifetime.as_secs())
    }

    #[test]
    fn a_token_and_its_lifetime() {
        // RFC 6749, section 4.4.3.
        let body = br#"{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"example","expires_in":3600}"#;
        let why = read(StatusCode::OK, body).unwrap_err();
        assert_eq!(why, "200 OK, but its token_type is `example`: only bearer tokens can be sent");
        let body = br#"{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"bearer","expires_in":3600,"x":{}}"#;
        let issued = read(StatusCode::OK, body).unwrap();
        assert_eq!(issued.authorization, "Bearer 2YotnFZFEjr1zCsicMWpAA");
        assert!(issued.authorization.is_sensitive());
        assert_eq!(issued.lifetime, Some(Duration::from_secs(3600)));
    }

    #[test]
    fn lifetimes_as_servers_write_them() {
        let created = read(StatusCode::CREATED, br#"{"access_token":"t","expires_in":60}"#).unwrap();
        assert_eq!(created.lifetime, Some(Duration::from_secs(60)));
        for (written, seconds) in [
            ("60", Some(60)),
            (r#""60""#, Some(60)),
            ("59.9", Some(59)),
            ("0", Some(0)),
            ("-1", None),
            ("null", None),
            ("1e300", None),
        ] {
            assert_eq!(lifetime(&format!(r#"{{"access_token":"t","expires_in":{written}}}"#)), seconds, "{written}");
        }
        assert_eq!(lifetime(r#"{"access_token":"t"}"#), None);
    }

    #[test]
    fn what_is_no_token() {
        for (status, body, why) in [
            (
                400,
                r#"{"error":"invalid_client","error_description":"no such client"}"#,
                "400 Bad Request: invalid_client no such client",
            ),
            (400, r#"{"error":"invalid_scope"}"#, "400 Bad Request: invalid_scope"),
            (503, "<h1>busy</h1>", "503 Service Unavailable: <h1>busy</h1>"),
            (302, "", "302 Found (redirects are not followed):"),
            (
                302,
                "/?t=open-sesame",
                "302 Found (redirects are not followed): its body may hold a token, and is not shown",
            ),
            (400, r#"{"access_token":"sesame"}"#, "400 Bad Request: its body may hold a token, and is not shown"),
            (500, r#"{"error":"late","access_token":"sesame"}"#, "500 Internal Server Error: late"),
            (201, "sesame", "201 Created, but the body is no JSON with an `access_token`"),
            (200, "", "200 OK, but the body is no JSON with an `access_token`"),
            (200, r#"{"access_token":7}"#, "200 OK, but the body is no JSON with an `access_token`"),
            (200, r#"{"access_token":""}"#, "200 OK, but its access_token can't be sent in a header"),
            (200, r#"{"access_token":"a b"}"#, "200 OK, but its access_token can't be sent in a header"),
            (200, "{\"access_token\":\"a\\r\\nx: y\"}", "200 OK, but its access_token can't be sent in a header"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(read(status, body.as_bytes()).unwrap_err().trim(), why, "{body}");
        }
    }
}
