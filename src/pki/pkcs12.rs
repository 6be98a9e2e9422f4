//! PKCS#12 files (RFC 7292): one private key with its chain and its alias, for programs that want a file.
//!
//! Two profiles, because no single one is read everywhere; neither ever uses RC2.

use super::{PkiError, private_key::check_passphrase};
use crate::base::{algorithm::named, secret::Secret};
use p12_keystore::{
    Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, PrivateKey, PrivateKeyChain,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

named! {
    /// Which algorithms protect the file, and so which programs read it.
    Pkcs12Profile, "PKCS#12 profile" {
        /// 3DES for key and certificates, SHA-1 MAC: what `modern` opens in, and Java before 8u301, Windows Server
        /// 2016, iOS 17, macOS 14.
        Compat = "compat",
        /// PBES2 with AES-256-CBC and PBKDF2-HMAC-SHA-256, SHA-256 MAC: OpenSSL 3, Java from 8u301, NSS, GnuTLS,
        /// Windows from Server 2019.
        Modern = "modern",
    }
}

/// What goes into the file.
#[derive(Clone, Copy)]
pub struct Pkcs12<'a> {
    /// The private key, as PKCS#8 DER.
    pub private_key: &'a [u8],
    /// Certificates as DER, that of the key first, each issued by the next.
    pub chain: &'a [Vec<u8>],
    /// The name that readers show for the key (friendlyName).
    pub alias: &'a str,
    /// The algorithms.
    pub profile: Pkcs12Profile,
}

/// Writes the file, encrypted and authenticated with the passphrase.
///
/// # Errors
/// [`PkiError::PassphraseUnsuitable`] for a passphrase that [`check_passphrase`] refuses,
/// [`PkiError::PrivateKeyMalformed`] or [`PkiError::CertificateMalformed`] for what cannot be read.
pub fn build(contents: &Pkcs12<'_>, passphrase: &Secret) -> Result<Vec<u8>, PkiError> {
    check_passphrase(passphrase)?;
    let passphrase = str::from_utf8(passphrase.expose()).map_err(not_encoded)?;
    let protection = contents.profile.protection();
    store(contents)?
        .writer(passphrase)
        .encryption_algorithm(protection.encryption)
        .encryption_iterations(protection.iterations)
        .mac_algorithm(protection.mac)
        .mac_iterations(protection.iterations)
        .write()
        .map_err(not_encoded)
}

/// The crate's own type keeps a copy of the key that is not zeroed, so it lives for this one call only.
fn store(contents: &Pkcs12<'_>) -> Result<KeyStore, PkiError> {
    let key = PrivateKey::from_der(contents.private_key)
        .map_err(|error| PkiError::PrivateKeyMalformed { cause: error.to_string() })?;
    let chain = contents
        .chain
        .iter()
        .map(|certificate| Certificate::from_der(certificate))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| PkiError::CertificateMalformed { cause: error.to_string() })?;
    let entry = PrivateKeyChain::new(local_key_id(contents.chain), key, chain);
    let mut store = KeyStore::new();
    store.add_entry(contents.alias, KeyStoreEntry::PrivateKeyChain(entry));
    Ok(store)
}

/// Joins key and certificate for the reader; openssl takes a digest of the certificate too.
fn local_key_id(chain: &[Vec<u8>]) -> Vec<u8> {
    Sha256::digest(chain.first().map_or(&[][..], Vec::as_slice)).to_vec()
}

struct Protection {
    encryption: EncryptionAlgorithm,
    mac: MacAlgorithm,
    iterations: u32,
}

impl Pkcs12Profile {
    const fn protection(self) -> Protection {
        match self {
            Self::Compat => Protection {
                encryption: EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc,
                mac: MacAlgorithm::HmacSha1,
                iterations: COMPAT_ITERATIONS,
            },
            Self::Modern => Protection {
                encryption: EncryptionAlgorithm::PbeWithHmacSha256AndAes256,
                mac: MacAlgorithm::HmacSha256,
                iterations: MODERN_ITERATIONS,
            },
        }
    }
}

fn not_encoded(cause: impl ToString) -> PkiError {
    PkiError::Encoding { what: "a PKCS#12 file", cause: cause.to_string() }
}

/// openssl's own number: whoever needs this profile has an old reader, and some of those give up on more.
const COMPAT_ITERATIONS: u32 = 2_048;

/// Ten times keytool's number. It is paid three times a file (key, certificates, MAC), by every reader at
/// each start, so 600,000 as for a PEM file would cost a service a third of a second.
const MODERN_ITERATIONS: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        path::Path,
        process::{Command, Output},
    };
    use tempfile::TempDir;

    const PASSPHRASE: &str = "correct horse";

    fn run(dir: &Path, args: &[&str]) -> Output {
        Command::new("openssl").args(args).current_dir(dir).output().unwrap()
    }

    fn openssl(dir: &Path, args: &[&str]) -> String {
        let output = run(dir, args);
        assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    }

    /// A leaf, its issuer and the root, made by openssl; `leaf.key` is the key as PKCS#8 DER.
    struct Issued {
        dir: TempDir,
        private_key: Vec<u8>,
        chain: Vec<Vec<u8>>,
    }

    fn issued() -> Issued {
        let dir = tempfile::tempdir().unwrap();
        let request = |name: &str, more: &[&str]| {
            let subject = format!("/CN={name}");
            let (key, certificate) = (format!("{name}.pem"), format!("{name}.crt"));
            let common =
                ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
            let names = ["-subj", &subject, "-keyout", &key, "-out", &certificate];
            openssl(dir.path(), &[&common[..], &names, more].concat());
        };
        request("root", &[]);
        request("issuing", &["-CA", "root.crt", "-CAkey", "root.pem"]);
        request("leaf", &["-CA", "issuing.crt", "-CAkey", "issuing.pem"]);
        openssl(dir.path(), &["pkcs8", "-topk8", "-nocrypt", "-in", "leaf.pem", "-outform", "DER", "-out", "leaf.key"]);
        let chain = ["leaf", "issuing", "root"].map(|name| {
            let (pem, der) = (format!("{name}.crt"), format!("{name}.der"));
            openssl(dir.path(), &["x509", "-in", &pem, "-outform", "DER", "-out", &der]);
            fs::read(dir.path().join(der)).unwrap()
        });
        Issued { private_key: fs::read(dir.path().join("leaf.key")).unwrap(), chain: chain.to_vec(), dir }
    }

    fn write(issued: &Issued, profile: Pkcs12Profile) {
        let contents = Pkcs12 { private_key: &issued.private_key, chain: &issued.chain, alias: "web-2026", profile };
        let file = build(&contents, &Secret::new(PASSPHRASE.into())).unwrap();
        fs::write(issued.dir.path().join("web.p12"), file).unwrap();
    }

    #[test]
    fn openssl_finds_the_key_the_alias_and_the_chain_in_order() {
        let issued = issued();
        let passphrase = format!("pass:{PASSPHRASE}");
        for profile in Pkcs12Profile::ALL {
            write(&issued, *profile);

            let read = ["pkcs12", "-in", "web.p12", "-passin", &passphrase, "-nodes"];
            let text = openssl(issued.dir.path(), &read);
            openssl(issued.dir.path(), &[&read[..], &["-nocerts", "-out", "out.pem"]].concat());
            let same = ["pkey", "-in", "out.pem", "-outform", "DER", "-out", "out.key"];
            openssl(issued.dir.path(), &same);
            openssl(issued.dir.path(), &["pkey", "-in", "leaf.pem", "-outform", "DER", "-out", "in.key"]);

            let subjects: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("subject=CN = ")).collect();
            assert_eq!(subjects, ["leaf", "issuing", "root"]);
            assert!(text.contains("friendlyName: web-2026"), "{text}");
            let read = |name| fs::read(issued.dir.path().join(name)).unwrap();
            assert_eq!(read("out.key"), read("in.key"));
        }
    }

    #[test]
    fn each_profile_uses_its_algorithms_and_nothing_weaker() {
        let issued = issued();
        let info = |profile| {
            write(&issued, profile);
            let passphrase = format!("pass:{PASSPHRASE}");
            openssl(issued.dir.path(), &["pkcs12", "-in", "web.p12", "-passin", &passphrase, "-info", "-noout"])
        };

        let modern = info(Pkcs12Profile::Modern);
        let compat = info(Pkcs12Profile::Compat);

        assert!(modern.contains("MAC: sha256, Iteration 100000"), "{modern}");
        let pbes2 = "PBES2, PBKDF2, AES-256-CBC, Iteration 100000, PRF hmacWithSHA256";
        assert_eq!(modern.matches(pbes2).count(), 2, "{modern}");
        assert!(compat.contains("MAC: sha1, Iteration 2048"), "{compat}");
        assert_eq!(compat.matches("pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 2048").count(), 2, "{compat}");
    }

    #[test]
    fn a_wrong_passphrase_does_not_open_the_file() {
        let issued = issued();
        for profile in Pkcs12Profile::ALL {
            write(&issued, *profile);

            let read = run(issued.dir.path(), &["pkcs12", "-in", "web.p12", "-passin", "pass:wrong horse", "-nodes"]);

            assert!(!read.status.success());
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let issued = issued();
        let good = Pkcs12 {
            private_key: &issued.private_key,
            chain: &issued.chain,
            alias: "web-2026",
            profile: Pkcs12Profile::Compat,
        };
        let passphrase = || Secret::new(PASSPHRASE.into());
        let no_chain = [b"no certificate".to_vec()];

        let bad_key = build(&Pkcs12 { private_key: b"no key", ..good }, &passphrase());
        let bad_chain = build(&Pkcs12 { chain: &no_chain, ..good }, &passphrase());
        let bad_passphrase = build(&good, &Secret::new(b"short".to_vec()));

        assert!(matches!(bad_key, Err(PkiError::PrivateKeyMalformed { .. })));
        assert!(matches!(bad_chain, Err(PkiError::CertificateMalformed { .. })));
        assert!(matches!(bad_passphrase, Err(PkiError::PassphraseUnsuitable { .. })));
    }
}
