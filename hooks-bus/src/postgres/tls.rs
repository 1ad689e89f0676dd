//! TLS of connections, with the checks that `sslmode` asks for.

use std::path::Path;
use std::sync::Arc;

use hooks_core::BusError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::{PostgresConfig, SslMode};
use crate::files;

/// Makes TLS of connections.
pub(super) async fn connector(config: &PostgresConfig) -> Result<MakeRustlsConnect, BusError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(config, &provider).await?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BusError::Unavailable(format!("TLS: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let client = match (&config.sslcert, &config.sslkey) {
        (Some(cert), Some(key)) => {
            let wrong = |error: &dyn std::error::Error| BusError::Unavailable(format!("sslcert, sslkey: {error}"));
            let certificates = certificates("sslcert", cert).await?;
            let text = files::read("sslkey", key).await?;
            let key = PrivateKeyDer::from_pem_slice(&text)
                .map_err(|_| BusError::Unavailable(format!("sslkey {}: no private key in PEM", key.display())))?;
            builder.with_client_auth_cert(certificates, key).map_err(|error| wrong(&error))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(MakeRustlsConnect::new(client))
}

async fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, BusError> {
    let text = files::read(setting, path).await?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(BusError::Unavailable(format!("{setting} {}: no certificate in PEM", path.display()))),
    }
}

async fn verifier(
    config: &PostgresConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, BusError> {
    let checks_name = config.sslmode == SslMode::VerifyFull;
    let checks = checks_name || config.sslmode == SslMode::VerifyCa || config.sslrootcert.is_some();
    if !checks {
        return Ok(Arc::new(Verifier { inner: None, provider: provider.clone() }));
    }
    let mut roots = RootCertStore::empty();
    match &config.sslrootcert {
        Some(path) => {
            for certificate in certificates("sslrootcert", path).await? {
                let added = roots.add(certificate);
                added.map_err(|error| BusError::Unavailable(format!("sslrootcert {}: {error}", path.display())))?;
            }
        }
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let inner = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone()).build();
    let inner = inner.map_err(|error| BusError::Unavailable(format!("sslrootcert: {error}")))?;
    if checks_name { Ok(inner) } else { Ok(Arc::new(Verifier { inner: Some(inner), provider: provider.clone() })) }
}

/// Checks less than a browser would: the authority alone, or nothing.
#[derive(Debug)]
struct Verifier {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // The name is checked last, when the rest is right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            checked => checked,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
