//! `key destroy`: what is gone, what stays, and what is not destroyed.

use crate::support::{
    Rig,
    pkcs11::{CERTIFICATE, PRIVATE_KEY, PUBLIC_KEY, cka_id},
};

#[test]
fn every_object_of_a_destroyed_key_is_gone_and_its_label_is_free() {
    let rig = Rig::new();
    let before = rig.objects();
    let first = rig.key("web", "p256", "backup-only");
    let out = rig.file("web.pem");
    rig.json(&["cert", "self-sign", "web", "--subject", "CN=web", "--out", &out]);
    let classes = [PRIVATE_KEY, PUBLIC_KEY, CERTIFICATE].map(|class| rig.object(class, "web")["ID"].clone());
    assert_eq!(classes, [cka_id(&first), cka_id(&first), cka_id(&first)]);

    let answer = rig.json(&["key", "destroy", "web", "--yes"]);

    assert_eq!((answer["id"].clone(), answer["objects"].as_u64()), (first["id"].clone(), Some(3)));
    assert_eq!(answer["copies"], serde_json::json!([]));
    assert_eq!(rig.objects(), before);
    rig.refused(&["key", "show", "web"], 5, "key-unknown");
    assert_eq!(rig.json(&["cert", "list"])["items"].as_array().unwrap().len(), 2);
    let record = rig.json(&["audit", "list", "--event", "key.destroy", "--limit", "1"])["items"][0].clone();
    assert_eq!((record["phase"].as_str(), record["outcome"].as_str()), (Some("result"), Some("ok")));
    let second = rig.key("web", "p256", "backup-only");
    assert_ne!(second["id"], first["id"]);
    let status = rig.json(&["status"]);
    assert_eq!(
        status["token"]["keys"],
        serde_json::json!({"present": 3, "missing": [], "replaced": [], "unrecorded": []})
    );
}

#[test]
fn the_copies_that_are_still_somewhere_are_named() {
    let rig = Rig::new();
    rig.key("web", "p256", "exportable");
    let passphrase = rig.write("passphrase", "a long passphrase\n");
    let out = rig.file("web.key");
    let export = ["export", "create", "web", "--format", "pem", "--passphrase-file", &passphrase, "--out", &out];
    let exported = rig.json(&export);
    let archive = rig.json(&["backup", "run"]);

    let answer = rig.json(&["key", "destroy", "web", "--yes"]);

    let copies = answer["copies"].as_array().unwrap();
    let mut holders: Vec<_> = copies.iter().map(|copy| (copy["kind"].as_str(), copy["holder"].clone())).collect();
    holders.sort_by_key(|(kind, _)| *kind);
    assert_eq!(holders, [(Some("backup"), archive["name"].clone()), (Some("export"), exported["id"].clone())]);
}

#[test]
fn a_destruction_that_nobody_confirmed_does_not_happen() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    let objects = rig.objects();

    let problem = rig.refused(&["key", "destroy", "web"], 3, "argument-invalid");

    assert!(problem["detail"].as_str().unwrap().contains("--yes"), "{problem}");
    assert_eq!(rig.objects(), objects);
    assert_eq!(rig.json(&["key", "show", "web"])["state"], "active");
}

#[test]
fn keywards_own_keys_are_neither_destroyed_nor_used_by_others() {
    let rig = Rig::new();
    let objects = rig.objects();
    let message = rig.write("message", "m");
    let out = rig.file("out");
    let leaf = rig.directory().join("audit/audit.pem").to_str().unwrap().to_owned();

    for label in ["keyward-ca", "keyward-audit"] {
        let id = rig.json(&["key", "show", label])["id"].as_str().unwrap().to_owned();
        for key in [label, &id] {
            for arguments in [
                &["key", "destroy", key, "--yes"][..],
                &["key", "sign", key, "--in", &message, "--out", &out],
                &["key", "csr", key, "--subject", "CN=x", "--out", &out],
                &["cert", "self-sign", key, "--subject", "CN=x", "--out", &out],
                &["cert", "add", key, &leaf],
            ] {
                rig.refused(arguments, 4, "key-internal");
                assert_eq!(rig.last_record()["outcome"], "denied", "{arguments:?}");
            }
        }
    }

    assert!(!rig.path("out").exists());
    assert_eq!(rig.objects(), objects);
    assert_eq!(rig.recorded_signatures(), 0);
}
