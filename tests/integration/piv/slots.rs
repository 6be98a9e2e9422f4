//! Keys in slots: made, used, certified, deleted; never written over.

use super::{assert_signs_by, cards::Cards, generate, generation, rig_with_card, sign};
use crate::support::{Rig, openssl};
use serde_json::json;
use std::fs;

#[test]
fn every_kind_of_key_is_made_in_a_slot_and_signs_so_that_openssl_verifies_it() {
    let (rig, _cards) = rig_with_card("5.7.1");

    let p256 = generate(&rig, "p256", "p256", &[]);
    generate(&rig, "rsa", "rsa-2048", &["--purpose", "signing"]);
    generate(&rig, "p384", "p384", &["--slot", "82", "--pin-policy", "never"]);
    generate(&rig, "ed", "ed25519", &["--slot", "9e", "--pin-policy", "always"]);

    assert_eq!(p256["piv"], json!({ "slot": "9a", "pin_policy": "once", "touch_policy": "never" }));
    assert_eq!((&p256["enforcement"], &p256["token"]), (&json!("token"), &json!("yk")));
    assert_eq!(rig.json(&["key", "show", "rsa"])["piv"]["pin_policy"], "always");
    assert_signs_by(&rig, "p256", ("ecdsa-sha256", "sha256"), &[]);
    assert_signs_by(&rig, "p256", ("ecdsa-sha512", "sha512"), &[]);
    assert_signs_by(&rig, "p384", ("ecdsa-sha256", "sha256"), &[]);
    assert_signs_by(&rig, "rsa", ("rsa-pkcs1-sha384", "sha384"), &[]);
    let pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"];
    assert_signs_by(&rig, "rsa", ("rsa-pss-sha256", "sha256"), &pss);
    assert_eq!(rig.json(&["token", "show", "yk"])["keys"]["present"], 4);
    assert_eq!(rig.json(&["token", "show", "yk"])["keys"]["unrecorded"], json!([]));
}

#[test]
fn ed25519_messages_of_any_length_are_signed_on_the_card() {
    let (rig, _cards) = rig_with_card("5.7.1");
    generate(&rig, "ed", "ed25519", &[]);
    let public_key = rig.public_key("ed");

    // Lengths at which the encoding of the command changes.
    for length in [1, 127, 128, 251, 255, 256, 1_000] {
        let message = rig.write("message", vec![7; length]);
        let signature = rig.file(&format!("{length}.sig"));
        rig.keyward(&["key", "sign", "ed", "--in", &message, "--out", &signature]).succeeded();
        let verify = ["pkeyutl", "-verify", "-pubin", "-inkey", &public_key, "-rawin", "-in", &message];
        openssl(&[&verify, ["-sigfile", signature.as_str()].as_slice()].concat()).succeeded();
    }
}

#[test]
fn a_request_and_a_certificate_are_signed_by_the_slot_and_the_certificate_lies_in_it() {
    let (rig, cards) = rig_with_card("5.4.3");
    generate(&rig, "web", "rsa-2048", &[]);
    let (request, certificate) = (rig.file("web.csr"), rig.file("web.crt"));

    rig.keyward(&["key", "csr", "web", "--subject", "CN=web", "--out", &request]).succeeded();
    rig.keyward(&["cert", "self-sign", "web", "--subject", "CN=web", "--out", &certificate]).succeeded();

    openssl(&["req", "-in", &request, "-verify", "-noout"]).succeeded();
    let in_slot = cards.piv_tool(1000, &["-a", "read-certificate", "-s", "9a"]).succeeded().stdout;
    assert_eq!(in_slot.trim(), fs::read_to_string(&certificate).unwrap().trim());
}

#[test]
fn a_slot_with_a_key_is_never_written_over() {
    let (rig, _cards) = rig_with_card("5.4.3");
    generate(&rig, "first", "p256", &["--slot", "9c"]);
    let public_key = rig.public_key("first");

    let second = generation("second", "p384");
    let problem = rig.refused(&[&second, ["--slot", "9c"].as_slice()].concat(), 6, "slot-taken");

    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("slot 9c of token `yk` holds the p256 key"), "{detail}");
    assert!(detail.contains("empty slots: 9a, 9d, 9e, 82, "), "{detail}");
    rig.assert_signs("first", &public_key);
    assert_eq!(rig.json(&["key", "list"])["items"].as_array().unwrap().len(), 3);
}

#[test]
fn firmware_that_deletes_keys_empties_the_slot_and_older_firmware_keeps_the_key() {
    let rig = Rig::new();
    let cards = Cards::start(&rig, &[(1000, "5.7.1"), (1001, "5.4.3")]);
    for (label, serial) in [("yk", 1000), ("old", 1001)] {
        cards.name(&rig, label, serial, "");
        cards.insert(serial);
        cards.wait_for(&rig, label);
    }
    generate(&rig, "web", "p256", &[]);
    rig.json(&["key", "generate", "kept", "--algorithm", "p256", "--policy", "token-only", "--token", "old"]);
    rig.keyward(&["cert", "self-sign", "web", "--subject", "CN=web", "--out", &rig.file("web.crt")]).succeeded();

    let destroyed = rig.json(&["key", "destroy", "web", "--yes"]);
    let problem = rig.refused(&["key", "destroy", "kept", "--yes"], 9, "token-not-capable");

    assert_eq!(destroyed["objects"], 1);
    assert_ne!(cards.piv_tool(1000, &["-a", "read-certificate", "-s", "9a"]).code, 0);
    generate(&rig, "web", "p384", &[]);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("firmware 5.4.3 deletes no single key"), "{detail}");
    rig.assert_signs("kept", &rig.public_key("kept"));
}

#[test]
fn what_the_firmware_does_not_have_is_said_before_anything_is_made() {
    let (rig, _cards) = rig_with_card("5.4.3");

    for algorithm in ["ed25519", "rsa-3072", "p521"] {
        rig.refused(&generation("web", algorithm), 9, "algorithm-unsupported");
    }

    assert_eq!(rig.json(&["token", "show", "yk"])["keys"]["present"], 0);
}

#[test]
fn a_management_key_that_is_missing_or_wrong_lets_nothing_be_made_and_is_not_needed_to_sign() {
    let (rig, _cards) = rig_with_card("5.7.1");
    generate(&rig, "web", "p256", &[]);
    let file = rig.path("management-key");

    fs::write(&file, "00".repeat(24)).unwrap();
    let wrong = rig.refused(&[&generation("b", "p256"), ["--slot", "9c"].as_slice()].concat(), 7, "management-key");
    fs::remove_file(&file).unwrap();
    rig.refused(&[&generation("c", "p256"), ["--slot", "9c"].as_slice()].concat(), 7, "management-key");

    assert!(wrong["detail"].as_str().unwrap().contains("the card refused the one given"), "{wrong}");
    sign(&rig, "web").succeeded();
}

#[test]
fn slots_are_for_yubikeys_and_a_yubikey_is_never_the_instances_own_token() {
    let rig = Rig::new();
    let generate = ["key", "generate", "web", "--algorithm", "p256", "--slot", "9a"];

    rig.refused(&generate, 3, "slot-not-applicable");

    let settings = rig.directory().join("keyward.toml");
    fs::write(&settings, "[token]\nyubikey = 1000\nlabel = \"yk\"\npin_file = \"pin\"\n").unwrap();
    let ended = rig.keyward(&["key", "list"]);
    assert!(ended.stderr.contains("a YubiKey cannot be the instance's own token"), "{}", ended.stderr);
}

#[test]
fn a_key_that_the_vendors_tool_made_in_a_slot_is_adopted_and_signs() {
    let (rig, cards) = rig_with_card("5.4.3");
    cards.piv_tool(1000, &["-a", "generate", "-s", "9d", "-A", "ECCP256", "--touch-policy", "never"]).succeeded();
    let scanned = rig.json(&["token", "scan", "yk"]);
    let uri = scanned["items"][0]["uri"].as_str().unwrap();

    let key = rig.json(&["key", "adopt", "web", uri]);

    assert_eq!((&key["policy"], &key["origin"]), (&json!("token-only"), &json!("adopted")));
    assert_eq!(key["piv"], json!({ "slot": "9d", "pin_policy": "once", "touch_policy": "never" }));
    rig.assert_signs("web", &rig.public_key("web"));
    assert_eq!(rig.json(&["key", "attest", "web"])["device_serial"], 1000);
    assert_eq!(rig.json(&["token", "show", "yk"])["keys"]["present"], 1);
}
