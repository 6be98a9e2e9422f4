//! `backup drill` and `backup coverage`.

use super::{archive, column, names, text};
use crate::support::{Rig, openssl};
use serde_json::{Value, json};
use std::fs;

#[test]
fn a_drill_proves_each_key_signs_its_report_and_leaves_nothing_in_the_token() {
    let rig = Rig::new();
    for (label, algorithm) in [("a", "p384"), ("b", "rsa-2048"), ("c", "secp256k1")] {
        rig.key(label, algorithm, "backup-only");
    }
    rig.json(&["key", "generate", "d", "--algorithm", "rsa-2048", "--purpose", "secrets"]);
    let archive = archive(&rig);
    let before = rig.all_objects();

    let answer = rig.json(&["backup", "drill", text(&archive)]);

    assert_eq!(rig.all_objects(), before);
    assert_eq!(
        names(&answer),
        ["archive", "finished_at", "id", "keys", "keys_proved", "keys_total", "mode", "report", "started_at", "state"]
    );
    assert_eq!((&answer["state"], &answer["mode"]), (&json!("green"), &json!("online")));
    assert_eq!((&answer["keys_total"], &answer["keys_proved"]), (&json!(5), &json!(5)));
    let backup = rig.json(&["backup", "show", "1"]);
    assert_eq!(answer["archive"], json!({ "name": backup["name"], "sequence": 1, "sha256": backup["sha256"] }));
    for key in answer["keys"].as_array().unwrap() {
        assert_eq!((&key["result"], &key["proof"], &key["code"]), (&json!("proved"), &json!("signature"), &json!("")));
    }
    assert_eq!(column(&answer["keys"], "label"), ["a", "b", "c", "d", "keyward-ca"]);

    let report = answer["report"]["file"].as_str().unwrap();
    let mut expected = answer.clone();
    expected.as_object_mut().unwrap().remove("report");
    assert_eq!(serde_json::from_slice::<Value>(&fs::read(report).unwrap()).unwrap(), expected);
    let root = rig.directory().join("tls/ca.pem");
    let signature = answer["report"]["signature_file"].as_str().unwrap();
    let verify =
        ["cms", "-verify", "-binary", "-inform", "DER", "-in", signature, "-CAfile", text(&root), "-purpose", "any"];
    openssl(&[&verify[..], &["-content", report, "-out", "/dev/null"]].concat()).succeeded();
    let changed = rig.write("changed.json", fs::read_to_string(report).unwrap().replace("proved", "failed"));
    assert_ne!(openssl(&[&verify[..], &["-content", &changed, "-out", "/dev/null"]].concat()).code, 0);
}

#[test]
fn a_drill_of_another_instances_archive_is_refused_and_proves_nothing() {
    let (rig, other) = (Rig::new(), Rig::new());
    let archive = archive(&other);
    let before = rig.all_objects();

    rig.refused(&["backup", "drill", text(&archive)], 6, "another-instance");
    rig.refused(&["backup", "drill", "latest"], 5, "no-archive");

    assert_eq!(rig.all_objects(), before);
}

#[test]
fn a_key_is_red_until_its_backup_and_amber_until_its_proof() {
    let rig = Rig::new();
    let web = rig.key("web", "p256", "backup-only");
    rig.key("stuck", "ed25519", "token-only");

    let red = coverage(&rig, "web");
    archive(&rig);
    let amber = coverage(&rig, "web");
    let drill = rig.json(&["backup", "drill", "latest"]);
    let green = coverage(&rig, "web");
    rig.key("new", "p256", "backup-only");

    assert_eq!(
        red,
        json!({
            "id": web["id"], "label": "web", "policy": "backup-only", "state": "red", "reason": "in no backup",
            "last_backup": null, "last_proof": null,
        })
    );
    assert_eq!((&amber["state"], &amber["last_backup"]["sequence"]), (&json!("amber"), &json!(1)));
    assert_eq!((&green["state"], &green["last_proof"]["drill"]), (&json!("green"), &drill["id"]));
    assert_eq!(coverage(&rig, "stuck")["state"], "token-only");
    assert_eq!(coverage(&rig, "new")["state"], "red");
    let whole = rig.json(&["backup", "coverage"]);
    assert_eq!(whole["summary"], json!({ "green": 2, "amber": 0, "red": 1, "token-only": 2 }));
    assert_eq!((names(&whole), &whole["next"]), (vec!["items", "next", "summary"], &Value::Null));
}

fn coverage(rig: &Rig, label: &str) -> Value {
    let all = rig.json(&["backup", "coverage"]);
    all["items"].as_array().unwrap().iter().find(|key| key["label"] == label).unwrap().clone()
}
