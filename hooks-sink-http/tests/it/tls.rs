//! Real handshakes.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{DeliveryError, FailureClass, Sink, SinkConfig, Span};
use hooks_sink_http::{HttpConfig, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::raw::once;
use crate::receiver::Receiver;
use crate::{batch, context, sink};

/// An authority of our own, and its certificate in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: tempfile::NamedTempFile,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(issuer.pem().as_bytes()).unwrap();
        Self { issuer, file }
    }

    fn path(&self) -> Option<PathBuf> {
        Some(self.file.path().to_owned())
    }

    /// A receiver with a certificate of this authority for these names.
    async fn receiver(&self, names: &[&str]) -> Receiver {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        let certificate: CertificateDer<'static> = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        Receiver::start_tls(TlsAcceptor::from(Arc::new(config))).await
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
    assert!(error.to_string().ends_with("can't connect"), "{error}");
    error
}

#[tokio::test]
async fn an_authority_of_the_config_is_trusted() {
    let authority = Authority::new("one");
    let receiver = authority.receiver(&["localhost"]).await;
    sink(&config(&receiver, authority.path())).deliver(&batch(&["1"])).await.unwrap();
    assert_eq!(receiver.only().uri, "/in");
}

#[tokio::test]
async fn an_unknown_authority_is_not_trusted() {
    let (authority, other) = (Authority::new("one"), Authority::new("two"));
    let receiver = authority.receiver(&["localhost"]).await;
    let error = refused(&config(&receiver, other.path())).await;
    assert!(error.chain().contains("invalid peer certificate: UnknownIssuer"), "{}", error.chain());
    assert!(receiver.seen().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_trusted() {
    let authority = Authority::new("one");
    let receiver = authority.receiver(&["example.com"]).await;
    let error = refused(&config(&receiver, authority.path())).await;
    assert!(error.chain().contains("not valid for name"), "{}", error.chain());
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_with_the_connect_timeout() {
    let (address, task) = once(async |_held| std::future::pending::<()>().await).await;
    let authority = Authority::new("one");
    let mut config = HttpConfig::new(format!("https://{address}/"));
    config.tls = Some(Box::new(Tls { ca_file: authority.path(), ..Tls::default() }));
    config.connect_timeout = Span(Duration::from_millis(10));
    let error = refused(&config).await;
    assert!(error.chain().contains("timed out"), "{}", error.chain());
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
