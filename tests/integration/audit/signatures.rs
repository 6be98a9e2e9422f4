//! The signature log: one record a request, before the answer.

use super::sign;
use crate::support::Rig;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{fs, os::unix::fs::symlink, path::Path};

#[test]
fn every_signature_is_recorded_with_its_key_algorithm_and_digest() {
    let rig = Rig::new();
    let id = rig.key("web", "p256", "backup-only")["id"].clone();
    rig.key("other", "rsa-2048", "token-only");

    sign(&rig, "web", 3);
    sign(&rig, "other", 1);

    let all = records(&rig);
    assert_eq!(all.len(), 4);
    for (number, record) in all[..3].iter().enumerate() {
        let digests = hex(&Sha256::digest(Sha256::digest(number.to_string())));
        assert_eq!(record["detail"], json!({ "algorithm": "ecdsa-sha256", "count": 1, "digests_sha256": digests }));
        assert_eq!(record["object"], json!({ "id": id, "kind": "key", "label": "web" }));
        assert_eq!((&record["seq"], &record["event"]), (&json!(number + 1), &json!("key.sign")));
        assert_eq!((&record["phase"], &record["outcome"]), (&json!("event"), &json!("ok")));
        assert_eq!(record["principal"]["name"], "owner");
    }
    assert_eq!(all[3]["detail"]["algorithm"], "rsa-pkcs1-sha256");
    assert_eq!(all[3]["object"]["label"], "other");
}

#[test]
fn a_torn_last_line_is_cut_at_the_next_start_and_the_log_goes_on() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    sign(&rig, "web", 2);
    let segment = rig.directory().join("audit/signatures-000001.jsonl");
    let whole = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, whole.clone() + &whole[..whole.len() / 4]).unwrap();

    let report = rig.json(&["audit", "verify"]);

    assert_eq!((&report["valid"], &report["logs"][1]["size"]), (&json!(true), &json!(2)));
    assert_eq!(fs::read_to_string(&segment).unwrap(), whole);
    sign(&rig, "web", 1);
    assert_eq!(records(&rig).last().unwrap()["seq"], 3);
    assert_eq!(rig.json(&["audit", "verify"])["valid"], true);
}

#[test]
fn without_room_for_its_record_no_signature_leaves() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    let (message, out) = (rig.write("message", "m"), rig.file("message.sig"));
    let segment = rig.directory().join("audit/signatures-000001.jsonl");
    let sign_once = ["key", "sign", "web", "--in", &message, "--out", &out];
    // Writing to this device fails as on a full disk.
    symlink("/dev/full", &segment).unwrap();

    for _ in 0..2 {
        let problem = rig.refused(&sign_once, 10, "audit-log-unwritable");
        assert_eq!(problem["kind"], "unavailable");
        assert!(!Path::new(&out).exists());
    }
    fs::remove_file(&segment).unwrap();

    rig.json(&sign_once);
    assert_eq!(records(&rig).len(), 1);
}

fn records(rig: &Rig) -> Vec<Value> {
    let mut items = rig.json(&["audit", "list", "--log", "signatures"])["items"].as_array().unwrap().clone();
    items.reverse();
    items
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
