//! What programs read: the JSON of keys, and standard output that holds nothing else.

use crate::support::{Rig, openssl};
use keyward::{
    base::ids::KeyId,
    db::{Database, commit},
};
use serde_json::{Value, json};

const FIELDS: [&str; 15] = [
    "algorithm",
    "approvals",
    "certificates",
    "comment",
    "created_at",
    "enforcement",
    "id",
    "label",
    "origin",
    "policy",
    "presence",
    "public_key_pem",
    "purpose",
    "state",
    "token",
];

fn names(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_key_has_exactly_the_fields_of_the_contract_wherever_it_is_shown() {
    let rig = Rig::new();
    let generate = ["key", "generate", "web", "--algorithm", "rsa-2048", "--policy", "exportable"];
    let how = ["--purpose", "client", "--approvals", "2", "--comment", "für den Webserver"];

    let made = rig.json(&[&generate[..], &how].concat());
    let by_label = rig.json(&["key", "show", "web"]);
    let by_id = rig.json(&["key", "show", made["id"].as_str().unwrap()]);
    let list = rig.json(&["key", "list"]);

    assert_eq!(names(&made), FIELDS);
    assert_eq!((&made, &made), (&by_label, &by_id));
    assert_eq!(names(&list), ["items", "next"]);
    let labels: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|key| key["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["keyward-audit", "keyward-ca", "web"]);
    assert_eq!(list["items"][2], made);
    for (field, value) in [
        ("label", json!("web")),
        ("algorithm", json!("rsa-2048")),
        ("policy", json!("exportable")),
        ("enforcement", json!("keyward")),
        ("purpose", json!("client")),
        ("approvals", json!(2)),
        ("origin", json!("generated")),
        ("state", json!("active")),
        ("presence", json!("present")),
        ("token", json!("keyward")),
        ("certificates", json!([])),
        ("comment", json!("für den Webserver")),
    ] {
        assert_eq!(made[field], value, "{field}");
    }
}

#[test]
fn the_token_enforces_token_only_and_backup_only_and_keyward_the_rest() {
    let rig = Rig::new();

    let enforced = ["token-only", "backup-only", "exportable"]
        .map(|policy| rig.key(policy, "p256", policy)["enforcement"].as_str().unwrap().to_owned());
    let default = rig.json(&["key", "generate", "default", "--algorithm", "p256"]);

    assert_eq!(enforced, ["token", "token", "keyward"]);
    assert_eq!(
        (&default["policy"], &default["purpose"], &default["approvals"]),
        (&json!("backup-only"), &json!("tls"), &json!(0))
    );
}

#[test]
fn the_public_key_is_the_same_in_every_form() {
    let rig = Rig::new();
    let key = rig.key("web", "p384", "token-only");
    let pem = key["public_key_pem"].as_str().unwrap();

    let as_json = rig.json(&["key", "public", "web"]);
    let as_text = rig.keyward(&["key", "public", "web"]).succeeded().stdout;
    let as_file = std::fs::read_to_string(rig.public_key("web")).unwrap();

    assert_eq!(as_json, json!({ "pem": pem }));
    assert_eq!((as_text.as_str(), as_file.as_str()), (pem, pem));
    let read = openssl(&["pkey", "-pubin", "-in", &rig.public_key("web"), "-pubout"]).succeeded().stdout;
    assert_eq!(read, pem);
}

#[test]
fn with_json_standard_output_is_one_document_and_nothing_else() {
    let rig = Rig::new();
    let message = rig.write("message", "m");
    let [csr, signature, certificate, public] = ["csr", "sig", "pem", "pub"].map(|name| rig.file(name));

    for arguments in [
        &["key", "generate", "web", "--algorithm", "p256"][..],
        &["key", "list"],
        &["key", "show", "web"],
        &["key", "public", "web", "--out", &public],
        &["key", "csr", "web", "--subject", "CN=web", "--out", &csr],
        &["key", "sign", "web", "--in", &message, "--out", &signature],
        &["cert", "self-sign", "web", "--subject", "CN=web", "--out", &certificate],
        &["cert", "list"],
        &["key", "destroy", "web", "--yes"],
        &["key", "show", "web"],
    ] {
        let ended = rig.keyward(&[&["-o", "json"], arguments].concat());

        assert!(ended.json().is_object(), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stderr, "", "{arguments:?}");
    }
}

#[tokio::test]
async fn a_list_goes_on_behind_its_first_page() {
    let rig = Rig::new();
    rig.key("k", "p256", "token-only");
    // Rows alone, since a list asks nothing of the token.
    let db = Database::open(&rig.directory().join("keyward.db")).await.unwrap();
    let mut transaction = db.begin().await.unwrap();
    for number in 0..100 {
        let copy = "INSERT INTO keys SELECT $1, $2, algorithm, policy, enforcement, purpose, approvals, origin, state, \
                    presence, token, public_key_pem, comment, created_at FROM keys WHERE label = 'k'";
        let query = sqlx::query(copy).bind(KeyId::new().to_string()).bind(format!("k{number:03}"));
        query.execute(&mut *transaction).await.unwrap();
    }
    commit(transaction).await.unwrap();
    db.close().await;

    let list = rig.json(&["key", "list"]);

    let labels: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|key| key["label"].as_str().unwrap()).collect();
    assert_eq!(labels.len(), 103);
    assert!(labels.is_sorted());
    assert_eq!(list["next"], Value::Null);
}
