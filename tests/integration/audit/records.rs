//! Every command that changes something, and every refusal, is in the management log.

use crate::support::Rig;
use serde_json::{Value, json};
use std::{collections::HashMap, fs};

#[test]
fn every_change_has_an_intent_and_a_result_by_its_caller() {
    let rig = Rig::new();
    let before = records(&rig).len();
    let (passphrase, share) = (rig.write("passphrase", "correct horse 7"), rig.file("rig/share-provisional.txt"));
    let (csr, crt, pem) = (rig.file("web.csr"), rig.file("web.crt"), rig.file("web.pem"));

    rig.key("web", "p256", "exportable");
    rig.json(&["key", "csr", "web", "--subject", "CN=web", "--out", &csr]);
    rig.json(&["cert", "self-sign", "web", "--subject", "CN=web", "--out", &crt]);
    rig.json(&["cert", "add", "web", &crt]);
    rig.json(&["export", "create", "web", "--format", "pem", "--out", &pem, "--passphrase-file", &passphrase]);
    rig.json(&["backup", "run"]);
    rig.json(&["backup", "drill", "latest"]);
    rig.json(&["backup", "restore", "latest"]);
    rig.json(&["ceremony", "recover", "--share-file", &share]);
    rig.json(&["--yes", "key", "destroy", "web"]);

    let all = records(&rig);
    let new = &all[before..];
    let said: Vec<_> = new.iter().map(|record| [text(record, "event"), text(record, "phase"), kind(record)]).collect();
    let pair = |event, kind| [[event, "intent", kind], [event, "result", kind]];
    let expected = [
        &pair("key.generate", "key")[..],
        &[["key.csr", "event", "key"]],
        &pair("certificate.add", "key"),
        &pair("certificate.add", "key"),
        &pair("export.create", "key"),
        &pair("backup.run", "backup"),
        &pair("backup.drill", "drill"),
        &pair("backup.restore", "archive"),
        &pair("kek.import", "token"),
        &pair("key.destroy", "key"),
    ];
    assert_eq!(said, expected.concat());
    for record in new {
        assert_eq!(record["principal"], json!({ "id": owner(), "kind": "person", "name": "owner" }));
        let expected = if record["phase"] == "intent" { Value::Null } else { json!("ok") };
        assert_eq!((&record["outcome"], &record["code"]), (&expected, &json!("")), "{record}");
        if kind(record) == "key" {
            assert_eq!(record["object"]["label"], "web", "{record}");
        }
    }
    assert_paired(&all);
}

#[test]
fn what_init_does_is_recorded_as_keyward_s_own() {
    let rig = Rig::new();

    let all = records(&rig);

    let results: Vec<_> = all.iter().filter(|record| record["phase"] == "result").collect();
    let said: Vec<_> = results.iter().map(|record| (text(record, "event"), label(record))).collect();
    let expected = [
        ("kek.import", "keyward"),
        ("key.generate", "keyward-ca"),
        ("certificate.add", "keyward-ca"),
        ("key.generate", "keyward-audit"),
        ("certificate.add", "keyward-audit"),
    ];
    assert_eq!(said, expected);
    assert!(all.iter().all(|record| record["principal"]["kind"] == "system"), "{all:?}");
    assert_paired(&all);
}

#[test]
fn every_refusal_is_recorded_with_its_code_and_request() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    let (out, garbage) = (rig.file("out"), rig.write("garbage", "no archive"));
    let passphrase = rig.write("passphrase", "correct horse 7");
    // Command, exit code, code, event, outcome.
    let cases: [(&[&str], i32, &str, &str, &str); 11] = [
        (&["key", "show", "nobody"], 5, "key-unknown", "request.refuse", "failed"),
        (&["key", "generate", "web", "--algorithm", "p256"], 6, "label-taken", "request.refuse", "failed"),
        (&["key", "generate", "a b", "--algorithm", "p256"], 3, "label-malformed", "request.refuse", "failed"),
        (&["key", "csr", "web", "--subject", "=", "--out", &out], 3, "name-malformed", "request.refuse", "failed"),
        (
            &["key", "sign", "keyward-ca", "--in", &garbage, "--out", &out],
            4,
            "key-internal",
            "request.refuse",
            "denied",
        ),
        (&["--yes", "key", "destroy", "keyward-ca"], 4, "key-internal", "request.refuse", "denied"),
        (&["cert", "add", "web", &garbage], 3, "certificate-malformed", "request.refuse", "failed"),
        (
            &["export", "create", "web", "--format", "pem", "--out", &out, "--passphrase-file", &passphrase],
            4,
            "policy-forbids",
            "export.create",
            "denied",
        ),
        (&["backup", "restore", &garbage], 3, "archive-invalid", "backup.restore", "failed"),
        (&["backup", "drill", "latest"], 5, "no-archive", "backup.drill", "failed"),
        (&["ceremony", "recover", "--share-file", &garbage], 3, "share-file-malformed", "request.refuse", "failed"),
    ];

    for (command, exit, code, event, outcome) in cases {
        let before = records(&rig).len();
        let problem = rig.refused(command, exit, code);
        let all = records(&rig);
        let last = all.last().unwrap();
        assert!(all.len() > before, "{command:?} is not recorded");
        assert_eq!((text(last, "event"), text(last, "outcome"), text(last, "code")), (event, outcome, code));
        assert_eq!(last["principal"]["name"], "owner");
        assert_eq!(problem["request_id"], last["request_id"]);
        assert!(!fs::exists(&out).unwrap(), "{command:?}");
    }
    assert_paired(&records(&rig));
}

/// The management log, the oldest record first.
fn records(rig: &Rig) -> Vec<Value> {
    let mut items = rig.json(&["audit", "list", "--limit", "1000"])["items"].as_array().unwrap().clone();
    items.reverse();
    items
}

/// Every intent has one result, which stands behind it and says the same of who, what and on what.
#[track_caller]
fn assert_paired(all: &[Value]) {
    let mut open = HashMap::new();
    for (index, record) in all.iter().enumerate() {
        assert_eq!(record["seq"], index + 1);
        match text(record, "phase") {
            "intent" => _ = open.insert(record["seq"].as_u64(), record),
            "result" => {
                let intent = open.remove(&record["intent"].as_u64()).unwrap();
                for field in ["event", "object", "principal", "request_id"] {
                    assert_eq!(record[field], intent[field], "{field} of {record}");
                }
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

fn owner() -> String {
    format!("uid:{}", rustix::process::geteuid().as_raw())
}

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field].as_str().unwrap_or("")
}

fn kind(record: &Value) -> &str {
    text(&record["object"], "kind")
}

fn label(record: &Value) -> &str {
    text(&record["object"], "label")
}
