//! Cards that come and go, and two at once.

use super::{cards::Cards, generate, rig_with_card, sign};
use crate::support::{Rig, service::Service};
use serde_json::json;
use std::fs;

#[test]
fn a_card_that_is_pulled_is_absent_and_is_used_again_by_itself_when_it_is_back() {
    let (rig, cards) = rig_with_card("5.7.1");
    rig.key("home", "p256", "backup-only");
    generate(&rig, "web", "p256", &[]);
    let public_keys = [rig.public_key("home"), rig.public_key("web")];
    let _service = Service::start(&rig);
    rig.assert_signs("web", &public_keys[1]);

    cards.pull(1000);
    let ended = sign(&rig, "web");

    assert!(ended.stderr.contains("(token-absent"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("`yk` is not at any card reader as YubiKey 1000 (tokens there: none)"),
        "{}",
        ended.stderr
    );
    rig.assert_signs("home", &public_keys[0]);
    cards.insert(1000);
    cards.wait_for(&rig, "yk");
    rig.assert_signs("web", &public_keys[1]);
    assert_eq!(rig.json(&["token", "show", "yk"])["keys"]["present"], 1);
}

#[test]
fn another_card_in_the_same_reader_is_not_taken_for_the_one_that_is_named() {
    let rig = Rig::new();
    let cards = Cards::start(&rig, &[(2000, "5.7.1")]);
    cards.name(&rig, "yk", 1000, "");
    cards.name(&rig, "other", 2000, "");
    cards.insert(2000);
    cards.wait_for(&rig, "other");

    let problem = rig.refused(&["token", "show", "yk"], 8, "token-absent");

    assert!(problem["detail"].as_str().unwrap().contains("(tokens there: YubiKey 2000)"), "{problem}");
}

#[test]
fn two_cards_at_once_are_told_apart_by_serial_number() {
    let rig = Rig::new();
    let cards = Cards::start(&rig, &[(1000, "5.7.1"), (1001, "5.4.3")]);
    for (label, serial) in [("yk", 1000), ("second", 1001)] {
        cards.name(&rig, label, serial, "");
        cards.insert(serial);
        cards.wait_for(&rig, label);
    }
    generate(&rig, "a", "p256", &[]);
    rig.json(&["key", "generate", "b", "--algorithm", "p256", "--policy", "token-only", "--token", "second"]);
    let public_keys = [rig.public_key("a"), rig.public_key("b")];
    let _service = Service::start(&rig);

    // A worker that looks for its card makes the other one forget its PIN.
    for _ in 0..2 {
        rig.assert_signs("a", &public_keys[0]);
        rig.assert_signs("b", &public_keys[1]);
    }

    let serial_of = |key| rig.json(&["key", "attest", key])["device_serial"].clone();
    assert_eq!([serial_of("a"), serial_of("b")], [json!(1000), json!(1001)]);
}

#[test]
fn the_same_card_is_an_ordinary_token_through_the_vendors_module() {
    let (rig, cards) = rig_with_card("5.7.1");
    generate(&rig, "web", "p256", &[]);
    let public_key = rig.public_key("web");
    let settings = rig.directory().join("keyward.toml");
    let (before, pin, socket) = (fs::read_to_string(&settings).unwrap(), rig.file("yk.pin"), cards.socket());
    let module = fs::canonicalize(MODULE).unwrap();
    let section = format!(
        "[[tokens]]\nmodule = {module:?}\nlabel = \"YubiKey PIV #1000\"\npin_file = {pin:?}\nsessions = 1\n\
         environment = {{ PCSCLITE_CSOCK_NAME = {socket:?} }}\n"
    );
    fs::write(&settings, format!("{before}\n{section}")).unwrap();

    let scanned = rig.json(&["token", "scan", "YubiKey PIV #1000"]);
    let objects = scanned["items"].as_array().unwrap();
    let key = objects.iter().find(|object| object["label"] == "Private key for PIV Authentication").unwrap();
    rig.json(&["key", "adopt", "again", key["uri"].as_str().unwrap()]);

    rig.assert_signs("again", &public_key);
    rig.assert_signs("web", &public_key);
}

/// Yubico's PKCS#11 module, as Debian has it.
const MODULE: &str = "/usr/lib/x86_64-linux-gnu/libykcs11.so.2";
