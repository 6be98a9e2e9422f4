//! A service at a URL: TLS to a pinned CA, and the caller's API token. No proxy stands between, no redirect is
//! followed.

use super::{
    Client, ClientError,
    activity::{Activity, Watched},
    api_token::ApiToken,
    exchange::{Connector, Exchange, Patience},
    fingerprint::Fingerprint,
    trust::{self, Found},
    url::ServerUrl,
};
use ::http::HeaderValue;
use rustls::{
    ClientConfig, Error,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A client of the service at this address, whose CA this is; it connects with the first request.
///
/// # Errors
/// The certificate of the CA cannot be used.
pub fn client(url: ServerUrl, ca_pem: &str, api_token: Option<ApiToken>) -> Result<Client, ClientError> {
    let unusable = |error: &dyn std::fmt::Display| ClientError::Untrusted {
        server: url.to_string(),
        cause: format!("the saved certificate of its CA cannot be used: {error}"),
    };
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).map_err(|error| unusable(&error))?;
    let trusted = trust::of_ca(ca).map_err(|error| unusable(&error))?;
    Ok(Client::new(Exchange::new(Https::new(url, trusted, api_token)?, Patience::default())))
}

/// Fetches the DER of the CA's certificate with this fingerprint from the service, which proves in the handshake that
/// it is of it.
///
/// # Errors
/// The service cannot be reached, or is of another CA, or not of this host.
pub async fn fetch_ca(url: ServerUrl, fingerprint: Fingerprint) -> Result<Vec<u8>, ClientError> {
    let found = Found::default();
    let untrusted = |cause: String| ClientError::Untrusted { server: url.to_string(), cause };
    let trusted = trust::of_fingerprint(fingerprint, &found).map_err(|error| untrusted(error.to_string()))?;
    Exchange::new(Https::new(url.clone(), trusted, None)?, Patience::default()).open().await?;
    found.get().map(|ca| ca.to_vec()).ok_or_else(|| untrusted("it did not show its CA".to_owned()))
}

struct Https {
    api_token: Option<ApiToken>,
    host: HeaderValue,
    server_name: ServerName<'static>,
    trusted: Arc<ClientConfig>,
    url: ServerUrl,
}

impl Https {
    fn new(url: ServerUrl, trusted: Arc<ClientConfig>, api_token: Option<ApiToken>) -> Result<Self, ClientError> {
        let unreachable =
            || ClientError::Unreachable { server: url.to_string(), cause: Error::UnsupportedNameType.to_string() };
        let server_name = url.server_name().ok_or_else(unreachable)?;
        let host = HeaderValue::from_str(&url.authority()).map_err(|_| unreachable())?;
        Ok(Self { api_token, host, server_name, trusted, url })
    }
}

impl Connector for Https {
    type Stream = TlsStream<Watched<TcpStream>>;

    async fn connect(&self, activity: &Activity) -> Result<Self::Stream, ClientError> {
        let unreachable =
            |error: std::io::Error| ClientError::Unreachable { server: self.name(), cause: error.to_string() };
        let stream = TcpStream::connect(self.url.authority()).await.map_err(unreachable)?;
        // A request in several pieces must not wait for the other side's acknowledgement of the first.
        stream.set_nodelay(true).map_err(unreachable)?;
        let handshake = TlsConnector::from(Arc::clone(&self.trusted))
            .connect(self.server_name.clone(), Watched::new(stream, activity));
        handshake.await.map_err(|error| trust::fault(self.name(), &error))
    }

    fn name(&self) -> String {
        self.url.to_string()
    }

    fn host(&self) -> HeaderValue {
        self.host.clone()
    }

    fn authorization(&self) -> Option<HeaderValue> {
        self.api_token.as_ref().and_then(ApiToken::authorization)
    }
}
