//! `backup run`: its answer, its archive, and its colour.

use super::{archive, column, manifest, members, names, stored_at, text};
use crate::support::Rig;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{fs, os::unix::fs::PermissionsExt as _};

#[test]
fn a_backup_answers_what_the_contract_says() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    rig.key("mail", "rsa-2048", "exportable");
    rig.key("stuck", "ed25519", "token-only");

    let answer = rig.json(&["backup", "run"]);

    assert_eq!(
        names(&answer),
        [
            "created_at",
            "destinations",
            "id",
            "keks",
            "keys_wrapped",
            "name",
            "not_covered",
            "sequence",
            "sha256",
            "size_bytes",
            "state"
        ]
    );
    // web, mail and keyward's own CA key; a token-only key is no gap.
    assert_eq!(
        (&answer["state"], &answer["sequence"], &answer["keys_wrapped"]),
        (&json!("green"), &json!(1), &json!(3))
    );
    assert_eq!(column(&answer["keks"], "purpose"), ["backup-only", "exportable", "inventory"]);
    let gaps = column(&answer["not_covered"], "label").into_iter().zip(column(&answer["not_covered"], "reason"));
    assert_eq!(gaps.collect::<Vec<_>>(), [("keyward-audit", "token-only"), ("stuck", "token-only")]);
    assert_eq!(
        (&answer["destinations"][0]["name"], &answer["destinations"][0]["state"], &answer["destinations"][0]["code"]),
        (&json!("local"), &json!("green"), &json!(""))
    );
    let path = stored_at(&answer);
    let bytes = fs::read(&path).unwrap();
    assert_eq!((&answer["sha256"], &answer["size_bytes"]), (&json!(sha256(&bytes)), &json!(bytes.len())));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let instance = rig.json(&["status"])["instance"].clone();
    let at: String = answer["created_at"].as_str().unwrap()[..19].replace(['-', ':'], "");
    let name = format!("keyward-{}-{at}Z-000001.tar", &instance["id"].as_str().unwrap()[..8]);
    assert_eq!((answer["name"].as_str().unwrap(), path.file_name().unwrap().to_str().unwrap()), (&*name, &*name));

    let verified = rig.json(&["backup", "verify", text(&path)]);
    assert_eq!((&verified["valid"], &verified["keys"], &verified["not_covered"]), (&json!(true), &json!(3), &json!(2)));
    assert_eq!(rig.json(&["backup", "list"])["items"], json!([answer]));
    for selector in ["1", answer["id"].as_str().unwrap()] {
        assert_eq!(rig.json(&["backup", "show", selector]), answer);
    }
    rig.refused(&["backup", "show", "2"], 5, "backup-unknown");
}

#[test]
fn an_archive_holds_what_the_contract_says() {
    let rig = Rig::new();
    let web = rig.key("web", "p256", "backup-only");
    let mail = rig.key("mail", "rsa-2048", "exportable");
    let stuck = rig.key("stuck", "ed25519", "token-only");
    let answer = rig.json(&["backup", "run"]);
    let (path, instance) = (stored_at(&answer), rig.json(&["status"])["instance"].clone());

    let manifest = manifest(&path);
    assert_eq!(
        names(&manifest),
        [
            "checkpoints",
            "created_at",
            "instance",
            "keks",
            "keys",
            "members",
            "not_covered",
            "previous_sha256",
            "schema",
            "sequence"
        ]
    );
    assert_eq!(manifest["instance"], json!({ "id": instance["id"], "root_sha256": instance["root_sha256"] }));
    assert_eq!((&manifest["schema"], &manifest["previous_sha256"]), (&json!(1), &Value::Null));
    assert_eq!(manifest["keks"], answer["keks"]);
    for log in ["management", "signatures"] {
        let origin = format!("keyward/{}/{log}\n", instance["id"].as_str().unwrap());
        assert!(manifest["checkpoints"][log].as_str().unwrap().starts_with(&origin));
    }
    assert!(
        manifest["not_covered"].as_array().unwrap().contains(&json!({ "id": stuck["id"], "reason": "token-only" }))
    );
    for (key, kek) in [(&web, 0), (&mail, 1)] {
        let entry = manifest["keys"].as_array().unwrap().iter().find(|entry| entry["id"] == key["id"]).unwrap();
        let member = format!("keys/{}.kwp", key["id"].as_str().unwrap());
        let wrapped = members(&path).into_iter().find(|(name, _)| *name == member).unwrap().1;
        let expected = json!({
            "id": key["id"], "algorithm": key["algorithm"], "policy": key["policy"], "purpose": "tls",
            "kek": manifest["keks"][kek]["id"], "format": "rfc5649", "size": wrapped.len(), "sha256": sha256(&wrapped),
            "public_key_pem": key["public_key_pem"],
        });
        assert_eq!(*entry, expected);
    }
    let listed: Vec<Value> = members(&path)[2..]
        .iter()
        .map(|(name, content)| json!({ "name": name, "size": content.len(), "sha256": sha256(content) }))
        .collect();
    assert_eq!(manifest["members"], json!(listed));
    let in_order: Vec<String> = members(&path).into_iter().map(|(name, _)| name).collect();
    assert_eq!(in_order[..4], ["manifest.json", "manifest.p7s", "README.txt", "inventory.cms"]);
    assert_eq!(in_order.len(), 7);
}

#[test]
fn each_backup_names_the_one_before_by_its_hash() {
    let rig = Rig::new();
    let first = archive(&rig);

    let second = archive(&rig);

    assert_eq!(manifest(&second)["sequence"], 2);
    assert_eq!(manifest(&second)["previous_sha256"], sha256(&fs::read(first).unwrap()));
}

#[test]
fn a_key_that_vanished_makes_the_backup_red_and_is_named() {
    let rig = Rig::new();
    let web = rig.key("web", "p256", "backup-only");
    rig.key("mail", "p256", "exportable");
    rig.lose(&web);

    let ended = rig.keyward(&["-o", "json", "backup", "run"]);

    assert_eq!(ended.code, 10);
    let answer = ended.json();
    assert_eq!((&answer["state"], &answer["keys_wrapped"]), (&json!("red"), &json!(2)));
    let gap = answer["not_covered"].as_array().unwrap().iter().find(|gap| gap["label"] == "web").unwrap();
    assert_eq!(*gap, json!({ "id": web["id"], "label": "web", "reason": "key-object-missing" }));
    assert_eq!(rig.json(&["backup", "verify", text(&stored_at(&answer))])["not_covered"], 2);
    let coverage = rig.json(&["backup", "coverage"]);
    assert_eq!((&coverage["summary"]["red"], &coverage["summary"]["amber"]), (&json!(1), &json!(2)));
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
