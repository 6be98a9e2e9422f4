//! Which server is trusted: TLS 1.3 (RFC 8446) with a certificate for its host, of the one CA that was pinned and no
//! other.

use super::{ClientError, fingerprint::Fingerprint};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::TLS13,
};
use std::sync::{Arc, OnceLock};

/// Trusts the servers of this CA.
pub(super) fn of_ca(ca: CertificateDer<'static>) -> Result<Arc<ClientConfig>, Error> {
    let verifier = verifier(&ca)?;
    config(verifier)
}

/// Trusts the servers of the CA with this fingerprint, which they show; `found` is told it.
pub(super) fn of_fingerprint(fingerprint: Fingerprint, found: &Found) -> Result<Arc<ClientConfig>, Error> {
    config(Arc::new(ByFingerprint { fingerprint, found: Arc::clone(found), provider: ring::default_provider() }))
}

/// The certificate of a CA, once a server has shown it and was found to be of it.
pub(super) type Found = Arc<OnceLock<CertificateDer<'static>>>;

/// What the library says of a failed handshake: the server is not trusted, or there is no server of TLS.
pub(super) fn fault(server: String, error: &std::io::Error) -> ClientError {
    let fault = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match fault {
        Some(Error::InvalidCertificate(fault)) => ClientError::Untrusted { server, cause: words(fault) },
        Some(Error::NoCertificatesPresented) => {
            ClientError::Untrusted { server, cause: "it shows no certificate".to_owned() }
        }
        _ => ClientError::Unreachable { server, cause: error.to_string() },
    }
}

fn config(verifier: Arc<dyn ServerCertVerifier>) -> Result<Arc<ClientConfig>, Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn verifier(ca: &CertificateDer<'static>) -> Result<Arc<WebPkiServerVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone())?;
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()))
        .build()
        .map_err(|error| Error::General(error.to_string()))
}

/// Finds the pinned CA among what the server shows, then verifies as always.
#[derive(Debug)]
struct ByFingerprint {
    fingerprint: Fingerprint,
    found: Found,
    provider: CryptoProvider,
}

impl ServerCertVerifier for ByFingerprint {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        shown: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pinned = shown.iter().find(|certificate| self.fingerprint.matches(certificate));
        let ca = pinned.ok_or(CertificateError::UnknownIssuer)?.clone().into_owned();
        let verified = verifier(&ca)?.verify_server_cert(leaf, shown, name, stapled, now)?;
        // The first of two connections found it; it is the same.
        let _ = self.found.set(ca);
        Ok(verified)
    }

    /// Never called: the configuration has TLS 1.3 only.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

/// What a person can do something with.
fn words(fault: &CertificateError) -> String {
    match fault {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is not of the CA that was pinned".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; is this machine's clock right?".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is not for this host; `[http] names` in its keyward.toml lists its names".to_owned()
        }
        other => other.to_string(),
    }
}
