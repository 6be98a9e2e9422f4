//! After a crash: the next command ends what an intent began, so that every key is whole or absent.

use super::in_process::open;
use crate::support::{Rig, pkcs11::cka_id};
use keyward::{
    audit::ObjectRef,
    base::{
        algorithm::KeyAlgorithm,
        custody::{KeyPolicy, Purpose},
        ids::KeyId,
    },
    token::message::NewKey,
};
use serde_json::json;

fn new_key(id: KeyId) -> NewKey {
    NewKey {
        id,
        label: "half".to_owned().try_into().unwrap(),
        algorithm: KeyAlgorithm::P256,
        policy: KeyPolicy::TokenOnly,
        purpose: Purpose::Tls,
        trusted_kek: false,
    }
}

/// An intent to make the key `half`, and no result.
async fn intent_to_generate(rig: &Rig, id: KeyId, made: bool) {
    let (keys, caller) = open(rig).await;
    keys.audit.intent(&caller, "key.generate", &ObjectRef::new("key", id, "half"), json!({})).await.unwrap();
    if made {
        keys.home().generate(new_key(id)).await.unwrap();
    }
    keys.tokens.close().await;
    keys.db.close().await;
}

#[tokio::test]
async fn a_pair_that_was_made_but_never_recorded_is_removed_by_the_next_command() {
    let rig = Rig::new();
    let before = rig.objects();
    intent_to_generate(&rig, KeyId::new(), true).await;
    assert_eq!(rig.objects().len(), before.len() + 2);

    rig.json(&["key", "list"]);

    assert_eq!(rig.objects(), before);
    let record = rig.last_record();
    assert_eq!((record["event"].as_str(), record["code"].as_str()), (Some("key.generate"), Some("interrupted")));
    rig.key("half", "p256", "token-only");
}

#[tokio::test]
async fn half_a_pair_that_was_left_in_the_token_is_removed_by_the_next_command() {
    let rig = Rig::new();
    let before = rig.objects();
    let id = KeyId::new();
    intent_to_generate(&rig, id, false).await;
    rig.pkcs11_as_user("stray", &[&id.to_string().replace('-', ""), "half"]);
    assert_eq!(rig.objects().len(), before.len() + 1);

    rig.json(&["key", "list"]);

    assert_eq!(rig.objects(), before);
}

#[tokio::test]
async fn a_destruction_that_was_begun_is_finished_by_the_next_command() {
    let rig = Rig::new();
    let before = rig.objects();
    let key = rig.key("web", "p256", "backup-only");
    let (keys, caller) = open(&rig).await;
    let object = ObjectRef::new("key", key["id"].as_str().unwrap(), "web");
    keys.audit.intent(&caller, "key.destroy", &object, json!({})).await.unwrap();
    keys.db.close().await;

    rig.refused(&["key", "show", "web"], 5, "key-unknown");

    assert_eq!(rig.objects(), before);
    assert!(!rig.objects().iter().any(|object| object["ID"] == cka_id(&key)));
}

#[tokio::test]
async fn an_intent_waits_for_a_token_that_is_away_and_the_inventory_can_be_read_meanwhile() {
    let rig = Rig::new();
    let before = rig.objects();
    intent_to_generate(&rig, KeyId::new(), true).await;
    let (tokens, away) = (rig.directory().join("softhsm/tokens"), rig.directory().join("softhsm/away"));
    std::fs::rename(&tokens, &away).unwrap();

    assert_eq!(rig.json(&["key", "list"])["items"].as_array().unwrap().len(), 2);
    assert_eq!(rig.last_record()["phase"], "intent");
    std::fs::rename(&away, &tokens).unwrap();
    rig.json(&["key", "list"]);

    assert_eq!(rig.objects(), before);
}
