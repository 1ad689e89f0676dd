//! The HTTP client that hooks share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{BoxError, SinkContext};
use reqwest::Client;
use reqwest::redirect::Policy;
use ring::digest;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

/// Idle connections are dropped after this: just before the minute after which many servers and load
/// balancers close them, so that few requests meet a closing connection.
const IDLE: Duration = Duration::from_secs(55);

/// Most idle connections to one host, for all hooks together.
const MAX_IDLE_PER_HOST: usize = 32;

/// What makes one client different from another. Hooks for which it is the same share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientSettings {
    /// Whether it connects with TLS. Without, nothing of the platform's certificates is loaded, and
    /// nothing fails where there are none.
    pub(crate) is_secure: bool,
    /// Further authorities to trust.
    pub(crate) ca_file: Option<PathBuf>,
    /// With name resolution and TLS.
    pub(crate) connect_timeout: Duration,
}

impl ClientSettings {
    /// The client of these settings: the one that another hook uses, or a new one.
    ///
    /// The file of authorities is read each time, and its content tells clients apart: what is trusted is
    /// what the file says now.
    pub(crate) fn client(&self, context: &SinkContext) -> Result<Arc<Client>, BoxError> {
        let authorities = self.ca_file.as_deref().map(read).transpose()?;
        let content = authorities.as_deref().map(|bytes| digest::digest(&digest::SHA256, bytes));
        let key = format!("{} {content:?} {:?}", self.is_secure, self.connect_timeout);
        context.shared(&key, || self.build(authorities.as_deref()))
    }

    fn build(&self, authorities: Option<&[u8]>) -> Result<Client, BoxError> {
        let tls = if self.is_secure { verified(self.extra_roots(authorities)?)? } else { unused()? };
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            // One connection per request in flight: on a shared HTTP/2 connection a hook that hangs uses up
            // the streams and the flow-control window of the others.
            .http1_only()
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            // The table of results is about what the configured endpoint answers, once.
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            // The environment is not the sink's to read.
            .no_proxy()
            // Also when another crate in the program switches reqwest's features on.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .build()?;
        Ok(client)
    }

    fn extra_roots(&self, authorities: Option<&[u8]>) -> Result<Vec<CertificateDer<'static>>, BoxError> {
        let (Some(path), Some(pem)) = (&self.ca_file, authorities) else { return Ok(Vec::new()) };
        let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let roots = roots.map_err(|error| format!("tls.ca_file {}: {error}", path.display()))?;
        if roots.is_empty() {
            return Err(format!("tls.ca_file {}: no certificate in it", path.display()).into());
        }
        Ok(roots)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BoxError> {
    std::fs::read(path).map_err(|error| format!("tls.ca_file {}: {error}", path.display()).into())
}

/// Trusts what the platform trusts, and these.
fn verified(extra_roots: Vec<CertificateDer<'static>>) -> Result<ClientConfig, rustls::Error> {
    // Named here and not installed for the process: a library does not decide that.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(extra_roots, provider.clone())?;
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    // "dangerous" is how rustls calls any verifier that is not its own.
    let mut tls = tls.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

/// For a client that never uses TLS, but is not built without. Trusts nobody.
fn unused() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(tls.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}
