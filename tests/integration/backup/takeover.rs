//! `backup restore` into a fresh instance, which takes the place of the one that was lost.

use super::{archive, column, manifest, text, texts};
use crate::{ceremony::share_line, support::Rig};
use serde_json::{Value, json};

#[test]
fn everything_comes_back_from_an_archive_and_the_share_file() {
    let lost = Rig::new();
    let keys = furnish(&lost);
    let old = archive(&lost);
    lost.keyward(&["--yes", "key", "destroy", "gone"]).succeeded();
    let last = archive(&lost);
    let before: Vec<Value> = keys.iter().map(|label| lost.json(&["key", "show", label])).collect();
    let own = lost.json(&["key", "show", "keyward-ca"]);
    let identity = lost.json(&["status"])["instance"].clone();

    let rig = Rig::new();
    let share = share(&lost);
    let answer = rig.json(&["backup", "restore", text(&last), "--share-file", &share]);

    assert_eq!(
        (&answer["state"], &answer["keks"], &answer["failed"]),
        (&json!("green"), &json!("imported"), &json!([]))
    );
    assert_eq!((texts(&answer["restored"]), texts(&answer["already_there"])), (keys.to_vec(), vec!["keyward-ca"]));
    for (label, before) in keys.iter().zip(&before) {
        let after = rig.json(&["key", "show", label]);
        for same in [
            "id",
            "label",
            "algorithm",
            "policy",
            "enforcement",
            "purpose",
            "approvals",
            "state",
            "presence",
            "public_key_pem",
            "certificates",
            "comment",
            "created_at",
        ] {
            assert_eq!(after[same], before[same], "{same} of {label}");
        }
        assert_eq!(after["origin"], "unwrapped");
        if before["purpose"] != "secrets" {
            rig.assert_signs(label, &lost.public_key(label));
        }
    }
    assert_attributes(&rig, &before);
    assert_eq!(rig.json(&["key", "show", "keyward-ca"])["public_key_pem"], own["public_key_pem"]);
    let now = rig.json(&["status"]);
    assert_eq!((&now["instance"]["id"], &now["instance"]["root_sha256"]), (&identity["id"], &identity["root_sha256"]));
    assert_eq!((&now["token"]["keys"]["missing"], &now["token"]["keys"]["unrecorded"]), (&json!([]), &json!([])));

    rig.refused(&["backup", "restore", text(&old)], 6, "older-than-known");
    let older = rig.json(&["backup", "restore", text(&old), "--older-than-known"]);
    assert_eq!((texts(&older["skipped_destroyed"]), texts(&older["restored"])), (vec!["gone"], vec![]));
    rig.refused(&["key", "show", "gone"], 5, "key-unknown");

    assert_eq!(rig.json(&["audit", "verify"])["valid"], true);
    let next = archive(&rig);
    assert_eq!((&manifest(&next)["sequence"], &manifest(&next)["keks"]), (&json!(3), &manifest(&last)["keks"]));
    assert_eq!(manifest(&next)["previous_sha256"], rig.json(&["backup", "show", "2"])["sha256"]);
    assert_eq!(rig.json(&["backup", "drill", "latest"])["state"], "green");
}

#[test]
fn after_the_recovery_of_the_keks_the_root_fingerprint_suffices() {
    let lost = Rig::new();
    lost.key("web", "p256", "backup-only");
    let (archive, root) = (archive(&lost), share_line(&lost, "# root-sha256:"));
    let rig = Rig::new();
    let restore = ["backup", "restore", text(&archive)];
    let before = rig.all_objects();

    rig.refused(&[&restore[..], &["--root-fingerprint", &root]].concat(), 6, "kek-differs");
    assert_eq!(rig.all_objects(), before);
    rig.json(&["ceremony", "recover", "--share-file", &share(&lost)]);
    rig.refused(&restore, 3, "root-unconfirmed");
    rig.refused(&[&restore[..], &["--root-fingerprint", &"0".repeat(64)]].concat(), 6, "root-differs");
    rig.refused(&[&restore[..], &["--root-fingerprint", &root, "--key", "nobody"]].concat(), 5, "key-not-in-archive");
    assert_ne!(rig.json(&["status"])["instance"]["root_sha256"], root.as_str());
    let answer = rig.json(&[&restore[..], &["--root-fingerprint", &root.to_uppercase()]].concat());

    assert_eq!((texts(&answer["restored"]), &answer["keks"]), (vec!["web"], &json!("in-token")));
    rig.assert_signs("web", &lost.public_key("web"));
    assert_eq!(rig.json(&["audit", "verify"])["valid"], true);
}

#[test]
fn the_share_of_another_instance_opens_nothing_and_changes_nothing() {
    let (lost, other, rig) = (Rig::new(), Rig::new(), Rig::new());
    lost.key("web", "p256", "backup-only");
    let (archive, root) = (archive(&lost), share_line(&lost, "# root-sha256:"));
    let words = rig.write("words.txt", format!("words: {}\n", share_line(&other, "words:")));
    let before = rig.all_objects();

    rig.refused(&["backup", "restore", text(&archive), "--share-file", &share(&other)], 6, "root-differs");
    let with_words = ["backup", "restore", text(&archive), "--share-file", &words, "--root-fingerprint", &root];
    rig.refused(&with_words, 6, "kek-differs");

    assert_eq!(rig.all_objects(), before);
    assert_eq!(
        column(&rig.json(&["key", "list"])["items"], "label"),
        column(&other.json(&["key", "list"])["items"], "label")
    );
}

#[test]
fn an_instance_with_keys_of_its_own_does_not_take_another_over() {
    let (lost, rig) = (Rig::new(), Rig::new());
    let archive = archive(&lost);
    rig.key("mine", "p256", "backup-only");
    let before = rig.all_objects();

    rig.refused(&["backup", "restore", text(&archive), "--share-file", &share(&lost)], 6, "another-instance");

    assert_eq!(rig.all_objects(), before);
}

#[test]
fn a_label_that_is_taken_keeps_its_key_and_the_other_is_named() {
    let (lost, rig) = (Rig::new(), Rig::new());
    for label in ["web", "mail"] {
        lost.key(label, "p256", "backup-only");
    }
    let archive = archive(&lost);
    rig.json(&["backup", "restore", text(&archive), "--share-file", &share(&lost), "--key", "mail"]);
    let mine = rig.key("web", "p256", "backup-only");

    let ended = rig.keyward(&["-o", "json", "backup", "restore", text(&archive)]);

    let answer = ended.json();
    assert_eq!((ended.code, &answer["state"]), (10, &json!("red")));
    assert_eq!(
        (column(&answer["failed"], "label"), column(&answer["failed"], "code")),
        (vec!["web"], vec!["label-taken"])
    );
    assert_eq!(rig.json(&["key", "show", "web"])["id"], mine["id"]);
}

/// Keys of every kind that can leave, one that was destroyed, certificates, comments; their labels, sorted.
fn furnish(rig: &Rig) -> [&'static str; 8] {
    for (label, algorithm, policy, purpose) in [
        ("a", "p256", "backup-only", "tls"),
        ("b", "p384", "exportable", "signing"),
        ("c", "p521", "backup-only", "client"),
        ("d", "secp256k1", "exportable", "tls"),
        ("e", "rsa-2048", "backup-only", "client"),
        ("f", "rsa-3072", "exportable", "tls"),
        ("g", "rsa-2048", "exportable", "secrets"),
        ("h", "p256", "backup-only", "secrets"),
        ("gone", "p256", "exportable", "tls"),
    ] {
        let comment = format!("{label} of the team ‘Ops’");
        let kind = ["--algorithm", algorithm, "--policy", policy, "--purpose", purpose];
        rig.json(&[&["key", "generate", label, "--approvals", "2", "--comment", &comment][..], &kind].concat());
        rig.public_key(label);
    }
    for (label, subject) in [("a", "CN=a.example"), ("e", "CN=e.example")] {
        rig.json(&["cert", "self-sign", label, "--subject", subject, "--out", &rig.file(label)]);
    }
    ["a", "b", "c", "d", "e", "f", "g", "h"]
}

/// DESIGN section 3, read by another program.
fn assert_attributes(rig: &Rig, keys: &[Value]) {
    let objects = rig.all_objects();
    for key in keys {
        let id = key["id"].as_str().unwrap().replace('-', "");
        let object = objects.iter().find(|object| object["ID"] == id && object["CLASS"] == PRIVATE_KEY).unwrap();
        let rsa = key["algorithm"].as_str().unwrap().starts_with("rsa");
        let decrypts = ["client", "secrets"].contains(&key["purpose"].as_str().unwrap());
        for (attribute, expected) in [
            ("TOKEN", true),
            ("PRIVATE", true),
            ("SENSITIVE", true),
            ("EXTRACTABLE", true),
            ("WRAP_WITH_TRUSTED", key["policy"] == "backup-only"),
            ("SIGN", key["purpose"] != "secrets"),
            ("DECRYPT", decrypts && rsa),
            ("DERIVE", decrypts && !rsa),
            ("SIGN_RECOVER", false),
            ("UNWRAP", false),
        ] {
            assert_eq!(object[attribute], expected, "{attribute} of {}", key["label"]);
        }
        assert_eq!(object["LABEL"], key["label"]);
        let certificates = objects.iter().filter(|object| object["ID"] == id && object["CLASS"] == CERTIFICATE).count();
        assert_eq!(certificates, key["certificates"].as_array().unwrap().len());
    }
}

fn share(rig: &Rig) -> String {
    rig.directory().join("share-provisional.txt").to_str().unwrap().to_owned()
}

/// `CKO_CERTIFICATE`.
const CERTIFICATE: u64 = 1;
/// `CKO_PRIVATE_KEY`.
const PRIVATE_KEY: u64 = 3;
