//! Client certificates.

use super::assert_signs;
use crate::support::{Rig, openssl, run, service::Service};
use keyward::{
    access::{Access, Shown, api::AddCredentialRequest},
    audit::{Audit, Writer},
    base::{
        ids::RequestId,
        principal::{Caller, KeyScope, Role},
        time::{Clock, SystemClock, Timestamp},
    },
    certificates::client,
    db::{Database, instance},
    keys::{Keys, index::KeyIndex},
    token::{Token, Tokens},
};
use std::{fs, num::NonZeroU32, path::Path, process::Command, sync::Arc};

/// A key and its request, made by OpenSSL; gives their paths.
fn request(rig: &Rig, name: &str, kind: &[&str]) -> (String, String) {
    let (key, csr) = (rig.file(&format!("{name}.key")), rig.file(&format!("{name}.csr")));
    let make = ["req", "-new", "-nodes", "-subj", "/CN=somebody else/O=evil", "-keyout", &key, "-out", &csr, "-newkey"];
    openssl(&[&make[..], kind].concat()).succeeded();
    (key, csr)
}

/// A certificate for an OpenSSL key; gives the options of curl that show it.
fn certificate(rig: &Rig, name: &str, kind: &[&str], options: &[&str]) -> [String; 4] {
    let (key, csr) = request(rig, name, kind);
    let out = rig.file(&format!("{name}.pem"));
    let add = ["credential", "add", name, "--csr", &csr, "--out", &out];
    rig.keyward(&[&add[..], options].concat()).succeeded();
    shown(out, key)
}

fn shown(certificate: String, key: String) -> [String; 4] {
    ["--cert".to_owned(), certificate, "--key".to_owned(), key]
}

/// Status and code of a list of keys.
fn keys(service: &Service, who: &[String; 4]) -> (u16, String) {
    let (status, answer) = service.at_listener(&who.each_ref().map(String::as_str), "/api/v1/keys");
    (status, answer["code"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn curl_with_a_client_certificate_signs_a_digest_and_openssl_verifies_it() {
    let rig = Rig::new();
    rig.key("web", "rsa-2048", "backup-only");
    rig.public_key("web");
    let kinds: [(&str, &[&str]); 4] = [
        ("ec", P256),
        ("ec384", &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"]),
        ("ed", &["ed25519"]),
        ("rsa", &["rsa:2048"]),
    ];
    let whos = kinds.map(|(name, kind)| certificate(&rig, name, kind, &["--role", "signer", "--key", "web"]));

    let service = Service::start(&rig);

    for who in whos {
        assert_signs(&rig, &service, &who.each_ref().map(String::as_str), "web");
    }
}

#[test]
fn the_certificate_says_who_it_is_for_and_nothing_that_the_request_said() {
    let rig = Rig::new();
    let [_, path, ..] = certificate(&rig, "ci", P256, &["--role", "signer", "--days", "7"]);
    let credential = rig.json(&["credential", "show", "ci"]);

    let verify = ["verify", "-purpose", "sslclient", "-CAfile"];
    let ca = rig.directory().join("tls/ca.pem").to_str().unwrap().to_owned();
    openssl(&[&verify[..], &[&ca, &path]].concat()).succeeded();
    assert_ne!(openssl(&["verify", "-purpose", "sslserver", "-CAfile", &ca, &path]).code, 0);
    let show = ["x509", "-noout", "-subject", "-ext", "subjectAltName,extendedKeyUsage", "-in", &path];
    let text = openssl(&show).succeeded().stdout;
    assert!(text.starts_with("subject=CN = ci\n"), "{text}");
    let id = credential["id"].as_str().unwrap();
    assert!(text.contains(&format!("\n    URI:urn:uuid:{id}\n")), "{text}");
    assert!(text.contains("\n    TLS Web Client Authentication\n"), "{text}");
    let fingerprint = openssl(&["x509", "-noout", "-fingerprint", "-sha256", "-in", &path]).succeeded().stdout;
    let fingerprint = fingerprint.rsplit('=').next().unwrap().trim().replace(':', "").to_lowercase();
    assert_eq!(credential["certificate_sha256"], fingerprint);
    assert_eq!(credential["kind"], "client-certificate");
}

#[test]
fn a_request_that_is_not_its_key_holders_or_whose_key_no_handshake_takes_is_refused() {
    let rig = Rig::new();
    let (_, csr) = request(&rig, "ci", P256);
    let der = rig.file("ci.der");
    openssl(&["req", "-in", &csr, "-outform", "DER", "-out", &der]).succeeded();
    let mut bytes = fs::read(&der).unwrap();
    let subject = bytes.windows(4).position(|part| part == b"evil").unwrap();
    bytes[subject] ^= 1;
    let forged = rig.file("forged.csr");
    openssl(&["req", "-inform", "DER", "-in", &rig.write("forged.der", bytes), "-out", &forged]).succeeded();
    let (_, p521) = request(&rig, "p521", &["ec", "-pkeyopt", "ec_paramgen_curve:P-521"]);
    let out = rig.file("out");
    let refused = |csr: &str, exit, code| {
        rig.refused(&["credential", "add", "ci", "--role", "signer", "--csr", csr, "--out", &out], exit, code);
    };

    refused(&forged, 6, "signature-invalid");
    refused(&p521, 3, "client-key-unsuitable");
    refused(&rig.write("text", "no request"), 3, "csr-malformed");

    assert_eq!(rig.json(&["credential", "list"])["items"], serde_json::json!([]));
}

#[test]
fn foreign_and_expired_certificates_fail_the_handshake_and_the_listeners_own_is_nobodys() {
    let rig = Rig::new();
    let good = certificate(&rig, "good", P256, &["--role", "operator"]);
    let expired = expired(&rig);
    let (key, csr) = request(&rig, "foreign", P256);
    let foreign = rig.file("foreign.pem");
    openssl(&["x509", "-req", "-in", &csr, "-signkey", &key, "-days", "9", "-out", &foreign]).succeeded();
    let service = Service::start(&rig);
    let of_instance = |name: &str| rig.directory().join(name).to_str().unwrap().to_owned();

    let listener = shown(of_instance("tls/server.pem"), of_instance("tls/server.key"));
    assert_eq!(keys(&service, &good), (200, String::new()));
    assert_eq!(keys(&service, &shown(foreign, key)), (0, String::new()));
    assert_eq!(keys(&service, &expired), (0, String::new()));
    assert_eq!(keys(&service, &listener), (401, "credential-unknown".to_owned()));
}

#[test]
fn a_revoked_certificate_is_refused_at_once_on_a_connection_that_is_open() {
    let rig = Rig::new();
    let who = certificate(&rig, "ci", P256, &["--role", "admin"]);
    let service = Service::start(&rig);
    let ca = rig.directory().join("tls/ca.pem");
    let [keys, itself] = ["keys", "credentials/ci"].map(|path| format!("{}/api/v1/{path}", service.url()));

    let mut curl = Command::new("curl");
    for (number, (method, url)) in [("GET", &keys), ("DELETE", &itself), ("GET", &keys)].into_iter().enumerate() {
        curl.args(if number == 0 { &[][..] } else { &["--next"] });
        curl.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code} %{num_connects}\n"]);
        curl.arg("--cacert").arg(&ca).args(&who).args(["--request", method, url]);
    }

    assert_eq!(run(&mut curl).succeeded().stdout, "200 1\n200 0\n401 0\n");
}

/// A credential that an instance of a hundred days ago made for one day.
fn expired(rig: &Rig) -> [String; 4] {
    let (key, csr) = request(rig, "expired", P256);
    let csr = fs::read_to_string(csr).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let pem = runtime.block_on(async {
        let (keys, access, caller) = open(&rig.directory(), Token::new(rig.token_settings(1), None)).await;
        let request = AddCredentialRequest {
            name: "expired".to_owned(),
            roles: vec![Role::Operator],
            keys: None,
            days: Some(1),
            csr: None,
        };
        let draft = access.draft(&caller, &request, KeyScope::Every).unwrap();
        let answer = client::add(&keys, &access, &caller, (draft, &csr)).await.unwrap();
        keys.tokens.close().await;
        keys.db.close().await;
        answer.certificate_pem.unwrap()
    });
    shown(rig.write("expired.pem", pem), key)
}

async fn open(directory: &Path, token: Token) -> (Keys, Access, Caller) {
    let db = Database::open(&directory.join("keyward.db")).await.unwrap();
    let row = instance::read(&db).await.unwrap().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(HundredDaysAgo);
    let writer = Writer { instance: row.id, suffix: row.writer.clone() };
    let audit = Audit::open(db.clone(), directory.join("audit"), writer, Arc::clone(&clock)).await.unwrap();
    let stores = (db.clone(), audit.clone());
    let access = Access::open(stores, Arc::clone(&clock), row.owner_uid, NonZeroU32::MAX).await.unwrap();
    let caller = Caller::new(access.identify(Shown::LocalUser(row.owner_uid)).unwrap(), RequestId::new());

    (
        Keys { db, audit, tokens: Tokens::new(token, []), clock, posture: row.posture, index: KeyIndex::default() },
        access,
        caller,
    )
}

struct HundredDaysAgo;

impl Clock for HundredDaysAgo {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_days(-100)
    }
}

const P256: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
