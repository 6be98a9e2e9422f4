//! Keys that ask for the PIN at each use (`CKA_ALWAYS_AUTHENTICATE`), made by another program.

use super::shim::Shim;
use crate::support::Rig;
use keyward::{
    base::{algorithm::SignatureAlgorithm, fault::Fault as _, ids::KeyId},
    pki::public_key::PublicKey,
    token::{Token, TokenError, message::SignJob},
};

const SCHEME: SignatureAlgorithm = SignatureAlgorithm::EcdsaSha256;

/// A copy of the rig's token with a key that another program has made.
async fn strict_key(rig: &Rig) -> (Shim, Token, KeyId, PublicKey) {
    let id = KeyId::new();
    rig.python("support/objects.py", &[&rig.pin(), "strict", &id.to_string()]).succeeded();
    let shim = Shim::new(rig, "strict");
    let token = shim.token(None);
    let key = token.keys().await.unwrap().into_iter().find(|key| key.id == id).unwrap();
    assert!(key.always_authenticate);
    (shim, token, id, PublicKey::from_der(&key.public_key_der).unwrap())
}

async fn sign(token: &Token, key: KeyId, public_key: &PublicKey, count: usize) -> Result<Vec<Vec<u8>>, TokenError> {
    let inputs = vec![vec![7; 32]; count];
    token.sign("", SignJob { key, public_key_sha256: public_key.sha256(), algorithm: SCHEME, inputs }).await
}

#[tokio::test]
async fn a_key_that_asks_for_the_pin_at_each_signature_gets_it_and_another_one_does_not() {
    let rig = Rig::new();
    rig.key("web", "p256", "token-only");
    let (web, web_public) = rig.id_and_public_key("web");
    let (shim, token, strict, public_key) = strict_key(&rig).await;
    shim.set("C_Login log");

    let signatures = sign(&token, strict, &public_key, 3).await.unwrap();
    let logins = shim.happened("C_Login");
    sign(&token, web, &web_public, 3).await.unwrap();

    for signature in signatures {
        public_key.verify_prehash(SCHEME, &[7; 32], &signature).unwrap();
    }
    assert_eq!((logins, shim.happened("C_Login")), (3, 3));
    token.close().await;
}

#[tokio::test]
async fn a_pin_that_is_refused_at_a_signature_is_sent_no_more_by_any_process() {
    let rig = Rig::new();
    rig.key("web", "p256", "token-only");
    let (web, web_public) = rig.id_and_public_key("web");
    let (shim, token, strict, public_key) = strict_key(&rig).await;
    shim.set("C_Login rv=CKR_PIN_INCORRECT times=1\nC_Login log");

    let refused = sign(&token, strict, &public_key, 1).await.unwrap_err();
    let again = sign(&token, strict, &public_key, 1).await.unwrap_err();
    let others = sign(&token, web, &web_public, 1).await;
    token.close().await;
    let later = shim.token(None);
    let anew = sign(&later, web, &web_public, 1).await.unwrap_err();

    assert_eq!([&refused, &again, &anew].map(|error| error.entry().code), ["pin-refused"; 3]);
    let source = rig.pin_file().to_str().unwrap().to_owned();
    assert!(refused.to_string().contains(&source) && refused.to_string().contains("CKR_PIN_INCORRECT"), "{refused}");
    assert!(again.to_string().contains("not sent again"), "{again}");
    assert!(others.is_ok(), "the login of before is as good as it was: {others:?}");
    assert_eq!(shim.happened("C_Login"), 1);
    later.close().await;
}
