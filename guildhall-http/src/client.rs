//! A client over HTTP/1.1 and HTTPS, which trusts the system's authorities or given ones.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, USER_AGENT};
use hyper::{Request, Response};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// How long a connection is kept for the next request. Many servers close one after 30 seconds.
const IDLE_TIMEOUT: Duration = Duration::from_secs(25);

/// Why HTTPS cannot be spoken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The certificates given are not valid.
    #[error("the certificates of the authorities are not PEM")]
    Authorities(#[source] rustls::pki_types::pem::Error),
    /// There is no certificate among them, or one that is not valid.
    #[error("none of the certificates of the authorities can be used")]
    NoAuthority,
    /// The system has none.
    #[error("the system's certificates cannot be read")]
    System(#[source] std::io::Error),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// Sends requests and keeps connections open for the next ones. It follows no redirect. Clones share
/// their connections.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl HttpClient {
    /// A client, for HTTPS too where `is_tls`: it then trusts these authorities' certificates (PEM), or
    /// those of the system (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others).
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn new(is_tls: bool, authorities: Option<&[u8]>) -> Result<Self, TlsError> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(is_tls, authorities)?)
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        Ok(Self { client })
    }

    /// Sends a request, as `guildhall/VERSION`, and returns once the head of the answer is there. How
    /// long that may take, and how much of the body is read, is the caller's to bound.
    ///
    /// # Errors
    /// Of the connection.
    ///
    /// # Cancel safety
    /// Dropped, the request may or may not have arrived.
    pub async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Box<dyn Error + Send + Sync>> {
        let name = HeaderValue::from_static(concat!("guildhall/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, name);
        Ok(self.client.request(request).await?)
    }
}

/// What HTTPS trusts.
fn tls(is_used: bool, authorities: Option<&[u8]>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match authorities {
        None if is_used => builder.with_native_roots().map_err(TlsError::System)?,
        None => builder.with_root_certificates(RootCertStore::empty()),
        Some(pem) => {
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
            let certificates = certificates.map_err(TlsError::Authorities)?;
            let mut roots = RootCertStore::empty();
            let (added, _) = roots.add_parsable_certificates(certificates);
            if added == 0 {
                return Err(TlsError::NoAuthority);
            }
            builder.with_root_certificates(roots)
        }
    };
    Ok(builder.with_no_client_auth())
}
