//! Attestations: what a device says of its keys, and whether anybody trusted vouches for the device.

use super::{cards::Cards, generate, rig_with_card};
use crate::support::{Rig, openssl};
use serde_json::{Value, json};
use std::fs;

#[test]
fn an_attestation_is_verified_up_to_the_root_that_the_settings_name() {
    let rig = Rig::new();
    let cards = Cards::start(&rig, &[(1000, "5.7.1")]);
    cards.name(&rig, "yk", 1000, &format!("attestation_roots = {:?}", cards.root()));
    cards.insert(1000);
    cards.wait_for(&rig, "yk");
    generate(&rig, "web", "p256", &["--pin-policy", "always", "--touch-policy", "cached"]);
    let chain = rig.file("chain.pem");

    let attested = rig.json(&["key", "attest", "web", "--out", &chain]);

    assert!(attested["trusted_root"].as_str().unwrap().starts_with("CN=Virtual PIV Root CA, SHA-256 "), "{attested}");
    assert_eq!((&attested["device_serial"], &attested["firmware"]), (&json!(1000), &json!("5.7.1")));
    assert_eq!((&attested["pin_policy"], &attested["touch_policy"]), (&json!("always"), &json!("cached")));
    assert_eq!(attested["problem"], Value::Null);
    let roots = cards.root();
    openssl(&["verify", "-CAfile", roots.to_str().unwrap(), "-untrusted", &chain, &chain]).succeeded();
    let ended = rig.keyward(&["key", "attest", "web"]).succeeded();
    assert!(ended.stdout.contains("yes, by CN=Virtual PIV Root CA"), "{}", ended.stdout);
    assert!(!attested.to_string().contains("PRIVATE KEY--"), "{attested}");
}

#[test]
fn an_attestation_is_kept_with_the_key_and_shown_while_the_card_is_away() {
    let (rig, cards) = rig_with_card("5.4.3");
    generate(&rig, "web", "p256", &[]);

    cards.pull(1000);

    assert_eq!(rig.json(&["key", "attest", "web"])["device_serial"], 1000);
}

#[test]
fn nobody_vouches_for_a_device_unless_its_root_is_among_those_that_are_trusted() {
    let (rig, cards) = rig_with_card("5.7.1");
    generate(&rig, "web", "p256", &[]);
    let without = rig.json(&["key", "attest", "web"]);
    // A root of the same name, with another key.
    let other = Rig::new();
    let strangers = Cards::start(&other, &[(1000, "5.7.1")]);
    let settings = rig.directory().join("keyward.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, format!("{text}attestation_roots = {:?}\n", strangers.root())).unwrap();

    let by_strangers = rig.json(&["key", "attest", "web"]);

    assert_eq!((&without["trusted_root"], &by_strangers["trusted_root"]), (&Value::Null, &Value::Null));
    assert!(without["problem"].as_str().unwrap().contains("nobody is trusted"), "{without}");
    let problem = by_strangers["problem"].as_str().unwrap();
    assert!(problem.contains("none of the 1 trusted roots has signed the device's certificate"), "{problem}");
    drop(cards);
}

#[test]
fn a_key_outside_of_a_yubikey_is_attested_by_nobody() {
    let rig = Rig::new();
    rig.key("web", "p256", "token-only");

    rig.refused(&["key", "attest", "web"], 5, "key-not-attested");
}
