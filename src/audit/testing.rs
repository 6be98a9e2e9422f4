//! What the tests of this folder stand on: a software key, fixed certificates, a clock that does not run.

use super::{
    Audit, Writer,
    record::{Log, ObjectRef, Record},
    signatures::SignatureRecord,
};
use crate::base::{
    algorithm::SignatureAlgorithm,
    ids::InstanceId,
    principal::{Caller, Identity, Principal, PrincipalKind, Role},
    signing::{SignatureFuture, Signer},
    time::{Clock, Timestamp},
};
use crate::db::Database;
use p256::{
    ecdsa::{DerSignature, SigningKey, signature::Signer as _},
    pkcs8::EncodePublicKey,
};
use std::{fs, path::Path, path::PathBuf, sync::Arc};
use tempfile::TempDir;

/// An instance's logs in a directory of their own.
pub(super) struct Bench {
    pub(super) audit: Audit,
    pub(super) db: Database,
    directory: TempDir,
}

impl Bench {
    pub(super) async fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap()).await
    }

    async fn open(directory: TempDir) -> Self {
        let db = Database::open(&directory.path().join("keyward.db")).await.unwrap();
        let audit = directory.path().join("audit");
        let audit = Audit::open(db.clone(), audit, writer(), Arc::new(StoppedClock)).await.unwrap();
        Self { audit, db, directory }
    }

    /// What another process would find if this one were killed now.
    pub(super) async fn crash(&self) -> Self {
        let image = tempfile::tempdir().unwrap();
        copy(self.directory.path(), image.path());
        Self::open(image).await
    }

    /// Closes, lets something happen to the files, and opens again.
    pub(super) async fn reopen(self, meanwhile: impl FnOnce(&Path)) -> Self {
        let Self { audit, db, directory } = self;
        drop(audit);
        db.close().await;
        meanwhile(&directory.path().join("audit"));
        Self::open(directory).await
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join("audit").join(name)
    }

    /// What somebody does who can write to the database.
    pub(super) async fn sql(&self, statement: &'static str) {
        sqlx::query(statement).execute(self.db.reader()).await.unwrap();
    }

    pub(super) async fn sign_times(&self, times: usize) {
        for _ in 0..times {
            self.audit.signed(&caller(), &signed()).unwrap();
        }
    }

    pub(super) async fn export(&self) -> String {
        let mut export = self.audit.export(&SoftwareKey::audit(), &certificates()).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(piece) = export.next_piece().await.unwrap() {
            bytes.extend(piece);
        }
        String::from_utf8(bytes).unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A P-256 key in memory: 32 times the same byte.
pub(super) struct SoftwareKey {
    key: SigningKey,
    public_key_der: Vec<u8>,
}

impl SoftwareKey {
    pub(super) fn new(byte: u8) -> Self {
        let key = SigningKey::from_slice(&[byte; 32]).unwrap();
        let public_key_der = key.verifying_key().to_public_key_der().unwrap().into_vec();
        Self { key, public_key_der }
    }

    /// The key of [`AUDIT_PEM`].
    pub(super) fn audit() -> Self {
        Self::new(0x11)
    }

    /// The key of [`OTHER_PEM`].
    pub(super) fn other() -> Self {
        Self::new(0x33)
    }
}

impl Signer for SoftwareKey {
    fn public_key_der(&self) -> &[u8] {
        &self.public_key_der
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::EcdsaSha256
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> SignatureFuture<'a> {
        let signature: DerSignature = self.key.sign(message);
        Box::pin(async move { Ok(signature.as_bytes().to_vec()) })
    }
}

pub(super) struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_767_323_045_006)
    }
}

pub(super) fn writer() -> Writer {
    Writer { instance: instance(), suffix: String::new() }
}

pub(super) fn instance() -> InstanceId {
    "0190b2a1-0000-7000-8000-00000000000a".parse().unwrap()
}

pub(super) fn key() -> ObjectRef {
    ObjectRef::new("key", "0190b2a1-0000-7000-8000-000000000001", "web")
}

pub(super) fn caller() -> Caller {
    let principal = Principal { id: "u-1".to_owned(), kind: PrincipalKind::Person, name: "Zoë".to_owned() };
    let identity = Identity::new(principal, vec![Role::Operator]);
    Caller::new(identity.into(), "0190b2a1-0000-7000-8000-000000000002".parse().unwrap())
}

pub(super) fn record(seq: u64) -> Record {
    let mut record = Record::draft(Log::Management, "key.generate", &caller(), &key());
    record.seq = seq;
    record.time = StoppedClock.now();
    record
}

pub(super) fn signed() -> SignatureRecord {
    SignatureRecord {
        event: "key.sign",
        object: key().into(),
        algorithm: "ecdsa-sha256",
        count: 1,
        digests_sha256: [7; 32],
    }
}

pub(super) fn certificates() -> String {
    format!("{AUDIT_PEM}{CA_PEM}")
}

// Made with OpenSSL 3.0: keys of 32 bytes 0x11 (audit), 0x22 (CA), 0x33 (other), `openssl req -new`,
// `openssl x509 -req -days 36500`; the audit certificate is issued by the CA, the other by itself.

pub(super) const AUDIT_PEM: &str = "\
-----BEGIN CERTIFICATE-----
MIIBdDCCARugAwIBAgIBAjAKBggqhkjOPQQDAjAaMRgwFgYDVQQDDA9rZXl3YXJk
IHRlc3QgQ0EwIBcNMjYxMTI0MTA0MTQ4WhgPMjEyNjEwMzExMDQxNDhaMBgxFjAU
BgNVBAMMDWtleXdhcmQgYXVkaXQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQC
F+YX8LZEOSgnj5aZnmmiOk8sFSvfbWzfZuW4AoLU7RlKfevLl3EtLdo8qFqodlpW
9F/HWFmWUvKJfGUwbleUo1IwUDAOBgNVHQ8BAf8EBAMCB4AwHQYDVR0OBBYEFDPK
a8XpIOa+wqFs4Hpw6CgrzWjRMB8GA1UdIwQYMBaAFAtpk/EtB1XfY6liKv7gCqyI
y2nbMAoGCCqGSM49BAMCA0cAMEQCIAS6Ix3gekdIpvHfLQFd9SS9AdRTf1iJX4Ts
LwQtaWhYAiAgJnKerVuVgRsDmfctP1KvY0JEDhoCEiXipyMgUZ5aDg==
-----END CERTIFICATE-----
";

pub(super) const CA_PEM: &str = "\
-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUWsnAHZ6WmYkQHNuBL+Yc5hy07C0wCgYIKoZIzj0EAwIw
GjEYMBYGA1UEAwwPa2V5d2FyZCB0ZXN0IENBMCAXDTI2MTEyNDEwNDE0OFoYDzIx
MjYxMDMxMTA0MTQ4WjAaMRgwFgYDVQQDDA9rZXl3YXJkIHRlc3QgQ0EwWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAATWWpOXfKo9GwgYUv9Xp55GXxZgV3MEuurVBd06
SFic81AYXolTct9iIeo6E3VX5HP922dV8FvVB8PFM/zpyRKFo2MwYTAdBgNVHQ4E
FgQUC2mT8S0HVd9jqWIq/uAKrIjLadswHwYDVR0jBBgwFoAUC2mT8S0HVd9jqWIq
/uAKrIjLadswDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAQYwCgYIKoZI
zj0EAwIDSAAwRQIgJOGw0HRsjX/Lg8+4IC0b/DUmSDbm+ml86CsGyPUzPFkCIQDG
1VbFjIA6lTL3Xwh/DaFLdznPIAbeXr2ODw2khVE+1Q==
-----END CERTIFICATE-----
";

pub(super) const OTHER_PEM: &str = "\
-----BEGIN CERTIFICATE-----
MIIBUjCB+KADAgECAgEDMAoGCCqGSM49BAMCMBgxFjAUBgNVBAMMDWtleXdhcmQg
b3RoZXIwIBcNMjYxMTI0MTA0MTQ5WhgPMjEyNjEwMzExMDQxNDlaMBgxFjAUBgNV
BAMMDWtleXdhcmQgb3RoZXIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARRp1gI
M4mOobGDy9c1CkCZB4xu8cHhjpcM12gwNfJefQEQUicSsLWnz/CBaFSGmEqU5oMe
2sRuc2D6nYNKeoGhozEwLzAOBgNVHQ8BAf8EBAMCB4AwHQYDVR0OBBYEFP2PFEGb
60N2psN8uxtDD14FlEi5MAoGCCqGSM49BAMCA0kAMEYCIQDi5kfX0YSX3o1zrBjL
bhLyUfPHi7EVIEBZD+P7RvtyowIhALiSsJIdZpL6Ol/hNhc4eGRrhKfmLtnjGdC0
ChF9FRR3
-----END CERTIFICATE-----
";
