//! `backup restore` into the token that the keys came from.

use super::{archive, names, text, texts};
use crate::support::Rig;
use serde_json::{Value, json};

#[test]
fn keys_that_are_there_are_left_alone_and_a_lost_one_comes_back() {
    let rig = Rig::new();
    let web = rig.key("web", "p256", "backup-only");
    rig.key("mail", "p384", "exportable");
    let public_key = rig.public_key("web");
    rig.keyward(&["cert", "self-sign", "web", "--subject", "CN=web.example", "--out", &rig.file("web.pem")])
        .succeeded();
    archive(&rig);
    let before = of_key(&rig, &web);

    let untouched = rig.json(&["backup", "restore", "latest"]);
    rig.lose(&web);
    let lost = rig.json(&["status"])["token"]["keys"].clone();
    let sign = ["key", "sign", "web", "--in", &rig.write("m", "m"), "--out", &rig.file("s")];
    rig.refused(&sign, 5, "key-object-missing");
    let brought = rig.json(&["backup", "restore", "latest", "--key", "web"]);

    assert_eq!(
        names(&untouched),
        ["already_there", "archive", "failed", "keks", "restored", "skipped_destroyed", "state"]
    );
    assert_eq!(
        (&untouched["state"], &untouched["keks"], &untouched["restored"]),
        (&json!("green"), &json!("in-token"), &json!([]))
    );
    assert_eq!(texts(&untouched["already_there"]), ["keyward-ca", "mail", "web"]);
    assert_eq!((&lost["missing"], &lost["present"]), (&json!(["web"]), &json!(3)));
    assert_eq!((texts(&brought["restored"]), texts(&brought["already_there"])), (vec!["web"], vec![]));
    rig.assert_signs("web", &public_key);
    assert_eq!(rig.json(&["status"])["token"]["keys"]["missing"], json!([]));
    // The same objects with the same attributes, but for where they were made.
    assert_eq!(of_key(&rig, &web), before);
    rig.refused(&["backup", "restore", "latest", "--key", "nobody"], 5, "key-not-in-archive");
}

#[test]
fn another_key_in_the_place_of_ours_is_no_restored_key() {
    let rig = Rig::new();
    let web = rig.key("web", "p256", "backup-only");
    archive(&rig);
    rig.lose(&web);
    rig.python("support/objects.py", &[&rig.pin(), "plant", web["id"].as_str().unwrap()]).succeeded();

    let ended = rig.keyward(&["-o", "json", "backup", "restore", "latest"]);

    let answer = ended.json();
    assert_eq!((ended.code, &answer["state"]), (10, &json!("red")));
    assert_eq!(answer["failed"][0]["code"], "key-mismatch", "{answer}");
    assert_eq!(texts(&answer["already_there"]), ["keyward-ca"]);
}

#[test]
fn a_destroyed_key_does_not_come_back() {
    let rig = Rig::new();
    let gone = rig.key("gone", "p256", "exportable");
    let old = archive(&rig);
    rig.keyward(&["--yes", "key", "destroy", "gone"]).succeeded();
    archive(&rig);

    rig.refused(&["backup", "restore", text(&old)], 6, "older-than-known");
    let answer = rig.json(&["backup", "restore", text(&old), "--older-than-known"]);

    assert_eq!((texts(&answer["skipped_destroyed"]), texts(&answer["restored"])), (vec!["gone"], vec![]));
    rig.refused(&["key", "show", "gone"], 5, "key-unknown");
    assert_eq!(of_key(&rig, &gone), [] as [Value; 0]);
}

/// The objects of a key, by class, without what a token says of their origin.
fn of_key(rig: &Rig, key: &Value) -> Vec<Value> {
    let id = key["id"].as_str().unwrap().replace('-', "");
    let mut objects: Vec<Value> = rig.all_objects().into_iter().filter(|object| object["ID"] == id).collect();
    for object in &mut objects {
        for origin in ["LOCAL", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE"] {
            object.as_object_mut().unwrap().remove(origin);
        }
    }
    objects.sort_by_key(|object| object["CLASS"].as_u64());
    objects
}
