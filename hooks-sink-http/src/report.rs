//! The report of a test delivery: request, answer, phases, and advice for common faults.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use hooks_core::{Phase, sink::Notes};
use http::header::LOCATION;
use http::{HeaderMap, Request};
use hyper::body::Body;
use url::Url;

use crate::answered::{Answered, Unanswered};
use crate::connect::{Step, Unconnected};
use crate::endpoint::printable;
use crate::guard::Refused;
use crate::http2;
use crate::mask::Mask;
use crate::received::{End, Received};
use crate::resolve::Unresolved;
use crate::tls;
use crate::trace::Trace;
use crate::transport::find;

/// Takes notes of one attempt.
pub(crate) struct Report {
    trace: Arc<Trace>,
    began: OnceLock<Instant>,
}

impl Report {
    pub(crate) fn new(notes: Notes) -> Self {
        Self { trace: Arc::new(Trace::with_notes(notes)), began: OnceLock::new() }
    }

    /// For the client that makes the attempt.
    pub(crate) fn trace(&self) -> Arc<Trace> {
        self.trace.clone()
    }

    pub(crate) fn request(&self, request: &Request<impl Body>, name: &str, mask: &Mask) {
        self.began.get_or_init(Instant::now);
        self.note("request", name);
        self.headers(request.headers(), mask);
        let length = request.body().size_hint().exact().unwrap_or(0);
        self.note("  content-length", length.to_string());
    }

    pub(crate) fn answer(&self, Answered { response, connection, .. }: &Answered, mask: &Mask) {
        self.trace.end("");
        let address =
            connection.as_ref().map_or_else(String::new, |connection| format!(" from {}", connection.address));
        self.note("answer", format!("{:?} {}{address}", response.version(), response.status()));
        self.headers(response.headers(), mask);
        self.trace.begin(Phase::Body);
    }

    /// `by_token`: the request had an access token that was issued for it.
    pub(crate) fn received(&self, received: &Received, by_token: bool) {
        let more = match received.end {
            End::Unread(_) => Some("something that can't be read"),
            End::Begun => Some("headers that did not end"),
            _ => None,
        };
        if let Some(more) = more {
            self.trace.end("");
            self.note("answer", format!("{}, and then {more}", received.status));
        }
        self.trace.end(format_args!(" ({} bytes)", received.body.len()));
        self.total();
        if let Some(advice) = of_status(received, by_token) {
            self.note("advice", advice);
        }
    }

    pub(crate) fn advise(&self, advice: Option<&'static str>) {
        if let Some(advice) = advice {
            self.note("advice", advice);
        }
    }

    pub(crate) fn failed(&self, error: &Unanswered) {
        self.trace.end(", and failed");
        self.total();
        if let Some(advice) = of_error(error) {
            self.note("advice", advice);
        }
    }

    /// There is an access token: a new one, or the one that was there; or none, for this reason.
    pub(crate) fn token(&self, is_new: bool, withheld: Option<&str>) {
        match withheld {
            None if is_new => self.note("oauth2", "a new access token"),
            None => self.note("oauth2", "the access token that was there"),
            Some(_) => {
                self.note("oauth2", "no access token");
                self.note("advice", "check `oauth2`: `token_url`, `client_id`, the secret, `client_auth` and `scopes`");
            }
        }
    }

    /// The receiver has granted deliveries, or has not, for this reason.
    pub(crate) fn granted(&self, withheld: Option<&str>) {
        self.trace.end("");
        if withheld.is_none() {
            return self.note("verify", "granted");
        }
        self.note("verify", "not granted");
        self.total();
        self.note(
            "advice",
            "have the receiver answer OPTIONS with `webhook-allowed-origin`, which is what `webhook-request-origin` says \
             or `*`; or remove `verify`",
        );
    }

    /// The attempt's time is over, and no answer began.
    pub(crate) fn late(&self) {
        self.total();
        self.note(
            "advice",
            "no answer comes in time: check host and port of `url`, and have the receiver answer before it works on what \
             it got, or raise `retry.attempt_timeout`",
        );
    }

    fn total(&self) {
        let took = self.began.get().map(Instant::elapsed).unwrap_or_default();
        self.note("total", format!("{took:.1?}"));
    }

    fn headers(&self, headers: &HeaderMap, mask: &Mask) {
        for (name, value) in headers {
            self.note(format!("  {name}"), mask.header(value));
        }
    }

    fn note(&self, what: impl Into<String>, text: impl Into<String>) {
        self.trace.note(what, text);
    }
}

fn of_status(received: &Received, by_token: bool) -> Option<String> {
    let advice = match received.status.as_u16() {
        300..=399 => {
            let to = received.headers.get(LOCATION).and_then(|to| to.to_str().ok());
            let to =
                to.and_then(|to| Url::parse(to).ok()).map_or_else(String::new, |to| format!(": {}", printable(&to)));
            return Some(format!("redirects are not followed: set `url` to where it leads{to}"));
        }
        407 => PROXY_CREDENTIALS,
        401 if by_token => {
            "the receiver does not take the access token: check whether `oauth2.scopes`, and an audience in `oauth2.parameters`, are those that it asks for, and whether it trusts the server of `oauth2.token_url`"
        }
        403 if by_token => {
            "the receiver takes the access token and does not let its client: check `oauth2.scopes`, and the rights of `oauth2.client_id`"
        }
        401 => {
            "the receiver knows no such credentials: check `bearer`, `basic`, `headers` and `secret`, and whether it takes another scheme"
        }
        403 => {
            "the receiver knows who asks and does not let them: check the rights of these credentials, and its firewall's rules"
        }
        404 => "the host answers, but has nothing at this path: check the path of `url`",
        405 | 501 => "this path takes no such method: check the path of `url`, and `method`",
        505 => "the receiver does not take this version of HTTP: see `http_version`",
        410 => "the receiver says that nothing is there any more, and that disables the hook: check the path of `url`",
        413 => "the receiver takes less at a time: lower `batch.max_bytes`",
        415 => {
            "the receiver does not take this content type: see whether `mode = \"single\"`, or another `compression`, suits it"
        }
        429 => "the receiver takes less at a time: see `rate_limit`",
        400 | 422 => {
            "the receiver does not take this event, whose type is that of a test: its log says why, and see whether \
             `mode = \"single\"` suits it"
        }
        502 | 504 => {
            "a proxy before the receiver does not reach it: see the proxy's log, and whether the receiver runs"
        }
        500.. => "the receiver failed: its own log says why",
        _ => return None,
    };
    Some(advice.to_owned())
}

fn of_error(error: &Unanswered) -> Option<String> {
    if find::<Refused>(error).is_some() {
        return Some("the name leads to an address that the guard does not let through: is that meant?".to_owned());
    }
    let Some(unconnected) = find::<Unconnected>(error) else { return Some(unanswered(error).to_owned()) };
    let setting = if unconnected.proxy.is_some() { "proxy" } else { "url" };
    if find::<Unresolved>(error).is_some() {
        return Some(format!("the name has no address: check the host of `{setting}`"));
    }
    let is_late = find::<std::io::Error>(error).is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut);
    let advice = match unconnected.step {
        Step::Late { secures: true, .. } => {
            "the connection is there, but the other side does not go on with the TLS handshake: does it speak TLS at this \
             port (https:// or http://), or is it, or a proxy or firewall on the way, too busy? See also `connect_timeout`"
                .to_owned()
        }
        Step::Late { .. } => {
            format!(
                "nothing answers in time: check host and port of `{setting}`, firewalls on the way, and `connect_timeout`"
            )
        }
        Step::Reach if is_late => {
            format!(
                "nothing answers in time: check host and port of `{setting}`, firewalls on the way, and `connect_timeout`"
            )
        }
        Step::Reach if unconnected.proxy.is_some() => {
            "nothing listens there: check host and port of `proxy`, and whether the proxy runs".to_owned()
        }
        Step::Reach => "nothing listens there: check host and port of `url`, and whether the receiver runs".to_owned(),
        Step::Tunnel(status) => of_tunnel(status).to_owned(),
        Step::Secure => tls::advice(error)
            .unwrap_or(
                "the connection ended within the TLS handshake: is it http://, another port, or a firewall on the way?",
            )
            .to_owned(),
    };
    Some(advice)
}

/// For what was connected to and ended without an answer.
fn unanswered(error: &Unanswered) -> &'static str {
    if http2::is_malformed(error) {
        return "the answer is no legal HTTP/2: a header of HTTP/1 (`connection`, `keep-alive`, `transfer-encoding`), a wrong \
                `content-length`, or too long a head. Have the receiver, or a proxy before it, put that right, or set \
                `http_version` to \"1.1\", where its status counts all the same";
    }
    if http2::is_of(error) {
        return "does the receiver speak HTTP/2? If not, set `http_version` to \"auto\" or \"1.1\". If so, its log, or that \
                of a proxy before it, says why it ended the request";
    }
    if find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) {
        return "what answers is no HTTP/1: check scheme and port of `url`, and `http_version`";
    }
    "the connection ended before an answer came: check scheme (does the receiver want https://?) and port of `url`, and \
     see the log of the receiver, or of a proxy before it"
}

fn of_tunnel(status: Option<u16>) -> &'static str {
    match status {
        Some(407) => PROXY_CREDENTIALS,
        Some(400..500) => "the proxy does not let through to this receiver: see its rules for CONNECT, host and port",
        Some(_) => "the proxy can't reach the receiver: check the host of `url`, and what the proxy's log says",
        None => "what answers at `proxy` is no HTTP proxy: check its host and port",
    }
}

const PROXY_CREDENTIALS: &str =
    "the proxy knows no such credentials: write them into `proxy`, as http://user:password@host:port";
