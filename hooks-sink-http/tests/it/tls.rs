//! Real handshakes.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{
    HumanDuration, Sink,
    sink::{DeliveryError, FailureClass, SinkConfig},
};
use hooks_sink_http::{HttpConfig, HttpVersion, Tls, TlsVersion};
use hooks_test::http::Receiver;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;

use crate::raw::once;
use crate::{batch, context, sink};

/// An authority of our own, and its certificate in a file.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: tempfile::NamedTempFile,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(issuer.pem().as_bytes()).unwrap();
        Self { issuer, file }
    }

    pub(crate) fn path(&self) -> Option<PathBuf> {
        Some(self.file.path().to_owned())
    }

    /// A certificate of this authority, and its key.
    pub(crate) fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        change(&mut params);
        Identity { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }

    /// A receiver with a certificate of this authority for these names.
    pub(crate) async fn receiver(&self, names: &[&str]) -> Receiver {
        self.issue(names, |_| {}).plain().await
    }
}

const ALL: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];

/// A certificate and its key.
pub(crate) struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Identity {
    /// Signed by nobody else.
    pub(crate) fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { certificate: CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap(), key }
    }

    /// A receiver that shows this certificate. With `clients` it takes only clients of that authority.
    pub(crate) async fn receiver(
        &self,
        clients: Option<&Authority>,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
    ) -> Receiver {
        Receiver::start_tls(self.acceptor(clients, versions, alpn)).await
    }

    /// A server that shows this certificate to everybody.
    pub(crate) fn plain_acceptor(&self) -> TlsAcceptor {
        self.acceptor(None, ALL, &[])
    }

    fn acceptor(
        &self,
        clients: Option<&Authority>,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
    ) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).unwrap();
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.issuer.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                config.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let mut config = config.with_single_cert(vec![self.certificate.der().clone()], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// A receiver that shows this certificate to everybody.
    pub(crate) async fn plain(&self) -> Receiver {
        self.receiver(None, ALL, &[]).await
    }

    /// As files: certificate and key.
    fn files(&self) -> [tempfile::NamedTempFile; 2] {
        [self.certificate.pem(), self.key.serialize_pem()].map(|pem| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), pem).unwrap();
            file
        })
    }
}

fn config(receiver: &Receiver, ca_file: Option<PathBuf>) -> HttpConfig {
    let mut config = HttpConfig::new(format!("https://localhost:{}/in", receiver.address.port()));
    config.tls = Some(Box::new(Tls { ca_file, ..Tls::default() }));
    config
}

async fn refused(config: &HttpConfig) -> DeliveryError {
    let error = sink(config).deliver(&batch(&["1"])).await.unwrap_err();
    assert_eq!(error.class, FailureClass::Retry);
    assert!(error.to_string().contains(": can't connect"), "{error}");
    error
}

#[tokio::test]
async fn an_authority_of_the_config_is_trusted() {
    let authority = Authority::new("one");
    let receiver = authority.receiver(&["localhost"]).await;
    sink(&config(&receiver, authority.path())).deliver(&batch(&["1"])).await.unwrap();
    assert_eq!(receiver.only().uri, "/in");
}

/// The program chooses the process's default, not a library that it links.
#[tokio::test]
async fn nothing_is_installed_for_the_process() {
    let authority = Authority::new("one");
    let receiver = authority.receiver(&["localhost"]).await;
    sink(&config(&receiver, authority.path())).deliver(&batch(&["1"])).await.unwrap();
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}

#[tokio::test]
async fn an_unknown_authority_is_not_trusted() {
    let (authority, other) = (Authority::new("one"), Authority::new("two"));
    let receiver = authority.receiver(&["localhost"]).await;
    let error = refused(&config(&receiver, other.path())).await;
    assert!(
        error.chain().contains(": the certificate is by an authority that is not trusted here"),
        "{}",
        error.chain()
    );
    assert!(receiver.seen().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_trusted() {
    let authority = Authority::new("one");
    let receiver = authority.receiver(&["example.com"]).await;
    let error = refused(&config(&receiver, authority.path())).await;
    assert!(
        error.chain().contains("the certificate is not for `localhost`: it is for `example.com`"),
        "{}",
        error.chain()
    );
}

#[tokio::test]
async fn a_certificate_that_expired_is_not_trusted() {
    let authority = Authority::new("one");
    let expired = authority.issue(&["localhost"], |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let receiver = expired.plain().await;
    let error = refused(&config(&receiver, authority.path())).await;
    assert!(error.chain().contains("with TLS: the certificate has expired"), "{}", error.chain());
    assert!(receiver.seen().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_self_signed_certificate_is_not_trusted_but_on_demand() {
    let receiver = Identity::self_signed("localhost").plain().await;
    let error = refused(&config(&receiver, Authority::new("other").path())).await;
    assert!(error.chain().contains("with TLS: the certificate is "), "{}", error.chain());
    assert!(receiver.seen().is_empty(), "nothing was sent");

    let mut anybody = config(&receiver, None);
    anybody.tls.as_mut().unwrap().dangerously_accept_any_certificate = true;
    sink(&anybody).deliver(&batch(&["1"])).await.unwrap();
    assert_eq!(anybody.warnings().len(), 1);
    // Also for another name and with an older version.
    let receiver = Identity::self_signed("elsewhere").receiver(None, &[&TLS12], &[]).await;
    let mut anybody = config(&receiver, None);
    anybody.tls.as_mut().unwrap().dangerously_accept_any_certificate = true;
    sink(&anybody).deliver(&batch(&["1"])).await.unwrap();
    assert_eq!(receiver.seen().len(), 1);
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let (authority, clients) = (Authority::new("servers"), Authority::new("clients"));
    let receiver = authority.issue(&["localhost"], |_| {}).receiver(Some(&clients), ALL, &["http/1.1"]).await;
    let with = |files: &[tempfile::NamedTempFile; 2]| {
        let mut config = config(&receiver, authority.path());
        let tls = config.tls.as_mut().unwrap();
        (tls.cert_file, tls.key_file) = (Some(files[0].path().to_owned()), Some(files[1].path().to_owned()));
        config
    };
    let (known, unknown) = (clients.issue(&["me"], |_| {}), Authority::new("strangers").issue(&["me"], |_| {}));
    let (known, unknown) = (known.files(), unknown.files());
    sink(&with(&known)).deliver(&batch(&["1"])).await.unwrap();
    assert_eq!(receiver.seen().len(), 1);

    // One of somebody else, or none at all. With TLS 1.3 a client learns of it only after its handshake.
    for config in [with(&unknown), config(&receiver, authority.path())] {
        let error = sink(&config).deliver(&batch(&["1"])).await.unwrap_err();
        assert_eq!(error.class, FailureClass::Retry, "{}", error.chain());
    }
    assert_eq!(receiver.seen().len(), 1, "nothing came through");
}

#[tokio::test]
async fn a_missing_client_certificate_is_named() {
    let (authority, clients) = (Authority::new("servers"), Authority::new("clients"));
    let receiver = authority.issue(&["localhost"], |_| {}).receiver(Some(&clients), &[&TLS12], &[]).await;
    let error = refused(&config(&receiver, authority.path())).await;
    assert!(error.chain().contains("does not accept the client certificate, or the lack of one"), "{}", error.chain());
}

#[tokio::test]
async fn key_and_certificate_belong_together() {
    let authority = Authority::new("one");
    let receiver = authority.receiver(&["localhost"]).await;
    let (one, other) = (authority.issue(&["a"], |_| {}).files(), authority.issue(&["b"], |_| {}).files());
    let build = |cert: &tempfile::NamedTempFile, key: &tempfile::NamedTempFile| {
        let mut config = config(&receiver, authority.path());
        let tls = config.tls.as_mut().unwrap();
        (tls.cert_file, tls.key_file) = (Some(cert.path().to_owned()), Some(key.path().to_owned()));
        config.build(&context(&Arc::default())).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(build(&one[0], &one[1]), Ok(()));
    let error = build(&one[0], &other[1]).unwrap_err();
    assert!(error.starts_with(&format!("tls.key_file {}: ", other[1].path().display())), "{error}");
    let error = build(&one[1], &one[1]).unwrap_err();
    assert!(error.starts_with("tls.cert_file") && error.ends_with("no certificate in it"), "{error}");
    let error = build(&one[0], &one[0]).unwrap_err();
    assert!(error.starts_with("tls.key_file") && error.contains("no private key in it"), "{error}");
}

#[tokio::test]
async fn an_older_version_is_refused_on_demand() {
    let authority = Authority::new("one");
    let receiver = authority.issue(&["localhost"], |_| {}).receiver(None, &[&TLS12], &[]).await;
    let mut config = config(&receiver, authority.path());
    sink(&config).deliver(&batch(&["1"])).await.unwrap();
    config.tls.as_mut().unwrap().min_version = TlsVersion::Tls13;
    refused(&config).await;
    assert_eq!(receiver.seen().len(), 1);
}

#[tokio::test]
async fn http2_where_the_receiver_offers_it() {
    use http::Version;
    let authority = Authority::new("one");
    let identity = authority.issue(&["localhost"], |_| {});
    for (offered, version, spoken) in [
        (&["h2", "http/1.1"][..], HttpVersion::Auto, Version::HTTP_2),
        (&["http/1.1"], HttpVersion::Auto, Version::HTTP_11),
        (&[], HttpVersion::Auto, Version::HTTP_11),
        (&["h2", "http/1.1"], HttpVersion::Http1, Version::HTTP_11),
        (&["h2", "http/1.1"], HttpVersion::Http2, Version::HTTP_2),
    ] {
        let receiver = identity.receiver(None, ALL, offered).await;
        let mut config = config(&receiver, authority.path());
        config.http_version = version;
        let mut sink = sink(&config);
        for _ in 0..2 {
            sink.deliver(&batch(&["1"])).await.unwrap();
        }
        let seen: Vec<_> = receiver.seen().iter().map(|seen| (seen.version, seen.connection)).collect();
        assert_eq!(seen, [(spoken, 1), (spoken, 1)], "{offered:?} {version:?}");
    }
    let receiver = identity.receiver(None, ALL, &["http/1.1"]).await;
    let mut config = config(&receiver, authority.path());
    config.http_version = HttpVersion::Http2;
    let error = refused(&config).await;
    assert!(error.chain().contains("does not speak this version of HTTP"), "{}", error.chain());
}

#[tokio::test]
async fn http2_without_asking() {
    let receiver = Receiver::start_h2().await;
    let mut config = HttpConfig::new(receiver.url("/in"));
    config.http_version = HttpVersion::Http2;
    sink(&config).deliver(&batch(&["1", "2"])).await.unwrap();
    let seen = receiver.only();
    assert_eq!((seen.version, seen.uri.path()), (http::Version::HTTP_2, "/in"));
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_with_the_connect_timeout() {
    let (address, task) = once(async |_held| std::future::pending::<()>().await).await;
    let authority = Authority::new("one");
    let mut config = HttpConfig::new(format!("https://{address}/"));
    config.tls = Some(Box::new(Tls { ca_file: authority.path(), ..Tls::default() }));
    config.connect_timeout = Some(HumanDuration::new(Duration::from_millis(10)));
    let error = refused(&config).await;
    assert!(error.chain().contains("within the connect timeout of 10ms"), "{}", error.chain());
    task.abort();
}

#[tokio::test]
async fn a_new_authority_takes_effect_with_the_next_sink() {
    let (old, new) = (Authority::new("one"), Authority::new("two"));
    let receiver = new.receiver(&["localhost"]).await;
    let config = config(&receiver, old.path());
    let shared = Arc::default();
    let mut before = config.build(&context(&shared)).unwrap();
    before.deliver(&batch(&["1"])).await.unwrap_err();
    std::fs::copy(new.file.path(), old.file.path()).unwrap();
    // The first sink and its client are still there.
    config.build(&context(&shared)).unwrap().deliver(&batch(&["1"])).await.unwrap();
    before.deliver(&batch(&["1"])).await.unwrap_err();
}

#[tokio::test]
async fn a_file_without_authorities_is_an_error() {
    let receiver = Receiver::ok().await;
    let empty = tempfile::NamedTempFile::new().unwrap();
    for (path, part) in
        [(empty.path().to_owned(), "no certificate in it"), ("/nonexistent/ca.pem".into(), "No such file")]
    {
        let error = config(&receiver, Some(path)).build(&context(&Arc::default())).unwrap_err().to_string();
        assert!(error.starts_with("tls.ca_file /") && error.contains(part), "{error}");
    }
}
