//! API tokens.

use super::{assert_signs, get, sql, token};
use crate::support::{Rig, service::Service};
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

#[test]
fn curl_with_a_token_signs_a_digest_and_openssl_verifies_it() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    rig.public_key("web");
    let ci = token(&rig, "ci", &["--role", "signer", "--key", "web"]);

    let service = Service::start(&rig);

    assert_signs(&rig, &service, &["--header", &ci], "web");
    assert!(service.stop().success());
    let records = rig.json(&["audit", "list", "--log", "signatures"]);
    let principal = &records["items"][0]["principal"];
    let id = rig.json(&["credential", "show", "ci"])["id"].as_str().unwrap().to_owned();
    assert_eq!(*principal, serde_json::json!({ "id": format!("credential:{id}"), "kind": "service", "name": "ci" }));
}

#[test]
fn a_token_stands_in_its_file_and_nowhere_else() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    let path = rig.file("ci.token");
    let add = ["credential", "add", "ci", "--role", "signer", "--out", &path];
    let told = rig.keyward(&add).succeeded();
    let json = rig.json(&["credential", "add", "cd", "--role", "signer", "--out", &rig.file("cd.token")]);
    let text = fs::read_to_string(&path).unwrap();
    let service = Service::start(&rig);
    let header = format!("Authorization: Bearer {}", text.trim_end());
    assert_eq!(get(&service, &header, "keys").0, 200);
    assert_eq!(get(&service, &format!("{header}x"), "keys").0, 401);
    assert!(service.stop().success());
    rig.keyward(&["audit", "export", "--out", &rig.file("audit.jsonl")]).succeeded();

    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(text.starts_with("kwt_") && text.len() == 53, "{text}");
    let secret = &text[4..40];
    assert!(!told.stdout.contains("kwt_") && !told.stderr.contains("kwt_"), "{told:?}");
    assert!(!json.to_string().contains("kwt_"), "{json}");
    let mut searched = 0;
    for file in files(&rig.directory()).into_iter().chain([rig.path("audit.jsonl"), rig.path("serve.log")]) {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{}", file.display());
        searched += 1;
    }
    assert!(searched > 15, "{searched}");
}

#[test]
fn a_token_made_under_an_idempotency_key_is_neither_kept_nor_shown_again() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let body = r#"{"name":"ci","roles":["signer"]}"#;
    let json = "Content-Type: application/json";
    let request = ["--header", json, "--header", "Idempotency-Key: once", "--data", body];

    let (first, made) = service.at_socket(&request, "/api/v1/credentials");
    let (_, again) = service.at_socket(&request, "/api/v1/credentials");
    assert!(service.stop().success());

    assert_eq!(first, 201, "{made}");
    let secret = made["token"].as_str().unwrap();
    assert!(!again.to_string().contains("kwt_"), "{again}");
    assert_eq!(rig.json(&["credential", "list"])["items"].as_array().unwrap().len(), 1);
    for file in files(&rig.directory()) {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{}", file.display());
    }
}

#[test]
fn expired_revoked_cut_and_unknown_tokens_are_refused_each_in_its_words() {
    let rig = Rig::new();
    let (old, ci) = (token(&rig, "old", &["--role", "operator"]), token(&rig, "ci", &["--role", "operator"]));
    sql(&rig, "UPDATE credentials SET expires_at = 0 WHERE name = 'old'");
    let service = Service::start(&rig);

    assert_eq!(get(&service, &ci, "keys"), (200, String::new()));
    let (status, revoked) = service.at_socket(&["--request", "DELETE"], "/api/v1/credentials/ci");
    assert_eq!((status, &revoked["state"]), (200, &Value::from("revoked")));

    assert_eq!(get(&service, &ci, "keys"), (401, "credential-revoked".to_owned()));
    assert_eq!(get(&service, &old, "keys"), (401, "credential-expired".to_owned()));
    assert_eq!(get(&service, &ci[..ci.len() - 1], "keys"), (401, "credential-unknown".to_owned()));
    let unknown = "Authorization: Bearer kwt_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwfLJNij";
    assert_eq!(get(&service, unknown, "keys"), (401, "credential-unknown".to_owned()));
    assert_eq!(get(&service, "X-Nothing: 1", "keys"), (401, "caller-unidentified".to_owned()));
    assert!(service.stop().success());
    let records = rig.json(&["audit", "list", "--event", "access.refuse"]);
    let mut who: Vec<_> =
        records["items"].as_array().unwrap().iter().map(|record| &record["principal"]["name"]).collect();
    who.sort_by_key(ToString::to_string);
    assert_eq!(who, ["ci", "keyward", "old"]);
}

#[test]
fn no_credential_is_made_for_a_file_that_is_there_already() {
    let rig = Rig::new();
    let path = rig.write("ci.token", "mine");

    rig.refused(&["credential", "add", "ci", "--role", "signer", "--out", &path], 6, "file-exists");

    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    assert_eq!(rig.json(&["credential", "list"])["items"], serde_json::json!([]));
}

#[test]
fn what_cannot_be_a_credential_is_refused_with_its_own_code() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    let out = rig.file("out");
    let refused = |options: &[&str], exit, code| {
        rig.refused(&[&["credential", "add"][..], options, &["--out", &out]].concat(), exit, code);
        assert!(!rig.path("out").exists());
    };

    refused(&["ci", "--role", "signer", "--key", "nobody"], 5, "key-unknown");
    refused(&["ci", "--role", "signer", "--key", "keyward-ca"], 4, "key-internal");
    refused(&["ci", "--role", "operator", "--key", "web"], 3, "credential-scope-unsuitable");
    refused(&["ci", "--role", "recovery-officer"], 4, "role-reserved");
    refused(&["ci", "--role", "signer", "--days", "3651"], 3, "credential-lifetime");
    refused(&["c i", "--role", "signer"], 3, "credential-name-malformed");
    refused(&["ci", "--role", "emperor"], 2, "usage");
    refused(&["ci"], 2, "usage");
    rig.refused(&["credential", "show", "ci"], 5, "credential-missing");
}

/// Every file below a folder but sockets.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else if entry.path().is_file() {
            found.push(entry.path());
        }
    }
    found
}
