//! PINs: a wrong one is sent once, and one that others can read not at all.

use crate::support::{Ended, Rig};
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt as _};

const GENERATE: [&str; 5] = ["key", "generate", "web", "--algorithm", "p256"];

fn set_pin(rig: &Rig, pin: &str) {
    fs::write(rig.pin_file(), pin).unwrap();
}

/// Whether a wrong PIN was given to the token since the last right one.
fn was_given_a_wrong_pin(rig: &Rig) -> bool {
    rig.pkcs11(&["flags"]).as_array().unwrap().contains(&json!("CKF_USER_PIN_COUNT_LOW"))
}

#[test]
fn a_wrong_pin_is_sent_once_and_never_again() {
    let rig = Rig::new();
    let before = rig.json(&["key", "list"]);
    let right = rig.pin();
    let pin_file = rig.pin_file().to_str().unwrap().to_owned();
    set_pin(&rig, "0000");

    let first = rig.refused(&GENERATE, 7, "pin-refused");

    assert!(first["detail"].as_str().unwrap().contains(&pin_file), "{first}");
    assert!(!first["detail"].as_str().unwrap().contains("0000"), "{first}");
    assert!(was_given_a_wrong_pin(&rig));
    assert_eq!(rig.last_record()["code"], "pin-refused");

    // Another program logs in, which clears the token's flag: another wrong try would set it again.
    let beside = rig.write("right-pin", &right);
    rig.pkcs11(&["login", &beside]);
    assert!(!was_given_a_wrong_pin(&rig));
    for _ in 0..2 {
        let again = rig.refused(&GENERATE, 7, "pin-refused");
        assert!(again["detail"].as_str().unwrap().contains("not sent again"), "{again}");
    }
    assert!(!was_given_a_wrong_pin(&rig));

    set_pin(&rig, "1111");
    rig.refused(&GENERATE, 7, "pin-refused");
    assert!(was_given_a_wrong_pin(&rig));

    assert_eq!(rig.json(&["key", "list"]), before);
    set_pin(&rig, &right);
    rig.json(&GENERATE);
    assert!(!was_given_a_wrong_pin(&rig));
}

#[test]
fn a_pin_that_other_users_can_read_or_that_is_not_there_is_not_used() {
    let rig = Rig::new();
    let right = rig.pin();
    let pin_file = rig.pin_file();
    let mode = |mode| fs::set_permissions(rig.pin_file(), fs::Permissions::from_mode(mode)).unwrap();
    let refusal = |expected: &str| {
        let problem = rig.refused(&GENERATE, 7, "pin-unreadable");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(pin_file.to_str().unwrap()) && detail.contains(expected), "{detail}");
    };

    mode(0o644);
    refusal("mode is 0644");
    mode(0o620);
    refusal("mode is 0620");
    mode(0o600);
    set_pin(&rig, "\n");
    refusal("it is empty");
    fs::remove_file(&pin_file).unwrap();
    refusal("No such file");

    set_pin(&rig, &right);
    mode(0o600);
    rig.json(&GENERATE);
    assert!(!was_given_a_wrong_pin(&rig));
}

#[test]
fn a_destruction_that_failed_is_not_made_up_for_when_the_token_can_be_used_again() {
    let rig = Rig::new();
    rig.json(&GENERATE);
    let (right, objects) = (rig.pin(), rig.objects());

    set_pin(&rig, "0000");
    rig.refused(&["key", "destroy", "web", "--yes"], 7, "pin-refused");
    assert_eq!(rig.last_record()["code"], "pin-refused");
    set_pin(&rig, &right);

    assert_eq!(rig.json(&["status"])["token"]["keys"]["present"], 3);
    assert_eq!(rig.objects(), objects);
}

#[test]
fn a_refused_pin_does_not_keep_anybody_from_reading() {
    let rig = Rig::new();
    set_pin(&rig, "0000");
    rig.refused(&GENERATE, 7, "pin-refused");

    for arguments in [&["key", "list"][..], &["key", "show", "keyward-ca"], &["cert", "list"], &["audit", "list"]] {
        rig.json(arguments);
    }
    let status = rig.json(&["status"]);
    let Ended { code, stdout, .. } = rig.keyward(&["status"]);

    assert_eq!((status["token"].is_null(), status["token_problem"]["code"].as_str()), (true, Some("pin-refused")));
    assert_eq!(code, 0);
    assert!(stdout.contains("refused the PIN"), "{stdout}");
}
