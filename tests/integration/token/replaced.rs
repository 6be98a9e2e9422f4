//! A key object that is not the recorded key any more is never signed with.

use crate::support::{Rig, pkcs11::cka_id};
use keyward::{
    base::{algorithm::SignatureAlgorithm, ids::KeyId},
    pki::public_key::PublicKey,
    token::{Token, TokenError, message::SignJob},
};

#[test]
fn a_key_whose_pair_was_replaced_under_its_id_is_not_used() {
    let rig = Rig::new();
    let key = rig.key("web", "p256", "token-only");
    let message = rig.write("message", "m");
    let out = rig.file("out");

    rig.pkcs11_as_user("replace", &[&cka_id(&key), "pair"]);

    for arguments in [
        &["key", "sign", "web", "--in", &message, "--out", &out][..],
        &["key", "csr", "web", "--subject", "CN=x", "--out", &out],
        &["cert", "self-sign", "web", "--subject", "CN=x", "--out", &out],
    ] {
        rig.refused(arguments, 6, "key-mismatch");
        assert!(!rig.path("out").exists(), "{arguments:?}");
        assert_eq!(rig.last_record()["code"], "key-mismatch");
    }
    assert_eq!(rig.recorded_signatures(), 0);
    let keys = rig.json(&["status"])["token"]["keys"].clone();
    assert_eq!(keys, serde_json::json!({"present": 2, "missing": [], "replaced": ["web"], "unrecorded": []}));
    assert_eq!(rig.json(&["key", "show", "web"])["presence"], "missing");
}

#[test]
fn a_private_key_that_was_replaced_beside_its_public_key_gives_no_signature() {
    let rig = Rig::new();
    let key = rig.key("web", "p256", "token-only");
    let message = rig.write("message", "m");
    let out = rig.file("out");

    rig.pkcs11_as_user("replace", &[&cka_id(&key), "private"]);

    rig.refused(&["key", "sign", "web", "--in", &message, "--out", &out], 6, "key-not-proved");
    assert!(!rig.path("out").exists());
    assert_eq!(rig.recorded_signatures(), 0);
}

#[tokio::test]
async fn a_worker_that_has_signed_notices_that_the_pair_was_replaced() {
    let rig = Rig::new();
    let key = rig.key("web", "p256", "token-only");
    let (id, public_key) = rig.id_and_public_key("web");
    let token = Token::new(rig.token_settings(2), None);
    let sign = || token.sign("", job(id, &public_key));
    public_key.verify_prehash(SignatureAlgorithm::EcdsaSha256, &[7; 32], &sign().await.unwrap()[0]).unwrap();

    rig.pkcs11_as_user("replace", &[&cka_id(&key), "pair"]);

    for _ in 0..4 {
        let refused = sign().await.unwrap_err();
        assert!(matches!(refused, TokenError::AnotherKey { key, .. } if key == id), "{refused}");
    }
    token.close().await;
}

#[tokio::test]
async fn a_worker_that_has_signed_notices_that_the_private_key_was_replaced() {
    let rig = Rig::new();
    let key = rig.key("web", "p256", "token-only");
    let (id, public_key) = rig.id_and_public_key("web");
    let token = Token::new(rig.token_settings(2), None);
    let sign = || token.sign("", job(id, &public_key));
    sign().await.unwrap();

    rig.pkcs11_as_user("replace", &[&cka_id(&key), "private"]);

    for _ in 0..4 {
        let refused = sign().await.unwrap_err();
        assert!(matches!(refused, TokenError::ProofFailed { key, .. } if key == id), "{refused}");
    }
    token.close().await;
}

fn job(key: KeyId, public_key: &PublicKey) -> SignJob {
    let (public_key_sha256, algorithm) = (public_key.sha256(), SignatureAlgorithm::EcdsaSha256);
    SignJob { key, public_key_sha256, algorithm, inputs: vec![vec![7; 32]] }
}
