//! Keys that another program made, taken into the inventory as they are.

use crate::support::{Rig, openssl, pkcs11::PRIVATE_KEY, service::Service};
use serde_json::{Value, json};
use std::fs;

#[test]
fn a_key_of_another_program_is_adopted_and_signs_and_its_object_stays_as_it_is() {
    let rig = Rig::new();
    made_elsewhere(&rig, "rsa:2048", "0a0b", "old-rsa", &[]);
    made_elsewhere(&rig, "EC:prime256v1", "0c", "old-ec", &[]);
    let before = rig.all_objects();

    for (label, object, algorithm) in [("web", "old-rsa", "rsa-2048"), ("api", "old-ec", "p256")] {
        let uri = uri_of(&rig, object);
        let key = rig.json(&["key", "adopt", label, &uri]);

        assert_eq!((&key["origin"], &key["algorithm"]), (&json!("adopted"), &json!(algorithm)));
        assert_eq!((&key["policy"], &key["enforcement"]), (&json!("token-only"), &json!("token")));
        assert_eq!(key["adoption"]["uri"], uri);
        assert_eq!(key["adoption"]["attributes"]["local"], true);
        rig.assert_signs(label, &rig.public_key(label));
        let (csr, subject) = (rig.file(&format!("{label}.csr")), format!("CN={label}"));
        rig.json(&["key", "csr", label, "--subject", &subject, "--out", &csr]);
        openssl(&["req", "-verify", "-noout", "-in", &csr]).succeeded();
    }

    assert_eq!(rig.all_objects(), before);
    let status = rig.json(&["status"]);
    assert_eq!((&status["token"]["keys"]["present"], &status["token"]["keys"]["unrecorded"]), (&json!(4), &json!([])));
    assert_eq!(scanned(&rig, "old-rsa")["key"], "web");
    assert_eq!(rig.last_record()["event"], "key.csr");
}

#[test]
fn an_extractable_key_is_adopted_as_backup_only_and_comes_back_from_a_backup() {
    let rig = Rig::new();
    made_elsewhere(&rig, "EC:prime256v1", "01", "old", &["--extractable"]);

    let key = rig.json(&["key", "adopt", "web", &uri_of(&rig, "old")]);
    let public_key = rig.public_key("web");
    let backup = rig.json(&["backup", "run"]);
    let drill = rig.json(&["backup", "drill", "latest"]);
    rig.tool("pkcs11-tool", &as_user(&rig, &["--delete-object", "--type", "privkey", "--id", "01"])).succeeded();
    let message = rig.write("m", "m");
    rig.refused(&["key", "sign", "web", "--in", &message, "--out", &rig.file("m.sig")], 5, "key-object-missing");
    rig.json(&["backup", "restore", "latest", "--key", "web"]);

    assert_eq!((&key["policy"], &key["enforcement"]), (&json!("backup-only"), &json!("keyward")));
    assert_eq!((&backup["state"], &drill["state"]), (&json!("green"), &json!("green")));
    rig.assert_signs("web", &public_key);
    assert_eq!(rig.json(&["key", "show", "web"])["presence"], "present");
}

#[test]
fn keys_of_one_label_without_ids_or_with_the_same_are_told_apart_by_their_public_keys() {
    let rig = Rig::new();
    for _ in 0..2 {
        made_elsewhere(&rig, "EC:prime256v1", "", "nameless", &[]);
        made_elsewhere(&rig, "EC:prime256v1", "07", "twin", &[]);
    }
    let uri = "pkcs11:token=keyward;id=%07;object=twin;type=private";

    let problem = rig.refused(&["key", "adopt", "one", uri], 6, "uri-ambiguous");
    let twins: Vec<Value> = all_scanned(&rig).into_iter().filter(|object| object["label"] == "twin").collect();
    assert!(problem["detail"].as_str().unwrap().starts_with("2 private keys are meant: pkcs11:token=keyward;id=%07"));
    // Which public key belongs to which private one is not to be seen in the token, so the key has to prove it.
    assert!(twins.iter().all(|object| object["public_key_pem"].is_null()), "{twins:?}");
    rig.refused(&["key", "adopt", "one", "pkcs11:object=nameless"], 6, "uri-ambiguous");
}

#[test]
fn a_key_without_a_public_key_object_is_adopted_with_the_public_key_that_it_proves() {
    let rig = Rig::new();
    made_elsewhere(&rig, "EC:prime256v1", "03", "mute", &[]);
    let public_key = rig.write("mute.pem", scanned(&rig, "mute")["public_key_pem"].as_str().unwrap());
    rig.tool("pkcs11-tool", &as_user(&rig, &["--delete-object", "--type", "pubkey", "--id", "03"])).succeeded();
    let uri = uri_of(&rig, "mute");
    let strange = rig.file("strange.pem");
    rig.key("strange", "p256", "token-only");
    rig.keyward(&["key", "public", "strange", "--out", &strange]).succeeded();

    rig.refused(&["key", "adopt", "web", &uri], 3, "public-key-untold");
    let wrong = rig.refused(&["key", "adopt", "web", &uri, "--public-key", &strange], 6, "key-recorded-already");
    let key = rig.json(&["key", "adopt", "web", &uri, "--public-key", &public_key]);

    assert!(wrong["detail"].as_str().unwrap().contains("strange"), "{wrong}");
    assert_eq!(key["public_key_pem"].as_str().unwrap(), fs::read_to_string(&public_key).unwrap());
    rig.assert_signs("web", &public_key);
}

#[test]
fn a_public_key_that_the_object_does_not_prove_is_not_believed() {
    let rig = Rig::new();
    made_elsewhere(&rig, "EC:prime256v1", "03", "mute", &[]);
    rig.tool("pkcs11-tool", &as_user(&rig, &["--delete-object", "--type", "pubkey", "--id", "03"])).succeeded();
    let (private, strange) = (rig.file("strange.key"), rig.file("strange.pem"));
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &private]).succeeded();
    openssl(&["pkey", "-in", &private, "-pubout", "-out", &strange]).succeeded();
    let keys = rig.json(&["key", "list"]);

    let adopt = ["key", "adopt", "web", &uri_of(&rig, "mute"), "--public-key", &strange];
    rig.refused(&adopt, 6, "key-not-proved");

    assert_eq!(rig.json(&["key", "list"]), keys);
    let last = rig.last_record();
    assert_eq!((&last["event"], &last["code"]), (&json!("key.adopt"), &json!("key-not-proved")));
}

#[test]
fn an_adoption_that_failed_does_not_stand_in_the_way_of_the_next_one() {
    let (rig, id) = (Rig::new(), "00112233445566778899aabbccddeeff");
    made_elsewhere(&rig, "EC:prime256v1", id, "mute", &[]);
    let right = rig.write("right.pem", scanned(&rig, "mute")["public_key_pem"].as_str().unwrap());
    rig.tool("pkcs11-tool", &as_user(&rig, &["--delete-object", "--type", "pubkey", "--id", id])).succeeded();
    let (private, wrong) = (rig.file("wrong.key"), rig.file("wrong.pem"));
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &private]).succeeded();
    openssl(&["pkey", "-in", &private, "-pubout", "-out", &wrong]).succeeded();
    let uri = uri_of(&rig, "mute");
    let service = Service::start(&rig);

    rig.refused(&["key", "adopt", "web", &uri, "--public-key", &wrong], 6, "key-not-proved");
    rig.json(&["key", "adopt", "web", &uri, "--public-key", &right]);

    rig.assert_signs("web", &right);
    assert!(service.stop().success());
}

#[test]
fn what_no_policy_could_keep_or_is_no_object_or_is_known_already_is_refused() {
    let rig = Rig::new();
    made_elsewhere(&rig, "EC:prime256v1", "01", "kept", &[]);
    made_elsewhere(&rig, "EC:prime256v1", "02", "open", &["--extractable"]);
    let (kept, open) = (uri_of(&rig, "kept"), uri_of(&rig, "open"));
    rig.python("support/objects.py", &[&rig.pin(), "plant-readable", "clear"]).succeeded();

    let refused = |uri: &str, more: &[&str], exit, code| {
        let problem = rig.refused(&[&["key", "adopt", "web", uri], more].concat(), exit, code);
        problem["detail"].as_str().unwrap().to_owned()
    };
    assert!(refused(&kept, &["--policy", "exportable"], 9, "key-unadoptable").contains("CKA_EXTRACTABLE"));
    assert!(refused(&uri_of(&rig, "clear"), &[], 9, "key-unadoptable").contains("CKA_SENSITIVE"));
    assert!(refused("pkcs11:object=nothing", &[], 5, "object-unknown").contains("object=nothing"));
    assert!(!refused("pkcs11:object=kept?pin-value=4321", &[], 3, "uri-malformed").contains("4321"));
    refused("pkcs11:token=attic;object=kept", &[], 5, "token-unknown");
    refused("pkcs11:serial=77;object=kept", &[], 6, "token-serial-differs");
    rig.json(&["key", "adopt", "web", &open, "--policy", "exportable"]);
    refused(&open, &[], 6, "key-recorded-already");
    refused(&uri_of(&rig, "keyward-ca"), &[], 6, "key-recorded-already");
    rig.refused(&["key", "adopt", "web", &kept], 6, "label-taken");
}

#[test]
fn destroying_an_adopted_key_leaves_other_keys_of_the_same_id() {
    let rig = Rig::new();
    made_elsewhere(&rig, "rsa:2048", "07", "first", &[]);
    made_elsewhere(&rig, "rsa:2048", "07", "second", &[]);
    rig.json(&["key", "adopt", "web", &uri_of(&rig, "first")]);

    rig.json(&["key", "destroy", "web", "--yes"]);

    let left = all_scanned(&rig);
    assert!(!left.iter().any(|object| object["label"] == "first"), "{left:?}");
    assert!(left.iter().any(|object| object["label"] == "second"), "{left:?}");
    rig.json(&["key", "adopt", "other", &uri_of(&rig, "second")]);
    rig.assert_signs("other", &rig.public_key("other"));
}

#[test]
fn a_key_that_was_adopted_while_the_service_runs_signs_at_once_and_after_a_new_worker() {
    let rig = Rig::new();
    made_elsewhere(&rig, "EC:secp384r1", "0102", "old", &[]);
    let service = Service::start(&rig);

    rig.json(&["key", "adopt", "web", &uri_of(&rig, "old")]);
    rig.assert_signs("web", &rig.public_key("web"));
    assert!(service.stop().success());
    let again = Service::start(&rig);

    rig.assert_signs("web", &rig.public_key("web"));
    assert!(again.stop().success());
}

#[test]
fn a_scan_lists_private_keys_whoever_made_them_and_says_which_are_recorded() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    made_elsewhere(&rig, "EC:prime256v1", "", "foreign", &["--extractable"]);

    let objects = all_scanned(&rig);
    let table = rig.keyward(&["token", "scan"]).succeeded().stdout;

    let labels: Vec<_> = objects.iter().map(|object| object["label"].as_str().unwrap()).collect();
    assert_eq!(objects.len(), 4, "{labels:?}");
    assert_eq!(scanned(&rig, "web")["key"], "web");
    assert_eq!(scanned(&rig, "foreign")["key"], Value::Null);
    assert!(!objects.iter().any(|object| object["label"].as_str().unwrap().starts_with("keyward-kek")));
    assert!(table.lines().any(|line| line.starts_with("foreign") && line.contains("wrapped")), "{table}");
    assert!(table.contains("key adopt NAME 'pkcs11:token=keyward;id=;object=foreign;type=private'"), "{table}");
    assert_eq!(rig.all_objects().iter().filter(|object| object["CLASS"] == PRIVATE_KEY).count(), 4);
}

/// Has pkcs11-tool make a key pair in the rig's token.
fn made_elsewhere(rig: &Rig, kind: &str, id: &str, label: &str, more: &[&str]) {
    let mut arguments = vec!["--keypairgen", "--key-type", kind, "--label", label, "--sensitive"];
    if !id.is_empty() {
        arguments.extend(["--id", id]);
    }
    arguments.extend(more);
    rig.tool("pkcs11-tool", &as_user(rig, &arguments)).succeeded();
}

/// The options by which pkcs11-tool uses the rig's token, and these.
fn as_user<'a>(rig: &Rig, arguments: &[&'a str]) -> Vec<&'a str> {
    // They live as long as the test; a PIN of a rig in arguments of a test's program is no secret.
    let (module, pin): (&'a str, &'a str) = (rig.module().leak(), rig.pin().leak());
    [&["--module", module, "--token-label", "keyward", "--login", "--pin", pin], arguments].concat()
}

fn all_scanned(rig: &Rig) -> Vec<Value> {
    rig.json(&["token", "scan"])["items"].as_array().unwrap().clone()
}

/// The one scanned object of this label.
#[track_caller]
fn scanned(rig: &Rig, label: &str) -> Value {
    let found: Vec<Value> = all_scanned(rig).into_iter().filter(|object| object["label"] == label).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

fn uri_of(rig: &Rig, label: &str) -> String {
    scanned(rig, label)["uri"].as_str().unwrap().to_owned()
}
