//! Faults of TLS in plain sentences, each with what to do about it. What rustls says is for programmers.

use rustls::{AlertDescription as Alert, CertificateError as Certificate, Error, PeerIncompatible as Peer};

/// A fault of an attempt, and what to do about it.
pub(crate) struct Fault {
    pub(crate) what: String,
    pub(crate) advice: &'static str,
}

const fn fault(what: String, advice: &'static str) -> Fault {
    Fault { what, advice }
}

pub(crate) fn of(error: &Error) -> Fault {
    match error {
        Error::InvalidCertificate(problem) => of_certificate(problem),
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::PeerIncompatible(peer) => of_peer(peer),
        Error::InvalidMessage(_) => fault(
            "what came back is not TLS".to_owned(),
            "what answers there does not speak TLS: is it http://, or another port?",
        ),
        Error::PeerMisbehaved(_) | Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            fault(
                "the other side breaks the rules of TLS".to_owned(),
                "something is wrong with the receiver's TLS, or with a device on the way that meddles with it",
            )
        }
        Error::NoApplicationProtocol => of_alert(Alert::NoApplicationProtocol),
        other => fault(other.to_string(), "see whether the receiver's TLS works with another client"),
    }
}

fn of_certificate(problem: &Certificate) -> Fault {
    let (what, advice) = match problem {
        Certificate::UnknownIssuer => (
            "the certificate is by an authority that is not trusted here, or by nobody but itself".to_owned(),
            "the certificate is by an authority that is not trusted here: name the authority in `tls.ca_file`, \
             or have the receiver send the certificates between its own and its authority's",
        ),
        Certificate::Expired | Certificate::ExpiredContext { .. } => (
            "the certificate has expired".to_owned(),
            "the certificate has expired: the receiver needs a new one (or this clock is wrong)",
        ),
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => (
            "the certificate is not valid yet".to_owned(),
            "the certificate is not valid yet: is one of the clocks wrong?",
        ),
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            (names(problem), "the certificate is for other names: use one of them in `url`")
        }
        Certificate::InvalidPurpose | Certificate::InvalidPurposeContext { .. } => purpose(),
        Certificate::Revoked => (
            "the certificate was revoked by its authority".to_owned(),
            "the receiver needs a new certificate: this one was revoked",
        ),
        Certificate::BadEncoding => (
            "the certificate can't be read".to_owned(),
            "the receiver's certificate is malformed, or of a kind that is not accepted: it needs another one",
        ),
        // webpki's own errors, which rustls has no name for.
        other => of_text(&format!("{other:?}")),
    };
    fault(what, advice)
}

fn purpose() -> (String, &'static str) {
    (
        "the certificate is not meant for servers (extended key usage)".to_owned(),
        "the receiver shows a certificate that is not for servers: it needs one whose extended key usage has serverAuth",
    )
}

/// By how the error calls itself for programmers: the only way in which it tells what it is.
fn of_text(text: &str) -> (String, &'static str) {
    if text.contains("CaUsedAsEndEntity") {
        return (
            "the certificate is an authority's own, perhaps one that signed itself".to_owned(),
            "the receiver shows an authority's own certificate, perhaps one that it signed itself: it needs one that \
             is no authority's, and `tls.ca_file` names the authority",
        );
    }
    if text.contains("Eku") {
        return purpose();
    }
    if text.contains("Signature") || text.contains("PublicKey") || text.contains("Algorithm") {
        return (
            "the certificate's signature is wrong, or of a kind that is not accepted (an old algorithm, a short key)"
                .to_owned(),
            "the receiver needs a certificate with a usual key and signature: RSA of 2048 bits or more, or ECDSA with \
             P-256 or P-384, and SHA-256 or better",
        );
    }
    ("the certificate can't be used".to_owned(), "the receiver's certificate can't be used: it needs another one")
}

/// The name that was looked for, and those that there are.
fn names(problem: &Certificate) -> String {
    let Certificate::NotValidForNameContext { expected, presented } = problem else {
        return "the certificate is for other names".to_owned();
    };
    let clean = |name: &String| {
        let inner = name.split_once('(').map_or(&**name, |(_, inner)| inner.trim_end_matches(')'));
        format!("`{}`", inner.trim_matches('"'))
    };
    let presented: Vec<_> = presented.iter().take(5).map(clean).collect();
    let others = if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") };
    format!("the certificate is not for `{}`: it is for {others}", expected.to_str())
}

fn of_peer(peer: &Peer) -> Fault {
    match peer {
        Peer::ServerDoesNotSupportTls12Or13
        | Peer::ServerTlsVersionIsDisabledByOurConfig
        | Peer::SupportedVersionsExtensionRequired
        | Peer::Tls12NotOffered
        | Peer::Tls12NotOfferedOrEnabled => of_alert(Alert::ProtocolVersion),
        _ => of_alert(Alert::HandshakeFailure),
    }
}

/// The reason why the other side broke off.
fn of_alert(alert: Alert) -> Fault {
    let (what, advice) = match alert {
        Alert::CertificateRequired
        | Alert::BadCertificate
        | Alert::UnknownCA
        | Alert::CertificateUnknown
        | Alert::UnsupportedCertificate
        | Alert::CertificateExpired
        | Alert::CertificateRevoked
        | Alert::AccessDenied => (
            "the receiver does not accept the client certificate, or the lack of one",
            "the receiver wants to see a client certificate that it knows: set `tls.cert_file` and `tls.key_file`",
        ),
        Alert::NoApplicationProtocol => (
            "the receiver does not speak this version of HTTP",
            "the receiver does not speak this version of HTTP: set `http_version` to \"auto\" or \"1.1\"",
        ),
        Alert::ProtocolVersion => (
            "there is no version of TLS that both sides accept",
            "the receiver speaks no version of TLS that is accepted: see `tls.min_version`; older ones than 1.2 are not \
             spoken at all",
        ),
        Alert::HandshakeFailure | Alert::InsufficientSecurity => (
            "there is no cipher, key exchange or signature that both sides accept",
            "the receiver speaks no version or cipher that is accepted: it needs TLS 1.2 or 1.3 with AES-GCM or \
             ChaCha20 and ECDHE. Or it wants to see a client certificate: see `tls.cert_file`",
        ),
        Alert::UnrecognisedName => (
            "the receiver has no certificate for this name",
            "the receiver knows no host of the name in `url`: check it, or have the receiver serve it",
        ),
        other => {
            let number = u8::from(other);
            return fault(
                format!("the receiver broke off the TLS handshake (alert {number})"),
                "the receiver's own log says why it broke off",
            );
        }
    };
    fault(what.to_owned(), advice)
}
