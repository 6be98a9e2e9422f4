//! A key in a file of the `openssl` command, as the other side of every promise here.

use super::{public_key::PublicKey, signature::ecdsa_fixed_from_der};
use crate::base::{
    algorithm::{DigestAlgorithm, KeyAlgorithm, KeyFamily, SignatureAlgorithm},
    signing::{SignatureFuture, Signer},
};
use std::{path::Path, process::Command};

/// A software key that signs by `openssl`.
pub(in crate::pki) struct OpensslKey {
    directory: tempfile::TempDir,
    public_key: PublicKey,
    algorithm: SignatureAlgorithm,
}

impl OpensslKey {
    pub(in crate::pki) fn generate(kind: KeyAlgorithm) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let curve = |name| {
            vec!["-algorithm".to_owned(), "EC".to_owned(), "-pkeyopt".to_owned(), format!("ec_paramgen_curve:{name}")]
        };
        let kind_arguments = match kind {
            KeyAlgorithm::P256 => curve("P-256"),
            KeyAlgorithm::P384 => curve("P-384"),
            KeyAlgorithm::P521 => curve("P-521"),
            KeyAlgorithm::Secp256k1 => curve("secp256k1"),
            KeyAlgorithm::Ed25519 => vec!["-algorithm".to_owned(), "ED25519".to_owned()],
            rsa => vec![
                "-algorithm".to_owned(),
                "RSA".to_owned(),
                "-pkeyopt".to_owned(),
                format!("rsa_keygen_bits:{}", rsa.bits()),
            ],
        };
        let mut arguments = vec!["genpkey", "-out", "key.pem"];
        arguments.extend(kind_arguments.iter().map(String::as_str));
        openssl(directory.path(), &arguments);
        let pem = openssl(directory.path(), &["pkey", "-in", "key.pem", "-pubout"]);
        let public_key = PublicKey::from_pem(&String::from_utf8(pem).unwrap()).unwrap();
        assert_eq!(public_key.algorithm(), kind);
        Self { directory, public_key, algorithm: kind.default_signature() }
    }

    pub(in crate::pki) fn signing_with(mut self, algorithm: SignatureAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    pub(in crate::pki) fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    pub(in crate::pki) fn signature(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Vec<u8> {
        std::fs::write(self.directory.path().join("message"), message).unwrap();
        let Some(digest) = algorithm.digest() else {
            return openssl(
                self.directory.path(),
                &["pkeyutl", "-sign", "-rawin", "-inkey", "key.pem", "-in", "message"],
            );
        };
        let digest = match digest {
            DigestAlgorithm::Sha256 => "-sha256",
            DigestAlgorithm::Sha384 => "-sha384",
            DigestAlgorithm::Sha512 => "-sha512",
        };
        let mut arguments = vec!["dgst", digest, "-sign", "key.pem"];
        if algorithm.is_pss() {
            arguments.extend(["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]);
        }
        arguments.push("message");
        let signature = openssl(self.directory.path(), &arguments);
        if !algorithm.is_fixed() {
            return signature;
        }
        let field_bytes = self.public_key.algorithm().bits().div_ceil(8) as usize;
        ecdsa_fixed_from_der(&signature, 2 * field_bytes).unwrap()
    }
}

impl Signer for OpensslKey {
    fn public_key_der(&self) -> &[u8] {
        self.public_key.der()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> SignatureFuture<'a> {
        Box::pin(async { Ok(self.signature(self.algorithm, message)) })
    }
}

/// What `openssl` writes to its standard output; it must succeed.
pub(in crate::pki) fn openssl(directory: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// One key of each kind that X.509 has to work with, with a scheme beside the usual one for RSA.
pub(in crate::pki) fn signers() -> Vec<OpensslKey> {
    let mut keys = vec![
        OpensslKey::generate(KeyAlgorithm::Rsa2048).signing_with(SignatureAlgorithm::RsaPssSha256),
        OpensslKey::generate(KeyAlgorithm::P256).signing_with(SignatureAlgorithm::EcdsaSha256Fixed),
    ];
    let usual = KeyAlgorithm::ALL.iter().filter(|kind| kind.family() != KeyFamily::Rsa || kind.bits() == 2048);
    keys.extend(usual.map(|kind| OpensslKey::generate(*kind)));
    keys
}
