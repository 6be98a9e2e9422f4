//! Detached `SignedData` (RFC 5652, section 5): one signer, his chain inside, signed attributes.
//!
//! What signing and verifying share; each has a file of its own.

use super::{PkiError, malformed};
use crate::base::algorithm::{DigestAlgorithm, SignatureAlgorithm};
use crate::pki::public_key::PublicKey;
use cms::{
    cert::IssuerAndSerialNumber,
    content_info::CmsVersion,
    revocation::RevocationInfoChoices,
    signed_data::{DigestAlgorithmIdentifiers, EncapsulatedContentInfo, SignerInfos},
};
use const_oid::db::rfc5912;
use der::{
    Encode, Sequence,
    asn1::{Any, ObjectIdentifier, SetOfVec},
};
use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_cert::Certificate;

/// RFC 5652, section 5.1, with the certificates as they came: encoding them again might change them.
#[derive(Sequence)]
pub(super) struct SignedData {
    pub(super) version: CmsVersion,
    pub(super) digest_algorithms: DigestAlgorithmIdentifiers,
    pub(super) content: EncapsulatedContentInfo,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    pub(super) certificates: Option<SetOfVec<Any>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    pub(super) revocations: Option<RevocationInfoChoices>,
    pub(super) signer_infos: SignerInfos,
}

pub(super) fn issuer_and_serial(certificate: &Certificate) -> IssuerAndSerialNumber {
    let certificate = certificate.tbs_certificate();
    IssuerAndSerialNumber { issuer: certificate.issuer().clone(), serial_number: certificate.serial_number().clone() }
}

pub(super) fn public_key(certificate: &Certificate) -> Result<PublicKey, PkiError> {
    let info = certificate.tbs_certificate().subject_public_key_info().to_der().map_err(malformed)?;
    PublicKey::from_der(&info)
}

/// RFC 8419, section 3.1: with Ed25519 the attributes hold a SHA-512.
pub(super) fn digest_algorithm(algorithm: SignatureAlgorithm) -> DigestAlgorithm {
    algorithm.digest().unwrap_or(DigestAlgorithm::Sha512)
}

pub(super) fn digest(algorithm: DigestAlgorithm, content: &[u8]) -> Vec<u8> {
    match algorithm {
        DigestAlgorithm::Sha256 => Sha256::digest(content).to_vec(),
        DigestAlgorithm::Sha384 => Sha384::digest(content).to_vec(),
        DigestAlgorithm::Sha512 => Sha512::digest(content).to_vec(),
    }
}

pub(super) fn digest_oid(algorithm: DigestAlgorithm) -> ObjectIdentifier {
    match algorithm {
        DigestAlgorithm::Sha256 => rfc5912::ID_SHA_256,
        DigestAlgorithm::Sha384 => rfc5912::ID_SHA_384,
        DigestAlgorithm::Sha512 => rfc5912::ID_SHA_512,
    }
}

#[cfg(test)]
pub(super) mod testing {
    use crate::base::{
        algorithm::SignatureAlgorithm,
        signing::{SignatureFuture, Signer},
        time::Timestamp,
    };
    use crate::pki::cms::sign_detached;
    use p256::ecdsa::{DerSignature, Signature, SigningKey, signature::Signer as _};
    use pkcs8::{DecodePrivateKey, EncodePublicKey};
    use std::{fs, path::Path, process::Command};
    use tempfile::TempDir;

    pub(in super::super) const CONTENT: &[u8] = b"{\"schema\":1}\r\n";
    pub(in super::super) const SIGNED_AT: Timestamp = Timestamp::from_millis(1_767_323_045_006);

    pub(in super::super) struct SoftwareSigner {
        key: SigningKey,
        public_key: Vec<u8>,
        algorithm: SignatureAlgorithm,
    }

    impl SoftwareSigner {
        fn new(key: SigningKey, algorithm: SignatureAlgorithm) -> Self {
            let public_key = key.verifying_key().to_public_key_der().unwrap().into_vec();
            Self { key, public_key, algorithm }
        }

        fn signature(&self, message: &[u8]) -> Vec<u8> {
            if self.algorithm.is_fixed() {
                let fixed: Signature = self.key.sign(message);
                fixed.to_bytes().to_vec()
            } else {
                let der: DerSignature = self.key.sign(message);
                der.as_bytes().to_vec()
            }
        }
    }

    impl Signer for SoftwareSigner {
        fn public_key_der(&self) -> &[u8] {
            &self.public_key
        }

        fn algorithm(&self) -> SignatureAlgorithm {
            self.algorithm
        }

        fn sign<'a>(&'a self, message: &'a [u8]) -> SignatureFuture<'a> {
            Box::pin(async move { Ok(self.signature(message)) })
        }
    }

    /// A root, and a leaf of it whose key is in `leaf.pem`, made by openssl.
    pub(in super::super) struct Issued {
        pub(in super::super) dir: TempDir,
        pub(in super::super) chain: Vec<Vec<u8>>,
    }

    impl Issued {
        pub(in super::super) fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let root = issue(dir.path(), "root", &[]);
            let leaf = issue(dir.path(), "leaf", &["-CA", "root.crt", "-CAkey", "root.pem"]);
            Self { chain: vec![leaf, root], dir }
        }

        pub(in super::super) fn signer(&self, name: &str, algorithm: SignatureAlgorithm) -> SoftwareSigner {
            let pem = fs::read_to_string(self.dir.path().join(name)).unwrap();
            SoftwareSigner::new(SigningKey::from_pkcs8_pem(&pem).unwrap(), algorithm)
        }

        pub(in super::super) async fn signed(&self, algorithm: SignatureAlgorithm) -> Vec<u8> {
            let signer = self.signer("leaf.pem", algorithm);
            sign_detached(CONTENT, &self.chain, SIGNED_AT, &signer).await.unwrap()
        }

        pub(in super::super) fn openssl_verifies(&self, signature: &[u8], content: &[u8]) -> bool {
            fs::write(self.dir.path().join("manifest.json"), content).unwrap();
            fs::write(self.dir.path().join("manifest.p7s"), signature).unwrap();
            let input = ["cms", "-verify", "-binary", "-inform", "DER", "-in", "manifest.p7s"];
            let trust = ["-content", "manifest.json", "-CAfile", "root.crt", "-purpose", "any", "-out", "verified"];
            openssl(self.dir.path(), &[&input[..], &trust].concat())
        }
    }

    pub(in super::super) fn openssl(dir: &Path, args: &[&str]) -> bool {
        Command::new("openssl").args(args).current_dir(dir).output().unwrap().status.success()
    }

    fn issue(dir: &Path, name: &str, issuer: &[&str]) -> Vec<u8> {
        let subject = format!("/CN={name}");
        let (key, pem, der) = (format!("{name}.pem"), format!("{name}.crt"), format!("{name}.der"));
        let common = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let names = ["-days", "2", "-subj", &subject, "-keyout", &key, "-out", &pem];
        assert!(openssl(dir, &[&common[..], &names, issuer].concat()));
        assert!(openssl(dir, &["x509", "-in", &pem, "-outform", "DER", "-out", &der]));
        fs::read(dir.join(der)).unwrap()
    }
}
