//! The inventory through the library, for what the command line does not offer: digests, and records of a crash.

use crate::support::Rig;
use keyward::{
    access::{Access, Shown},
    audit::{Audit, Writer},
    base::{
        algorithm::KeyAlgorithm,
        ids::{KeySelector, RequestId},
        principal::{Caller, Identity, KeyScope, Principal, PrincipalKind, Role},
        time::{Clock, SystemClock},
    },
    db::{Database, instance},
    keys::{
        KeyError, KeyRecord, Keys,
        api::{GenerateRequest, SignRequest},
        destroy::destroy,
        generate::generate,
        index::KeyIndex,
        sign::sign,
    },
    token::{Token, Tokens},
};
use std::{num::NonZeroU32, sync::Arc};

/// The rig's keys, opened as `keyward` opens them. The rig's commands must not run beside it.
pub(super) async fn open(rig: &Rig) -> (Keys, Caller) {
    let directory = rig.directory();
    let db = Database::open(&directory.join("keyward.db")).await.unwrap();
    let row = instance::read(&db).await.unwrap().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let writer = Writer { instance: row.id, suffix: row.writer.clone() };
    let audit = Audit::open(db.clone(), directory.join("audit"), writer, Arc::clone(&clock)).await.unwrap();
    let token = Token::new(rig.token_settings(2), None);
    let stores = (db.clone(), audit.clone());
    let access = Access::open(stores, Arc::clone(&clock), row.owner_uid, NonZeroU32::MAX).await.unwrap();
    let owner = access.identify(Shown::LocalUser(row.owner_uid)).unwrap();
    let caller = Caller::new(owner, RequestId::new());
    (
        Keys { db, index: KeyIndex::default(), audit, tokens: Tokens::new(token, []), clock, posture: row.posture },
        caller,
    )
}

fn request(algorithm: Option<&str>, digests: &[&[u8]], messages: &[&[u8]]) -> SignRequest {
    use base64ct::{Base64, Encoding as _};
    let encode = |inputs: &[&[u8]]| inputs.iter().map(|input| Base64::encode_string(input)).collect();
    let algorithm = algorithm.map(|name| name.parse().unwrap());
    SignRequest { algorithm, digests: encode(digests), messages: encode(messages) }
}

#[tokio::test]
async fn digests_and_messages_give_signatures_that_verify_in_the_order_of_the_request() {
    use base64ct::{Base64, Encoding as _};
    let rig = Rig::new();
    rig.key("web", "rsa-2048", "token-only");
    let (_, public_key) = rig.id_and_public_key("web");
    let (keys, caller) = open(&rig).await;
    let selector = KeySelector::from("web");
    let inputs: Vec<[u8; 48]> = (0..64).map(|number| [number; 48]).collect();
    let inputs: Vec<&[u8]> = inputs.iter().map(<[u8; 48]>::as_slice).collect();
    let scheme = "rsa-pss-sha384".parse().unwrap();

    let of_digests = sign(&keys, &caller, &selector, request(Some("rsa-pss-sha384"), &inputs, &[])).await.unwrap();
    let of_messages = sign(&keys, &caller, &selector, request(Some("rsa-pss-sha384"), &[], &inputs)).await.unwrap();
    keys.tokens.close().await;

    assert_eq!((of_digests.signatures.len(), of_messages.signatures.len()), (64, 64));
    for (input, signature) in inputs.iter().zip(&of_digests.signatures) {
        public_key.verify_prehash(scheme, input, &Base64::decode_vec(signature).unwrap()).unwrap();
    }
    for (input, signature) in inputs.iter().zip(&of_messages.signatures) {
        public_key.verify(scheme, input, &Base64::decode_vec(signature).unwrap()).unwrap();
    }
}

#[tokio::test]
async fn a_request_that_does_not_hold_together_is_refused_before_the_token_is_asked() {
    let rig = Rig::new();
    rig.key("p", "p256", "token-only");
    rig.key("e", "ed25519", "token-only");
    let (keys, caller) = open(&rig).await;
    let (digest, short): (&[u8], &[u8]) = (&[7; 32], &[7; 31]);
    let not_base64 = SignRequest { algorithm: None, digests: Vec::new(), messages: vec!["*".to_owned()] };

    for (key, request, expected) in [
        ("p", request(None, &[], &[]), "sign-count"),
        ("p", request(None, &[digest], &[b"message"]), "sign-count"),
        ("p", request(None, &[digest; 65], &[]), "sign-count"),
        ("p", request(None, &[digest, short], &[]), "sign-input-malformed"),
        ("p", request(Some("ecdsa-sha384"), &[digest], &[]), "sign-input-malformed"),
        ("e", request(None, &[digest], &[]), "sign-input-malformed"),
        ("p", not_base64, "sign-input-malformed"),
    ] {
        use keyward::base::fault::Fault as _;
        let refused: KeyError = sign(&keys, &caller, &KeySelector::from(key), request).await.unwrap_err();
        assert_eq!(refused.entry().code, expected, "{refused}");
    }
    keys.db.close().await;
    assert_eq!(rig.recorded_signatures(), 0);
}

async fn p256(keys: &Keys, caller: &Caller, label: &str) -> KeyRecord {
    let request = GenerateRequest {
        label: label.to_owned(),
        algorithm: KeyAlgorithm::P256,
        policy: None,
        purpose: None,
        approvals: None,
        comment: String::new(),
        token: None,
    };
    generate(keys, caller, request).await.unwrap()
}

#[tokio::test]
async fn a_destroyed_key_signs_no_more_and_its_label_signs_with_the_next_key_at_once() {
    use base64ct::{Base64, Encoding as _};
    let rig = Rig::new();
    let (keys, caller) = open(&rig).await;
    let (label, digest): (_, &[u8]) = (KeySelector::from("web"), &[7; 32]);
    let signed = async |selector: &KeySelector| sign(&keys, &caller, selector, request(None, &[digest], &[])).await;
    let former = p256(&keys, &caller, "web").await;
    signed(&label).await.unwrap();
    signed(&KeySelector::Id(former.id)).await.unwrap();

    destroy(&keys, &caller, &label).await.unwrap();
    let by_label = signed(&label).await.unwrap_err();
    let by_id = signed(&KeySelector::Id(former.id)).await.unwrap_err();
    let next = p256(&keys, &caller, "web").await;
    let answer = signed(&label).await.unwrap();
    keys.tokens.close().await;

    assert!(matches!(by_label, KeyError::Unknown { .. }), "{by_label}");
    assert!(matches!(by_id, KeyError::Unknown { .. }), "{by_id}");
    assert_eq!(answer.key, next.id);
    let signature = Base64::decode_vec(&answer.signatures[0]).unwrap();
    next.public_key().unwrap().verify_prehash(answer.algorithm, digest, &signature).unwrap();
}

#[tokio::test]
async fn a_key_that_a_credential_is_not_good_for_is_as_unknown_as_one_that_is_not_there() {
    let rig = Rig::new();
    let (keys, owner) = open(&rig).await;
    let (mine, other) = (p256(&keys, &owner, "mine").await, p256(&keys, &owner, "other").await);
    let principal = Principal { id: "s-1".to_owned(), kind: PrincipalKind::Service, name: "pipeline".to_owned() };
    let scope = KeyScope::Only([mine.id].into());
    let identity = Identity { keys: scope, ..Identity::new(principal, vec![Role::Signer]) };
    let signer = Caller::new(identity.into(), RequestId::new());
    let signed = async |caller: &Caller, key: &KeySelector| {
        sign(&keys, caller, key, request(None, &[&[7; 32]], &[])).await.map_err(|error| error.to_string())
    };
    let (label, id) = (KeySelector::from("other"), KeySelector::Id(other.id));

    // Before anybody has used the key, and after.
    let unused = signed(&signer, &label).await.unwrap_err();
    signed(&owner, &label).await.unwrap();
    let used = (signed(&signer, &label).await.unwrap_err(), signed(&signer, &id).await.unwrap_err());
    let absent = signed(&signer, &KeySelector::from("absent")).await.unwrap_err();
    let own = signed(&signer, &KeySelector::from("mine")).await;
    keys.tokens.close().await;

    assert!(own.is_ok());
    assert_eq!(unused, absent.replace("absent", "other"));
    assert_eq!(used, (unused, absent.replace("absent", &other.id.to_string())));
}
