//! The instance's own CA and audit certificate.

use crate::support::{
    Rig, openssl,
    pkcs11::{CERTIFICATE, PRIVATE_KEY},
};
use std::fs;

#[test]
fn the_ca_is_a_self_signed_p256_certificate_with_its_key_in_the_token() {
    let rig = Rig::new();
    let ca = rig.directory().join("tls/ca.pem").to_str().unwrap().to_owned();

    let text = openssl(&["x509", "-in", &ca, "-noout", "-text"]).succeeded().stdout;
    openssl(&["verify", "-x509_strict", "-check_ss_sig", "-CAfile", &ca, &ca]).succeeded();

    for expected in ["ASN1 OID: prime256v1", "CA:TRUE", "Certificate Sign", "Signature Algorithm: ecdsa-with-SHA256"] {
        assert!(text.contains(expected), "the CA lacks {expected}: {text}");
    }
    let public_key = openssl(&["x509", "-in", &ca, "-noout", "-pubkey"]).succeeded().stdout;
    let key = rig.json(&["key", "show", "keyward-ca"]);
    assert_eq!(key["public_key_pem"].as_str().unwrap(), public_key);
    assert_eq!((key["policy"].as_str(), key["purpose"].as_str()), (Some("backup-only"), Some("ca")));
    let object = rig.object(PRIVATE_KEY, "keyward-ca");
    let protection = ["SENSITIVE", "EXTRACTABLE", "WRAP_WITH_TRUSTED"].map(|name| object[name].as_bool().unwrap());
    assert_eq!(protection, [true, true, true]);
    let fingerprint = openssl(&["x509", "-in", &ca, "-noout", "-fingerprint", "-sha256"]).succeeded().stdout;
    let root = rig.json(&["status"])["instance"]["root_sha256"].as_str().unwrap().to_owned();
    assert!(fingerprint.trim().replace(':', "").to_lowercase().ends_with(&root), "{fingerprint}");
}

#[test]
fn the_audit_certificate_is_issued_by_the_ca_for_a_key_that_never_leaves() {
    let rig = Rig::new();
    let ca = rig.directory().join("tls/ca.pem").to_str().unwrap().to_owned();
    let audit = rig.directory().join("audit/audit.pem").to_str().unwrap().to_owned();

    openssl(&["verify", "-x509_strict", "-CAfile", &ca, &audit]).succeeded();

    let text = openssl(&["x509", "-in", &audit, "-noout", "-text"]).succeeded().stdout;
    assert!(text.contains("CA:FALSE") && text.contains("Digital Signature"), "{text}");
    let public_key = openssl(&["x509", "-in", &audit, "-noout", "-pubkey"]).succeeded().stdout;
    let key = rig.json(&["key", "show", "keyward-audit"]);
    assert_eq!(key["public_key_pem"].as_str().unwrap(), public_key);
    assert_eq!((key["policy"].as_str(), key["purpose"].as_str()), (Some("token-only"), Some("audit")));
    let object = rig.object(PRIVATE_KEY, "keyward-audit");
    let protection = ["SENSITIVE", "EXTRACTABLE", "NEVER_EXTRACTABLE"].map(|name| object[name].as_bool().unwrap());
    assert_eq!(protection, [true, false, true]);
    // Leaf, then CA.
    let chain = fs::read_to_string(&audit).unwrap();
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);
    assert!(chain.ends_with(&fs::read_to_string(&ca).unwrap()));
    rig.object(CERTIFICATE, "keyward-audit");
}

#[test]
fn two_instances_have_two_authorities() {
    let (first, second) = (Rig::new(), Rig::new());
    let file = |rig: &Rig, name: &str| rig.directory().join(name).to_str().unwrap().to_owned();

    let crossed = openssl(&["verify", "-CAfile", &file(&first, "tls/ca.pem"), &file(&second, "audit/audit.pem")]);

    assert_ne!(crossed.code, 0, "{crossed:?}");
}
