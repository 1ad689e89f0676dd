//! The TLS settings of connections.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use hooks_core::BoxError;
use ring::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WantsClientCert};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;

use crate::config::{HttpVersion, Tls, TlsVersion};
use crate::stream::Stream;
pub(crate) use crate::system::known as system_files;
use crate::transport::find;
use crate::{faults, files, system};

/// The files of the settings, as they are now.
#[derive(Default)]
pub(crate) struct Files {
    authorities: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    /// Stamps of the files of the system's authorities, which tell that these changed.
    system: Vec<system::Stamp>,
}

impl Files {
    /// Reads all that are named.
    pub(crate) fn read(tls: &Tls) -> Result<Self, BoxError> {
        let read = |setting, path: &Option<_>| path.as_deref().map(|path| files::pem(setting, path)).transpose();
        Ok(Self {
            authorities: read("tls.ca_file", &tls.ca_file)?,
            certificate: read("tls.cert_file", &tls.cert_file)?,
            key: read("tls.key_file", &tls.key_file)?,
            system: if tls.dangerously_accept_any_certificate { Vec::new() } else { system::stamps() },
        })
    }

    /// Tells apart what they hold.
    pub(crate) fn fingerprint(&self) -> String {
        let print = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(|bytes| digest::digest(&digest::SHA256, bytes));
        let Self { authorities, certificate, key, system } = self;
        format!("{:?} {:?} {:?} {system:?}", print(authorities), print(certificate), print(key))
    }
}

/// How streams are secured.
#[derive(Clone)]
pub(crate) struct Secured(Arc<ClientConfig>);

impl Secured {
    pub(crate) fn new(tls: &Tls, files: &Files, version: HttpVersion) -> Result<Self, BoxError> {
        let config = verified(tls, files)?;
        let mut config = identified(config, tls, files)?;
        config.alpn_protocols = match version {
            HttpVersion::Http1 => vec![b"http/1.1".to_vec()],
            HttpVersion::Http2 => vec![b"h2".to_vec()],
            HttpVersion::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        Ok(Self(Arc::new(config)))
    }

    /// Makes each handshake one of somebody who never was there.
    pub(crate) fn as_a_stranger(&mut self) {
        Arc::make_mut(&mut self.0).resumption = Resumption::disabled();
    }

    /// Offers no version of HTTP to choose from.
    pub(crate) fn offer_nothing(&mut self) {
        Arc::make_mut(&mut self.0).alpn_protocols.clear();
    }

    /// Secures a stream, and tells whether HTTP/2 was agreed on.
    pub(crate) async fn connect(
        &self,
        host: String,
        stream: Box<dyn Stream>,
    ) -> Result<(Box<dyn Stream>, bool), BoxError> {
        let stream = TlsConnector::from(self.0.clone()).connect(ServerName::try_from(host)?, stream).await?;
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((Box::new(stream), is_h2))
    }
}

/// The fault of TLS that caused an error, if one did.
pub(crate) fn fault(error: &(dyn Error + 'static)) -> Option<String> {
    find(error).map(|error| faults::of(error).what)
}

/// What to do about it.
pub(crate) fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    find(error).map(|error| faults::of(error).advice)
}

fn verified(tls: &Tls, files: &Files) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, BoxError> {
    let provider = provider()?;
    let versions: &[&SupportedProtocolVersion] = match tls.min_version {
        TlsVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let config = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions)?;
    let verifier: Arc<dyn ServerCertVerifier> = if tls.dangerously_accept_any_certificate {
        Arc::new(AcceptAnyCertificate(provider))
    } else {
        Arc::new(Verifier::new_with_extra_roots(authorities(tls, files)?, provider)?)
    };
    // "dangerous" is how rustls calls any verifier that is not its own.
    Ok(config.dangerous().with_custom_certificate_verifier(verifier))
}

/// The cryptography that the process has installed as its default, or one that is built in. Nothing is installed
/// here, and nothing is guessed from what other crates have switched on: a library does not decide that.
fn provider() -> Result<Arc<CryptoProvider>, BoxError> {
    match (CryptoProvider::get_default(), built_in()) {
        (Some(installed), _) => Ok(installed.clone()),
        (None, Some(provider)) => Ok(Arc::new(provider)),
        (None, None) => Err("no cryptography for TLS is built in: switch on the feature `ring` or `aws-lc-rs` of \
                             hooks-sink-http, or install a default provider of rustls"
            .into()),
    }
}

#[cfg(feature = "ring")]
fn built_in() -> Option<CryptoProvider> {
    Some(rustls::crypto::ring::default_provider())
}

#[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
fn built_in() -> Option<CryptoProvider> {
    Some(rustls::crypto::aws_lc_rs::default_provider())
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
fn built_in() -> Option<CryptoProvider> {
    None
}

fn authorities(tls: &Tls, files: &Files) -> Result<Vec<CertificateDer<'static>>, BoxError> {
    match (&tls.ca_file, &files.authorities) {
        (Some(path), Some(pem)) => certificates("tls.ca_file", path, pem),
        _ => Ok(Vec::new()),
    }
}

/// Adds the client's own certificate, if there is one.
fn identified(
    config: ConfigBuilder<ClientConfig, WantsClientCert>,
    tls: &Tls,
    files: &Files,
) -> Result<ClientConfig, BoxError> {
    let (Some(cert_path), Some(key_path), Some(chain), Some(key)) =
        (&tls.cert_file, &tls.key_file, &files.certificate, &files.key)
    else {
        return Ok(config.with_no_client_auth());
    };
    let chain = certificates("tls.cert_file", cert_path, chain)?;
    let problem = |what: &dyn std::fmt::Display| BoxError::from(format!("tls.key_file {}: {what}", key_path.display()));
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| problem(&"no private key in it (PEM, unencrypted)"))?;
    config.with_client_auth_cert(chain, key).map_err(|error| problem(&error))
}

fn certificates(setting: &str, path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BoxError> {
    let problem = |what: &dyn std::fmt::Display| BoxError::from(format!("{setting} {}: {what}", path.display()));
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let list = list.map_err(|error| problem(&error))?;
    if list.is_empty() { Err(problem(&"no certificate in it")) } else { Ok(list) }
}

/// Takes every certificate. Signatures of the handshake are still checked: the other side has the key of
/// the certificate that it shows.
#[derive(Debug)]
struct AcceptAnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
