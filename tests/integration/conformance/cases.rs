//! The cases, in the order in which they run.

use super::{
    bench::{Bench, kek_id, keks},
    table::Outcome,
};
use crate::support::{
    run,
    tokens::{NO_PIN, WrongPin},
};
use keyward::{
    base::{
        algorithm::{KeyAlgorithm, SignatureAlgorithm},
        custody::{KekPurpose, KeyPolicy},
        secret::Secret,
    },
    token::{
        Token, TokenError, TokenSettings,
        message::{CertificateObject, KekSource, TokenKey},
    },
};
use std::{fmt, fs, process::Command};

/// A case.
#[derive(Clone, Copy)]
pub(super) enum Case {
    AnotherProcess,
    Attributes,
    AwayAndBack,
    BackupOnlyStays,
    Certificate,
    ContentKey,
    Describe,
    Destroy,
    Find,
    Foreign,
    Generate(KeyAlgorithm),
    ImportKeks,
    ManySessions,
    Probe,
    Sign(SignatureAlgorithm),
    TokenOnlyStays,
    Usage,
    Wrap(KeyAlgorithm),
    WrongPin,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnotherProcess => f.write_str("a key that another process makes is found, and signs in both"),
            Self::Attributes => f.write_str("another program reads the attributes of the policy"),
            Self::AwayAndBack => f.write_str("a token that was away comes back by itself"),
            Self::BackupOnlyStays => f.write_str("a `backup-only` key goes under its KEK and under no other"),
            Self::Certificate => f.write_str("a certificate lies beside its key"),
            Self::ContentKey => f.write_str("a content key is sealed and opened"),
            Self::Describe => f.write_str("label, model and serial number are told"),
            Self::Destroy => f.write_str("a destroyed key is gone with all its objects"),
            Self::Find => f.write_str("a new worker finds every key"),
            Self::Foreign => f.write_str("objects of other programs disturb nothing"),
            Self::Generate(algorithm) => write!(f, "make {algorithm}"),
            Self::ImportKeks => f.write_str("KEKs are imported"),
            Self::ManySessions => f.write_str("16 sessions sign at once"),
            Self::Probe => f.write_str("the probe tells capabilities"),
            Self::Sign(scheme) => write!(f, "sign {scheme}"),
            Self::TokenOnlyStays => f.write_str("a `token-only` key goes under no KEK"),
            Self::Usage => f.write_str("a key that signs does not decrypt"),
            Self::Wrap(algorithm) => write!(f, "wrap {algorithm}, destroy it, put it back, sign"),
            Self::WrongPin => f.write_str("a wrong PIN is refused, and sent once"),
        }
    }
}

impl Case {
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![Self::WrongPin, Self::Describe, Self::Probe];
        all.extend(KeyAlgorithm::ALL.iter().copied().map(Self::Generate));
        all.extend(SignatureAlgorithm::ALL.iter().copied().map(Self::Sign));
        all.extend([Self::Find, Self::Attributes, Self::Usage, Self::Certificate, Self::ImportKeks, Self::ContentKey]);
        all.extend(KeyAlgorithm::ALL.iter().copied().map(Self::Wrap));
        all.extend([Self::TokenOnlyStays, Self::BackupOnlyStays, Self::Foreign, Self::ManySessions]);
        all.extend([Self::AnotherProcess, Self::Destroy, Self::AwayAndBack]);
        all
    }

    /// Whether the probed capabilities say that the token is up to it.
    fn is_declared(self, bench: &Bench) -> bool {
        let capabilities = &bench.capabilities;
        match self {
            Self::BackupOnlyStays => bench.wrappable().is_some() && capabilities.honours_wrap_with_trusted,
            Self::ContentKey => capabilities.content_key_wrap,
            Self::Generate(algorithm) => bench.seen(algorithm).sign,
            Self::ImportKeks => capabilities.secret_keys,
            Self::ManySessions => capabilities.condition.opened_sessions >= 16,
            Self::Sign(scheme) => bench.seen(key_for(scheme)).signatures.contains(&scheme),
            Self::TokenOnlyStays => bench.wrappable().is_some() && capabilities.honours_extractable,
            Self::Usage => capabilities.limits_usage,
            Self::Wrap(algorithm) => bench.seen(algorithm).wrap,
            _ => true,
        }
    }

    pub(super) async fn run(self, bench: &mut Bench) -> Outcome {
        match self {
            Self::AwayAndBack if bench.test.store.is_none() => return Outcome::Untried,
            Self::WrongPin if bench.test.wrong_pin == WrongPin::NotTried => return Outcome::Untried,
            _ if !self.is_declared(bench) => return Outcome::Unsupported,
            _ => {}
        }
        match self {
            Self::AnotherProcess => return another_process(bench).await,
            Self::Attributes => attributes(bench),
            Self::AwayAndBack => away_and_back(bench).await,
            Self::BackupOnlyStays => backup_only_stays(bench).await,
            Self::Certificate => certificate(bench).await,
            Self::ContentKey => content_key(bench).await,
            Self::Describe => describe(bench).await,
            Self::Destroy => destroy(bench).await,
            Self::Find => find(bench).await,
            Self::Foreign => foreign(bench).await,
            Self::Generate(algorithm) => {
                let made = bench.make(algorithm, KeyPolicy::TokenOnly).await;
                bench.keys.insert(algorithm, made);
            }
            Self::ImportKeks => import_keks(bench).await,
            Self::ManySessions => many_sessions(bench).await,
            Self::Probe => bench.capabilities = bench.token.probe().await.unwrap(),
            Self::Sign(scheme) => bench.keys[&key_for(scheme)].sign(&bench.token, scheme).await.unwrap(),
            Self::TokenOnlyStays => token_only_stays(bench).await,
            Self::Usage => usage(bench),
            Self::Wrap(algorithm) => wrap(bench, algorithm).await,
            Self::WrongPin => wrong_pin(bench).await,
        }
        Outcome::Ran
    }
}

/// The key that a scheme is tried with.
fn key_for(scheme: SignatureAlgorithm) -> KeyAlgorithm {
    match scheme {
        SignatureAlgorithm::EcdsaSha256 | SignatureAlgorithm::EcdsaSha256Fixed => KeyAlgorithm::P256,
        SignatureAlgorithm::EcdsaSha384 | SignatureAlgorithm::EcdsaSha384Fixed => KeyAlgorithm::P384,
        SignatureAlgorithm::EcdsaSha512 | SignatureAlgorithm::EcdsaSha512Fixed => KeyAlgorithm::P521,
        SignatureAlgorithm::Ed25519 => KeyAlgorithm::Ed25519,
        _ => KeyAlgorithm::Rsa2048,
    }
}

async fn wrong_pin(bench: &Bench) {
    let wrong = Token::new(bench.test.with_pin(NO_PIN), None);

    let first = wrong.describe().await.unwrap_err();
    let second = wrong.describe().await.unwrap_err();

    assert!(matches!(first, TokenError::PinRefused { .. }), "{first:?}");
    assert!(second.to_string().contains("not sent again"), "{second}");
    wrong.close().await;
}

async fn describe(bench: &Bench) {
    let described = bench.token.describe().await.unwrap();

    assert_eq!(described.label, bench.test.settings.address.label);
    assert!(!described.model.is_empty() && !described.serial.is_empty(), "{described:?}");
}

async fn find(bench: &mut Bench) {
    bench.token.close().await;
    bench.token = Token::new(bench.test.settings.clone(), Some(bench.capabilities.clone()));

    let found = bench.token.keys().await.unwrap();

    for made in bench.keys.values() {
        let key = found.iter().find(|key| key.id == made.new.id).unwrap();
        assert_eq!(key.public_key_der, made.public_key.der());
        made.signs(&bench.token).await.unwrap();
    }
}

fn attributes(bench: &Bench) {
    let made = &bench.keys[&bench.usual()];

    let seen = bench.test.python("conformance/other.py", &["attributes", &made.hex()]);

    for (name, expected) in
        [("TOKEN", true), ("PRIVATE", true), ("SENSITIVE", true), ("EXTRACTABLE", false), ("SIGN", true)]
    {
        assert_eq!(seen[name], expected, "{name}: {seen}");
    }
    for name in ["DERIVE", "UNWRAP"] {
        assert_ne!(seen[name], true, "{name}: {seen}");
    }
}

fn usage(bench: &Bench) {
    let made = &bench.keys[&bench.usual()];

    let seen = bench.test.python("conformance/other.py", &["attributes", &made.hex()]);

    assert_ne!(seen["DECRYPT"], true, "{seen}");
}

async fn certificate(bench: &Bench) {
    let made = &bench.keys[&bench.usual()];
    let (key, out) = (bench.test.path("ca.key"), bench.test.path("ca.der"));
    let arguments = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=conformance", "-outform", "DER"];
    run(Command::new("openssl").args(arguments).arg("-keyout").arg(key).arg("-out").arg(&out)).succeeded();
    let der = fs::read(out).unwrap();

    let object = CertificateObject { key: made.new.id, label: made.new.label.clone(), der };
    bench.token.store_certificate(object).await.unwrap();

    let objects = bench.test.python("conformance/other.py", &["objects", &made.hex()]);
    assert_eq!(objects["1"], 1, "{objects}");
}

async fn import_keks(bench: &Bench) {
    let imported = bench.token.import_keks(keks()).await.unwrap();
    let again = bench.token.import_keks(keks()).await.unwrap();

    let trusted = |purpose| imported.iter().find(|kek| kek.id == kek_id(purpose)).unwrap().trusted;
    assert_eq!(trusted(KekPurpose::BackupOnly), bench.capabilities.honours_wrap_with_trusted);
    assert!(!trusted(KekPurpose::Exportable) && !trusted(KekPurpose::Inventory));
    assert_eq!((again.len(), bench.token.keks().await.unwrap().len()), (3, 3));
}

async fn content_key(bench: &Bench) {
    let inventory = kek_id(KekPurpose::Inventory);

    let sealed = bench.token.seal_content_key(inventory, Secret::new(vec![9; 32])).await.unwrap();
    let source = KekSource::Token(inventory, KekPurpose::Inventory);
    let opened = bench.token.open_content_key(source, sealed.clone()).await.unwrap();

    assert_eq!((sealed.len(), opened.expose()), (40, [9; 32].as_slice()));
}

async fn wrap(bench: &Bench, algorithm: KeyAlgorithm) {
    let key = bench.make(algorithm, KeyPolicy::Exportable).await;
    let wrapped = bench.wrap(&key, KekPurpose::Exportable).await.unwrap();
    bench.token.destroy(key.new.id).await.unwrap();

    bench.unwrap(&key, wrapped, KekPurpose::Exportable).await;

    key.signs(&bench.token).await.unwrap();
    bench.token.destroy(key.new.id).await.unwrap();
}

async fn token_only_stays(bench: &Bench) {
    let key = &bench.keys[&bench.wrappable().unwrap()];

    for purpose in [KekPurpose::BackupOnly, KekPurpose::Exportable] {
        let refused = bench.wrap(key, purpose).await.unwrap_err();
        assert!(matches!(refused, TokenError::Refused { .. }), "{refused:?}");
    }
}

async fn backup_only_stays(bench: &Bench) {
    let key = bench.make(bench.wrappable().unwrap(), KeyPolicy::BackupOnly).await;

    let refused = bench.wrap(&key, KekPurpose::Exportable).await.unwrap_err();
    let wrapped = bench.wrap(&key, KekPurpose::BackupOnly).await.unwrap();
    bench.token.destroy(key.new.id).await.unwrap();
    bench.unwrap(&key, wrapped, KekPurpose::BackupOnly).await;

    assert!(matches!(refused, TokenError::Refused { .. }), "{refused:?}");
    let refused = bench.wrap(&key, KekPurpose::Exportable).await.unwrap_err();
    assert!(matches!(refused, TokenError::Refused { .. }), "{refused:?}");
    bench.token.destroy(key.new.id).await.unwrap();
}

async fn foreign(bench: &Bench) {
    let made = bench.test.python("conformance/other.py", &["foreign"]);
    assert!(made.as_object().unwrap().values().any(|answer| answer == "made"), "{made}");

    let found = bench.token.keys().await.unwrap();

    for key in bench.keys.values() {
        assert!(found.iter().any(|found| found.id == key.new.id));
        key.signs(&bench.token).await.unwrap();
    }
}

async fn many_sessions(bench: &Bench) {
    let settings = TokenSettings { sessions: 16, ..bench.test.beside() };
    let token = Token::new(settings, Some(bench.capabilities.clone()));
    let key = &bench.keys[&bench.usual()];
    key.signs(&token).await.unwrap();

    let mut signing = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (key, token) = (key.clone(), token.clone());
        signing.spawn(async move { key.signs(&token).await });
    }

    for signed in signing.join_all().await {
        signed.unwrap();
    }
    token.close().await;
}

async fn another_process(bench: &mut Bench) -> Outcome {
    let settings = bench.test.beside();
    let ours = std::mem::replace(&mut bench.token, Token::new(settings, Some(bench.capabilities.clone())));
    let key = bench.make(bench.usual(), KeyPolicy::TokenOnly).await;
    let other = std::mem::replace(&mut bench.token, ours);

    let found = |keys: &[TokenKey]| keys.iter().any(|found| found.id == key.new.id);
    let at_once = found(&bench.token.keys().await.unwrap());
    if !at_once {
        find(bench).await;
    }

    assert!(found(&bench.token.keys().await.unwrap()));
    for token in [&bench.token, &other] {
        key.signs(token).await.unwrap();
        bench.keys[&bench.usual()].signs(token).await.unwrap();
    }
    other.close().await;
    if at_once { Outcome::Ran } else { Outcome::NewWorker }
}

async fn destroy(bench: &Bench) {
    let key = bench.make(bench.usual(), KeyPolicy::TokenOnly).await;

    let destroyed = bench.token.destroy(key.new.id).await.unwrap();

    assert_eq!(destroyed, 2);
    let refused = key.signs(&bench.token).await.unwrap_err();
    assert!(matches!(refused, TokenError::ObjectMissing { .. }), "{refused:?}");
    let objects = bench.test.python("conformance/other.py", &["objects", &key.hex()]);
    assert_eq!(objects.as_object().unwrap().len(), 0, "{objects}");
}

async fn away_and_back(bench: &Bench) {
    let (store, away) = (bench.test.store.clone().unwrap(), bench.test.path("away"));
    let key = &bench.keys[&bench.usual()];
    fs::rename(&store, &away).unwrap();

    let absent = key.signs(&bench.token).await.unwrap_err();
    fs::rename(&away, &store).unwrap();
    let back = key.signs(&bench.token).await;

    assert!(absent.is_absence() || matches!(absent, TokenError::ObjectMissing { .. }), "{absent:?}");
    back.unwrap();
}
