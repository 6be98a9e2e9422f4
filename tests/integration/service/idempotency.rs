//! Requests that a client sends again.

use crate::support::{Rig, service::Service};
use serde_json::Value;
use std::fs;

const JSON: [&str; 2] = ["-H", "content-type: application/json"];

fn post(service: &Service, key: &str, path: &str, body: &str) -> (u16, Value) {
    let header = format!("idempotency-key: {key}");
    service.at_socket(&[&JSON[..], &["-H", &header, "--data", body]].concat(), path)
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or_default())
}

#[test]
fn a_key_that_is_asked_for_twice_is_made_once_also_after_a_restart() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let body = r#"{"label":"web","algorithm":"p256","policy":"token-only"}"#;

    let first = post(&service, "k-1", "/api/v1/keys", body);
    let again = post(&service, "k-1", "/api/v1/keys", body);
    let other = post(&service, "k-1", "/api/v1/keys", &body.replace("web", "other"));
    let without = post(&service, "k-2", "/api/v1/keys", body);
    service.kill();
    let service = Service::start(&rig);
    let after_restart = post(&service, "k-1", "/api/v1/keys", body);

    assert_eq!(first.0, 201, "{}", first.1);
    assert_eq!(again, first);
    assert_eq!(code(&other), (422, "idempotency-key-reused"));
    assert_eq!(code(&without), (409, "label-taken"));
    assert_eq!(after_restart, first);
    assert_eq!(rig_keys(&service), 1);
}

fn rig_keys(service: &Service) -> usize {
    let (_, page) = service.at_socket(&[], "/api/v1/keys");
    let keys = page["items"].as_array().unwrap();
    keys.iter().filter(|key| !key["label"].as_str().unwrap().starts_with("keyward-")).count()
}

#[test]
fn an_export_that_is_asked_for_twice_is_made_once_and_its_file_is_kept_nowhere() {
    let rig = Rig::new();
    rig.key("web", "p256", "exportable");
    let service = Service::start(&rig);
    let body = r#"{"key":"web","format":"pem","passphrase":"correct horse battery"}"#;

    let first = post(&service, "k-1", "/api/v1/exports", body);
    let again = post(&service, "k-1", "/api/v1/exports", body);

    assert_eq!(first.0, 201, "{}", first.1);
    assert_eq!(code(&again), (409, "request-done"));
    assert!(again.1["detail"].as_str().unwrap().contains("POST /api/v1/exports"), "{}", again.1);
    assert_eq!(service.at_socket(&[], "/api/v1/exports").1["items"].as_array().unwrap().len(), 1);
    drop(service);
    for file in ["keyward.db", "keyward.db-wal"] {
        let bytes = fs::read(rig.directory().join(file)).unwrap_or_default();
        let holds = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
        assert!(!holds(b"PRIVATE KEY") && !holds(b"correct horse"), "{file} holds what was exported");
    }
}

#[test]
fn a_request_that_a_kill_cut_off_is_not_carried_out_again() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let body = r#"{"label":"slow","algorithm":"rsa-4096","policy":"token-only"}"#;
    let slow = || post(&service, "k-1", "/api/v1/keys", body);

    std::thread::scope(|scope| {
        let asked = scope.spawn(slow);
        while !intends(&service) {
            std::thread::yield_now();
        }
        let meanwhile = post(&service, "k-1", "/api/v1/keys", body);
        service.signal(rustix::process::Signal::KILL);

        assert_eq!(code(&meanwhile), (409, "request-in-progress"));
        assert_eq!(asked.join().unwrap().0, 0, "it was answered before the kill");
    });
    drop(service);
    let service = Service::start(&rig);
    let again = post(&service, "k-1", "/api/v1/keys", body);

    assert_eq!(code(&again), (409, "request-interrupted"));
}

fn intends(service: &Service) -> bool {
    let path = "/api/v1/audit/records?log=management&event=key.generate&order=newest&limit=1";
    let (_, page) = service.at_socket(&[], path);
    page["items"].as_array().is_some_and(|items| items.iter().any(|item| item["object"]["label"] == "slow"))
}
