//! Sealed tokens: a service starts without a PIN, is given one by a person, and has it taken away.

use super::{faults::children, sources::set_source};
use crate::support::{
    Rig,
    service::{Service, set_http},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;

const GENERATE: [&str; 5] = ["key", "generate", "web", "--algorithm", "p256"];

/// A service that waits for the PIN of its token.
fn sealed() -> (Rig, Service) {
    let rig = Rig::new();
    set_source(&rig, "pin_prompt = true");
    set_http(&rig, "");
    let service = Service::start(&rig);
    (rig, service)
}

/// Whether a wrong PIN was given to the token since the last right one.
fn was_given_a_wrong_pin(rig: &Rig) -> bool {
    rig.pkcs11(&["flags"]).as_array().unwrap().contains(&json!("CKF_USER_PIN_COUNT_LOW"))
}

/// A file with this PIN.
fn pin_file(rig: &Rig, pin: &str) -> String {
    rig.write(&format!("pin-{pin}"), format!("{pin}\n"))
}

fn records_of(rig: &Rig, event: &str) -> Vec<Value> {
    let records = rig.json(&["audit", "list", "--limit", "1000"])["items"].as_array().unwrap().clone();
    records.into_iter().filter(|record| record["event"] == event).collect()
}

#[test]
fn a_service_without_a_pin_does_everything_but_what_needs_the_token() {
    let (rig, service) = sealed();

    let (status, readiness) = service.at_socket(&[], "/readyz");
    assert_eq!((status, readiness["tokens"][0]["code"].as_str()), (503, Some("token-sealed")));
    assert_eq!(service.at_socket(&[], "/healthz").0, 200);
    let problem = rig.refused(&GENERATE, 7, "token-sealed");
    assert!(problem["advice"].as_str().unwrap().contains("keyward token unlock"), "{problem}");
    for arguments in [&["key", "list"][..], &["key", "show", "keyward-ca"], &["cert", "list"], &["audit", "list"]] {
        rig.json(arguments);
    }
    assert_eq!(rig.json(&["key", "show", "keyward-ca"])["presence"], "present");
    assert_eq!(rig.json(&["status"])["token_problem"]["code"], "token-sealed");
    assert_eq!(rig.json(&["token", "list"])["items"][0]["problem"]["code"], "token-sealed");
    assert_eq!(children(service.pid().as_raw_pid()), Vec::<i32>::new(), "nobody can log in, so there is no worker");
}

#[test]
fn a_pin_that_a_person_gives_serves_until_the_service_ends() {
    let (rig, service) = sealed();
    let right = pin_file(&rig, &rig.pin());

    let answer = rig.json(&["token", "unlock", "--pin-file", &right]);
    rig.json(&GENERATE);
    let first = children(service.pid().as_raw_pid());
    kill_process(Pid::from_raw(first[0]).unwrap(), Signal::KILL).unwrap();
    rig.assert_signs("web", &rig.public_key("web"));

    assert_eq!(answer, json!({ "token": "keyward", "sealed": false }));
    assert_ne!(children(service.pid().as_raw_pid()), first);
    let records = records_of(&rig, "token.unlock");
    assert_eq!(records.len(), 2, "intent and result: {records:?}");
    assert!(records.iter().all(|record| record["object"]["id"] == "keyward"), "{records:?}");
    service.stop();
    rig.refused(&["token", "unlock", "--pin-file", &right], 3, "argument-invalid");
    let _again = Service::start(&rig);
    rig.refused(&["key", "destroy", "web", "--yes"], 7, "token-sealed");
}

#[test]
fn a_wrong_pin_is_refused_at_unlock_and_sent_once() {
    let (rig, _service) = sealed();
    let (right, wrong, other) = (pin_file(&rig, &rig.pin()), pin_file(&rig, "0000"), pin_file(&rig, "1111"));
    let unlock = |file: &str| rig.refused(&["token", "unlock", "--pin-file", file], 7, "pin-refused");

    unlock(&wrong);
    unlock(&other);
    // Another program logs in, which clears the token's flag: another wrong try would set it again.
    rig.pkcs11(&["login", &right]);
    for file in [&wrong, &other] {
        let again = unlock(file);
        assert!(again["detail"].as_str().unwrap().contains("not sent again"), "{again}");
    }

    assert!(!was_given_a_wrong_pin(&rig));
    rig.refused(&GENERATE, 7, "token-sealed");
    let refusals = records_of(&rig, "token.unlock");
    assert!(refusals.iter().any(|record| record["code"] == "pin-refused"), "{refusals:?}");
    assert!(!refusals.iter().any(|record| record.to_string().contains("0000\"")), "{refusals:?}");
    rig.json(&["token", "unlock", "--pin-file", &right]);
    rig.json(&GENERATE);
}

#[test]
fn a_wrong_pin_is_refused_at_unlock_also_while_somebody_is_logged_in() {
    let rig = Rig::new();
    rig.key("web", "p256", "token-only");
    let service = Service::start(&rig);
    rig.assert_signs("web", &rig.public_key("web"));

    rig.refused(&["token", "unlock", "--pin-file", &pin_file(&rig, "0000")], 7, "pin-refused");

    rig.assert_signs("web", &rig.public_key("web"));
    for worker in children(service.pid().as_raw_pid()) {
        kill_process(Pid::from_raw(worker).unwrap(), Signal::KILL).unwrap();
    }
    rig.assert_signs("web", &rig.public_key("web"));
}

#[test]
fn after_five_wrong_pins_none_is_sent_for_a_while_not_even_the_right_one() {
    let (rig, service) = sealed();
    let right = pin_file(&rig, &rig.pin());
    for wrong in ["0001", "0002", "0003", "0004", "0005"] {
        rig.refused(&["token", "unlock", "--pin-file", &pin_file(&rig, wrong)], 7, "pin-refused");
    }
    rig.pkcs11(&["login", &right]);

    for pin in [&right, &pin_file(&rig, "0006")] {
        let problem = rig.refused(&["token", "unlock", "--pin-file", pin], 7, "pin-tries");
        assert!(problem["detail"].as_str().unwrap().contains("for 15 minutes"), "{problem}");
    }

    assert!(!was_given_a_wrong_pin(&rig));
    service.stop();
    let _again = Service::start(&rig);
    rig.json(&["token", "unlock", "--pin-file", &right]);
}

#[test]
fn a_token_that_is_sealed_has_no_worker_and_its_source_is_not_read_until_somebody_unlocks_it() {
    let rig = Rig::new();
    rig.key("web", "p256", "token-only");
    let service = Service::start(&rig);
    rig.assert_signs("web", &rig.public_key("web"));
    let message = rig.write("message", "m");
    let sign = ["key", "sign", "web", "--in", &message, "--out", &rig.file("out")];

    let answer = rig.json(&["token", "seal"]);

    assert_eq!(answer, json!({ "token": "keyward", "sealed": true }));
    assert_eq!(children(service.pid().as_raw_pid()), Vec::<i32>::new());
    rig.refused(&sign, 7, "token-sealed");
    rig.refused(&["key", "generate", "other", "--algorithm", "p256"], 7, "token-sealed");
    assert_eq!(rig.json(&["token", "unlock", "keyward", "--source"])["sealed"], false);
    rig.json(&sign);
    assert_eq!(records_of(&rig, "token.seal").len(), 2);
}

#[test]
fn a_pin_that_a_person_gives_counts_although_the_pin_file_is_wrong() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let right = pin_file(&rig, &rig.pin());
    rig.json(&["token", "seal"]);
    fs::write(rig.pin_file(), "0000").unwrap();
    rig.refused(&["token", "unlock", "--source"], 7, "pin-refused");

    rig.json(&["token", "unlock", "--pin-file", &right]);
    rig.json(&GENERATE);
    for worker in children(service.pid().as_raw_pid()) {
        kill_process(Pid::from_raw(worker).unwrap(), Signal::KILL).unwrap();
    }
    rig.assert_signs("web", &rig.public_key("web"));

    service.stop();
    rig.refused(&["key", "destroy", "web", "--yes"], 7, "pin-refused");
}

#[test]
fn one_sealed_token_is_sealed_alone() {
    let rig = Rig::new();
    rig.further_token("annex");
    let _service = Service::start(&rig);
    let annex = ["key", "generate", "there", "--algorithm", "p256", "--policy", "token-only", "--token", "annex"];

    rig.json(&["token", "seal", "annex"]);

    rig.json(&GENERATE);
    rig.refused(&annex, 7, "token-sealed");
    rig.json(&["token", "unlock", "annex", "--pin-file", &pin_file(&rig, "123456")]);
    rig.json(&annex);
    rig.refused(&["token", "seal", "attic"], 5, "token-unknown");
}

#[test]
fn neither_a_signer_unlocks_or_seals_nor_an_operator_changes_the_pin() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let header = |role: &str| {
        let out = rig.file(&format!("{role}.token"));
        rig.json(&["credential", "add", role, "--role", role, "--out", &out]);
        format!("Authorization: Bearer {}", fs::read_to_string(out).unwrap().trim())
    };
    let post = |header: &str, path: &str, body: &str| {
        let (status, answer) = service.at_listener(&["--header", header, "--json", body], path);
        (status, answer["code"].as_str().unwrap_or_default().to_owned())
    };
    let (signer, operator, pin) = (header("signer"), header("operator"), rig.pin());

    let denied = (403, "role-missing".to_owned());
    assert_eq!(post(&signer, "/api/v1/tokens/keyward/seal", ""), denied);
    assert_eq!(post(&signer, "/api/v1/tokens/keyward/unlock", &format!("{{\"pin\":\"{pin}\"}}")), denied);
    assert_eq!(post(&operator, "/api/v1/tokens/keyward/pin", r#"{"new_pin":"another-pin"}"#), denied);
    assert_eq!(post(&operator, "/api/v1/tokens/keyward/seal", "").0, 200);
    assert_eq!(post(&operator, "/api/v1/tokens/keyward/unlock", &format!("{{\"pin\":\"{pin}\"}}")).0, 200);
    assert_eq!(rig.pin(), pin);
}
