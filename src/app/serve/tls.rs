//! What the listener shows and asks for: TLS 1.3 only, our certificate, and client certificates of the instance's CA
//! for those who have one.

use crate::app::AppError;
use crate::certificates::server;
use crate::keys::Keys;
use crate::pki::name::SubjectAltName;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
    version::TLS13,
};
use std::{
    fmt::Display,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

/// The listener's side of TLS; renewed while it is in use. Empty as long as there was no token to make it with.
#[derive(Clone, Default)]
pub(super) struct Tls(Arc<RwLock<Option<Arc<ServerConfig>>>>);

impl Tls {
    /// Makes key and certificate if need be, and reads them. What cannot be had leaves what was there; connections
    /// that are there stay as they are.
    pub(super) async fn renew(&self, keys: &Keys, directory: &Path, names: &[SubjectAltName]) {
        if let Err(error) = server::ensure(keys, directory, names).await {
            tracing::error!(%error, "the listener's certificate was not made; with the one before, if any, it goes on");
        }
        match config(directory) {
            Ok(config) => *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(config)),
            Err(error) => tracing::error!(%error, "the listener answers nobody until it has a certificate"),
        }
    }

    /// For a new connection.
    pub(super) fn config(&self) -> Option<Arc<ServerConfig>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn config(directory: &Path) -> Result<ServerConfig, AppError> {
    let provider = Arc::new(ring::default_provider());
    let path = directory.join(server::CERTIFICATE);
    let chain = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(unusable)?;
    let key = PrivateKeyDer::from_pem_file(directory.join(server::KEY)).map_err(unusable)?;
    let mut roots = RootCertStore::empty();
    let ca = chain.last().cloned().ok_or_else(|| unusable("its file is empty"))?;
    roots.add(ca).map_err(unusable)?;
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(unusable)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn unusable(cause: impl Display) -> AppError {
    AppError::TlsUnusable { cause: cause.to_string() }
}

/// As ALPN has it (RFC 9113, section 3.1).
pub(super) const HTTP_2: &[u8] = b"h2";
