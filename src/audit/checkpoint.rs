//! Checkpoints: the signed head of a log, as C2SP signed note and tlog-checkpoint have it.
//!
//! The signature is of type 0x02: ECDSA P-256 over the text, DER; the key id is the first four bytes of
//! SHA-256 over the SubjectPublicKeyInfo. `openssl dgst -sha256 -verify` checks it once text and signature are cut.

use super::{
    error::AuditError,
    merkle::{Frontier, Hash},
};
use crate::base::{algorithm::SignatureAlgorithm, signing::Signer};
use crate::pki::public_key::PublicKey;
use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};

/// The head of a log: what a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Names log and instance; also the name of the signing key.
    pub origin: String,
    /// How many records it covers.
    pub size: u64,
    /// The Merkle root over them.
    pub root: Hash,
}

/// A checkpoint with its signatures, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    text: String,
    signatures: Vec<NoteSignature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct NoteSignature {
    name: String,
    key_id: [u8; 4],
    signature: Vec<u8>,
}

/// Why a text is not a checkpoint, or not one of this key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointFault {
    /// No signature is by this key.
    #[error("no signature of it is by this key; it names {named}")]
    AnotherKey {
        /// Names and ids of the keys that it names.
        named: String,
    },
    /// Not a signed note with a checkpoint in it.
    #[error("not a checkpoint: {0}")]
    Malformed(&'static str),
    /// The signature of this key does not verify.
    #[error("its signature does not verify: it was changed after it was signed")]
    SignatureInvalid,
}

impl Checkpoint {
    /// The head of a log of this instance.
    #[must_use]
    pub fn of(origin: String, frontier: &Frontier) -> Self {
        Self { origin, size: frontier.size(), root: frontier.root() }
    }

    /// The signed note.
    ///
    /// # Errors
    /// The key is not for ECDSA with SHA-256, or it does not sign.
    pub async fn sign(&self, signer: &dyn Signer) -> Result<String, AuditError> {
        if signer.algorithm() != SignatureAlgorithm::EcdsaSha256 {
            return Err(AuditError::SignerUnsuitable { given: signer.algorithm() });
        }
        let text = self.text();
        let mut bytes = key_id(signer.public_key_der()).to_vec();
        bytes.extend(signer.sign(text.as_bytes()).await?);
        Ok(format!("{text}\n{DASH}{} {}\n", self.origin, Base64::encode_string(&bytes)))
    }

    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }
}

impl SignedCheckpoint {
    /// Reads a signed note; says nothing about its signatures.
    ///
    /// # Errors
    /// The text is not a signed note, or not one with a checkpoint in it.
    pub fn parse(note: &str) -> Result<Self, CheckpointFault> {
        if note.chars().any(|character| character < ' ' && character != '\n') {
            return Err(CheckpointFault::Malformed("it has control characters"));
        }
        let blank = note.rfind("\n\n").ok_or(CheckpointFault::Malformed("no blank line before the signatures"))?;
        let (text, signatures) = (&note[..=blank], &note[blank + 2..]);
        let signatures = signatures.strip_suffix('\n').ok_or(CheckpointFault::Malformed("the last line is cut"))?;
        Ok(Self {
            checkpoint: parse_text(text)?,
            text: text.to_owned(),
            signatures: signatures.split('\n').map(parse_signature).collect::<Result<_, _>>()?,
        })
    }

    /// Checks the signature of this key, which must bear the origin's name; others are ignored.
    ///
    /// # Errors
    /// This key did not sign, or its signature does not verify.
    pub fn verify(&self, key: &PublicKey) -> Result<&Checkpoint, CheckpointFault> {
        let id = key_id(key.der());
        let by_key = |signature: &&NoteSignature| signature.key_id == id && signature.name == self.checkpoint.origin;
        let mut own = self.signatures.iter().filter(by_key).peekable();
        if own.peek().is_none() {
            return Err(CheckpointFault::AnotherKey { named: self.key_names() });
        }
        let valid = |signature: &NoteSignature| {
            key.verify(SignatureAlgorithm::EcdsaSha256, self.text.as_bytes(), &signature.signature).is_ok()
        };
        if own.any(valid) { Ok(&self.checkpoint) } else { Err(CheckpointFault::SignatureInvalid) }
    }

    /// What it says, unverified.
    #[must_use]
    pub const fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }

    fn key_names(&self) -> String {
        let name =
            |signature: &NoteSignature| format!("{}+{:08x}", signature.name, u32::from_be_bytes(signature.key_id));
        self.signatures.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}

fn parse_text(text: &str) -> Result<Checkpoint, CheckpointFault> {
    let mut lines = text.lines();
    let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
        return Err(CheckpointFault::Malformed("fewer than three lines"));
    };
    if origin.is_empty() || lines.any(str::is_empty) {
        return Err(CheckpointFault::Malformed("an empty line"));
    }
    let number = size.parse().ok().filter(|number: &u64| number.to_string() == size);
    Ok(Checkpoint {
        origin: origin.to_owned(),
        size: number.ok_or(CheckpointFault::Malformed("the second line is not a size"))?,
        root: root.parse().map_err(|_| CheckpointFault::Malformed("the third line is not a root"))?,
    })
}

fn parse_signature(line: &str) -> Result<NoteSignature, CheckpointFault> {
    let malformed = CheckpointFault::Malformed("a signature line is not `— NAME BASE64`");
    let Some((name, encoded)) = line.strip_prefix(DASH).and_then(|rest| rest.split_once(' ')) else {
        return Err(malformed);
    };
    let bytes = Base64::decode_vec(encoded).map_err(|_| malformed.clone())?;
    let (key_id, signature) = bytes.split_first_chunk().ok_or(malformed.clone())?;
    if name.is_empty() || name.contains('+') || name.contains(char::is_whitespace) || signature.is_empty() {
        return Err(malformed);
    }
    Ok(NoteSignature { name: name.to_owned(), key_id: *key_id, signature: signature.to_vec() })
}

fn key_id(public_key_der: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(public_key_der).into();
    [a, b, c, d]
}

/// An em dash and a space open each signature line.
const DASH: &str = "\u{2014} ";

#[cfg(test)]
mod tests {
    use super::super::record::Log;
    use super::super::testing::{AUDIT_PEM, SoftwareKey, writer};
    use super::*;
    use crate::base::signing::SignatureFuture;
    use proptest::prelude::*;
    use std::{fs, process::Command};

    #[tokio::test]
    async fn a_checkpoint_is_three_lines_and_a_signature_line() {
        let note = note().await;

        let (text, signature) = note.split_once("\n\n").unwrap();
        let origin = "keyward/0190b2a1-0000-7000-8000-00000000000a/management";
        assert_eq!(text, format!("{origin}\n1\n{ROOT}"));
        assert!(signature.starts_with(&format!("\u{2014} {origin} ")));
        assert!(signature.ends_with('\n'));
    }

    #[tokio::test]
    async fn a_signature_verifies_with_its_key_only() {
        let note = SignedCheckpoint::parse(&note().await).unwrap();

        assert_eq!(note.verify(&public_key(0x11)).map(|checkpoint| checkpoint.size), Ok(1));
        assert!(matches!(note.verify(&public_key(0x33)), Err(CheckpointFault::AnotherKey { .. })));
    }

    #[tokio::test]
    async fn a_changed_text_does_not_verify() {
        let changed = note().await.replacen("\n1\n", "\n2\n", 1);

        let note = SignedCheckpoint::parse(&changed).unwrap();

        assert_eq!(note.verify(&public_key(0x11)), Err(CheckpointFault::SignatureInvalid));
    }

    #[tokio::test]
    async fn signatures_of_others_are_ignored() {
        let cosigned = note().await + "\u{2014} witness.example AAAAAAECAwQ=\n";

        let note = SignedCheckpoint::parse(&cosigned).unwrap();

        assert!(note.verify(&public_key(0x11)).is_ok());
    }

    #[tokio::test]
    async fn openssl_alone_verifies_a_checkpoint() {
        let note = note().await;
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| fs::write(directory.path().join(name), content).unwrap();
        let (text, signature) = note.split_once("\n\n").unwrap();
        let encoded = signature.trim_end().rsplit(' ').next().unwrap();
        file("audit.pem", AUDIT_PEM.as_bytes());
        file("text", format!("{text}\n").as_bytes());
        file("signature", &Base64::decode_vec(encoded).unwrap()[4..]);
        let openssl = |arguments: &str| {
            Command::new("openssl").args(arguments.split(' ')).current_dir(directory.path()).output().unwrap()
        };

        openssl("x509 -in audit.pem -noout -pubkey -out audit.pub");
        let verified = openssl("dgst -sha256 -verify audit.pub -signature signature text");

        assert_eq!(String::from_utf8_lossy(&verified.stdout), "Verified OK\n");
        assert!(verified.status.success());
    }

    #[tokio::test]
    async fn a_key_for_other_signatures_is_refused() {
        let error = checkpoint().sign(&RsaKey).await.unwrap_err();

        assert!(matches!(error, AuditError::SignerUnsuitable { given: SignatureAlgorithm::RsaPssSha256 }));
    }

    #[test]
    fn what_is_not_a_checkpoint_is_malformed() {
        let signature = "\u{2014} o AAAAAAE=\n";
        for bad in [
            String::new(),
            format!("o\n1\n{ROOT}\n"),
            format!("o\n1\n{ROOT}\n\n"),
            format!("o\n01\n{ROOT}\n\n{signature}"),
            format!("o\n-1\n{ROOT}\n\n{signature}"),
            format!("o\n1\nAAAA\n\n{signature}"),
            format!("o\n1\n{ROOT}\n\n{}", signature.trim_end()),
            format!("o\n1\n{ROOT}\n\n\u{2014} o AAAA\n"),
            format!("o\n1\n{ROOT}\n\n- o AAAAAAE=\n"),
            format!("o\r\n1\n{ROOT}\n\n{signature}"),
            format!("\n1\n{ROOT}\n\n{signature}"),
        ] {
            assert!(matches!(SignedCheckpoint::parse(&bad), Err(CheckpointFault::Malformed(_))), "{bad:?}");
        }
        assert!(SignedCheckpoint::parse(&format!("o\n1\n{ROOT}\nextension\n\n{signature}")).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(
            text in "\\PC{0,40}\n?\\PC{0,40}\n{0,2}\u{2014} ?[A-Za-z0-9+/= ]{0,40}\n?",
        ) {
            let _ = SignedCheckpoint::parse(&text);
        }
    }

    /// The root over one empty leaf.
    const ROOT: &str = "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=";

    fn checkpoint() -> Checkpoint {
        let mut frontier = Frontier::default();
        frontier.push(b"");
        Checkpoint::of(writer().origin(Log::Management), &frontier)
    }

    async fn note() -> String {
        checkpoint().sign(&SoftwareKey::audit()).await.unwrap()
    }

    fn public_key(byte: u8) -> PublicKey {
        PublicKey::from_der(SoftwareKey::new(byte).public_key_der()).unwrap()
    }

    struct RsaKey;

    impl Signer for RsaKey {
        fn public_key_der(&self) -> &[u8] {
            &[]
        }

        fn algorithm(&self) -> SignatureAlgorithm {
            SignatureAlgorithm::RsaPssSha256
        }

        fn sign<'a>(&'a self, _: &'a [u8]) -> SignatureFuture<'a> {
            Box::pin(async { Ok(Vec::new()) })
        }
    }
}
