//! What a test delivery shows: request, answer, phases, and advice for common faults.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use hooks_core::Notes;
use http::HeaderMap;
use http::header::LOCATION;
use reqwest::{Request, Response, Url};
use rustls::{AlertDescription, CertificateError};

use crate::endpoint::printable;
use crate::guard::Refused;
use crate::mask::Mask;
use crate::outcome::Received;
use crate::trace::{Phase, Trace};
use crate::transport::find;

/// Most bytes of a header's value that are shown.
const SHOWN: usize = 200;

/// Takes notes of one attempt.
pub(crate) struct Report {
    trace: Arc<Trace>,
    began: OnceLock<Instant>,
}

impl Report {
    /// `resolves`: whether a name has to be resolved before connecting.
    pub(crate) fn new(notes: Notes, resolves: bool) -> Self {
        Self { trace: Arc::new(Trace::new(notes, resolves)), began: OnceLock::new() }
    }

    /// For the client that makes the attempt.
    pub(crate) fn trace(&self) -> Arc<Trace> {
        self.trace.clone()
    }

    pub(crate) fn request(&self, request: &Request, name: &str, mask: &Mask) {
        self.began.get_or_init(Instant::now);
        self.note("request", name);
        self.headers(request.headers(), mask);
        let length = request.body().and_then(|body| body.as_bytes()).map_or(0, <[u8]>::len);
        self.note("  content-length", length.to_string());
    }

    pub(crate) fn answer(&self, response: &Response, mask: &Mask) {
        self.trace.end("");
        let address = response.remote_addr().map_or_else(String::new, |address| format!(" from {address}"));
        self.note("answer", format!("{:?} {}{address}", response.version(), response.status()));
        self.headers(response.headers(), mask);
        self.trace.begin(Phase::Body);
    }

    pub(crate) fn received(&self, received: &Received) {
        self.trace.end(format_args!(" ({} bytes)", received.body.len()));
        self.total();
        if let Some(advice) = of_status(received) {
            self.note("advice", advice);
        }
    }

    pub(crate) fn advise(&self, advice: Option<&'static str>) {
        if let Some(advice) = advice {
            self.note("advice", advice);
        }
    }

    pub(crate) fn failed(&self, error: &reqwest::Error) {
        self.trace.end(", and failed");
        self.total();
        if let Some(advice) = of_error(error) {
            self.note("advice", advice);
        }
    }

    fn total(&self) {
        let took = self.began.get().map(Instant::elapsed).unwrap_or_default();
        self.note("total", format!("{took:.1?}"));
    }

    fn headers(&self, headers: &HeaderMap, mask: &Mask) {
        for (name, value) in headers {
            let shown =
                if value.is_sensitive() { "[secret]".to_owned() } else { mask.excerpt(value.as_bytes(), SHOWN) };
            self.note(format!("  {name}"), shown);
        }
    }

    fn note(&self, what: impl Into<String>, text: impl Into<String>) {
        self.trace.notes().add(what, text);
    }
}

fn of_status(received: &Received) -> Option<String> {
    let advice = match received.status.as_u16() {
        300..=399 => {
            let to = received.headers.get(LOCATION).and_then(|to| to.to_str().ok());
            let to =
                to.and_then(|to| Url::parse(to).ok()).map_or_else(String::new, |to| format!(": {}", printable(&to)));
            return Some(format!("redirects are not followed: set `url` to where it leads{to}"));
        }
        401 | 407 => {
            "the receiver knows no such credentials: check `bearer`, `basic`, `headers` and `secret`, and whether it takes another scheme"
        }
        403 => {
            "the receiver knows who asks and does not let them: check the rights of these credentials, and its firewall's rules"
        }
        404 => "the host answers, but has nothing at this path: check the path of `url`",
        405 => "this path takes no POST: check the path of `url`",
        413 => "the receiver takes less at a time: lower `batch.max_bytes`",
        415 => {
            "the receiver does not take this content type: see whether `mode = \"single\"`, or another `compression`, suits it"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

fn of_error(error: &reqwest::Error) -> Option<String> {
    if find::<Refused>(error).is_some() {
        return Some("the name leads to an address that the guard does not let through: is that meant?".to_owned());
    }
    let advice = match find::<rustls::Error>(error) {
        Some(rustls::Error::InvalidCertificate(problem)) => of_certificate(problem),
        Some(rustls::Error::AlertReceived(alert)) => of_alert(*alert)?,
        Some(rustls::Error::InvalidMessage(_)) => {
            "what answers there does not speak TLS: is it http://, or another port?"
        }
        Some(rustls::Error::PeerIncompatible(_)) => {
            "the receiver speaks no version or cipher that is accepted: see `tls.min_version`"
        }
        _ if error.is_timeout() => {
            "nothing answers in time: check host, port and firewalls on the way, and `connect_timeout`"
        }
        _ if error.is_dns() => "the name has no address: check the host of `url`",
        _ if error.is_connect() => "nothing listens there: check host and port of `url`, and whether the receiver runs",
        _ => return None,
    };
    Some(advice.to_owned())
}

fn of_certificate(problem: &CertificateError) -> &'static str {
    match problem {
        CertificateError::UnknownIssuer => {
            "the certificate is by an authority that is not trusted here: name the authority in `tls.ca_file`, \
             or have the receiver send the certificates between its own and its authority's"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired: the receiver needs a new one (or this clock is wrong)"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet: is one of the clocks wrong?"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for other names: use one of them in `url`"
        }
        // webpki's own error, which rustls has no name for.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "the receiver shows an authority's own certificate, perhaps one that it signed itself: it needs one that \
             is no authority's, and `tls.ca_file` names the authority"
        }
        _ => "the receiver's certificate can't be used: it needs another one",
    }
}

fn of_alert(alert: AlertDescription) -> Option<&'static str> {
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::BadCertificate | AlertDescription::UnknownCA => {
            Some("the receiver wants to see a client certificate that it knows: set `tls.cert_file` and `tls.key_file`")
        }
        AlertDescription::NoApplicationProtocol => {
            Some("the receiver does not speak this version of HTTP: set `http_version` to \"auto\" or \"1.1\"")
        }
        AlertDescription::ProtocolVersion => {
            Some("the receiver speaks no version of TLS that is accepted: see `tls.min_version`")
        }
        _ => None,
    }
}
