//! How clients reach the service.

use crate::{Outcome, figures::Way, http1::Connection};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    version::TLS13,
};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// One way to the service; clones share what they were made of.
#[derive(Clone)]
pub(crate) enum Carrier {
    /// By TLS 1.3 with a client certificate.
    MutualTls { address: SocketAddr, connector: TlsConnector },
    /// By the socket, as this machine's user.
    Socket(PathBuf),
}

impl Carrier {
    /// For a client whose certificate and key stand in two PEM files; the service shows a certificate of `ca`.
    pub(crate) fn mutual_tls(address: SocketAddr, ca: &Path, certificate: &Path, key: &Path) -> Outcome<Self> {
        let chain = |path| CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut roots = RootCertStore::empty();
        roots.add(chain(ca)?.pop().ok_or("no certificate of the CA")?)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain(certificate)?, PrivateKeyDer::from_pem_file(key)?)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self::MutualTls { address, connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Its name in results.
    pub(crate) const fn way(&self) -> Way {
        match self {
            Self::MutualTls { .. } => Way::MutualTls,
            Self::Socket(_) => Way::Socket,
        }
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Outcome<Connection> {
        match self {
            Self::MutualTls { address, connector } => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let stream = connector.connect(ServerName::try_from("localhost")?, stream).await?;
                Ok(Connection::new(Box::new(stream)))
            }
            Self::Socket(path) => Ok(Connection::new(Box::new(UnixStream::connect(path).await?))),
        }
    }
}
