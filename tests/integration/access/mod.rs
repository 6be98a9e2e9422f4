//! Credentials: programs that come in by token or certificate, what they may do, and how they are shut out.

mod certificates;
mod scopes;
mod tokens;

use crate::support::{Rig, assert_verifies, run, service::Service};
use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{fs, process::Command};

/// Adds an API token; gives the header that shows it.
fn token(rig: &Rig, name: &str, options: &[&str]) -> String {
    let path = rig.file(&format!("{name}.token"));
    let add = ["credential", "add", name, "--out", &path];
    rig.keyward(&[&add[..], options].concat()).succeeded();
    format!("Authorization: Bearer {}", fs::read_to_string(path).unwrap().trim_end())
}

/// Status and code of a GET by who shows this header; the code is empty if there is no problem.
fn get(service: &Service, header: &str, path: &str) -> (u16, String) {
    let (status, body) = service.at_listener(&["--header", header], &format!("/api/v1/{path}"));
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

/// Status and body of a request for a signature over the SHA-256 of a message.
fn sign(service: &Service, who: &[&str], key: &str, message: &str) -> (u16, Value) {
    let digest = Base64::encode_string(&Sha256::digest(message));
    let body = json!({ "digests": [digest] }).to_string();
    let request = ["--header", "Content-Type: application/json", "--data", &body];
    service.at_listener(&[who, &request[..]].concat(), &format!("/api/v1/keys/{key}/sign"))
}

/// Who shows this can sign by the key, and OpenSSL verifies the signature.
#[track_caller]
fn assert_signs(rig: &Rig, service: &Service, who: &[&str], key: &str) {
    let public_key = rig.file(&format!("{key}.pub"));
    let (status, answer) = sign(service, who, key, "a message");
    assert_eq!(status, 200, "{answer}");
    let signature = Base64::decode_vec(answer["signatures"][0].as_str().unwrap()).unwrap();
    let (message, signature) = (rig.write("message", "a message"), rig.write("signature", signature));
    assert_verifies("sha256", &public_key, &signature, &message);
}

/// What somebody does who can write to the database.
fn sql(rig: &Rig, statement: &str) {
    let script = "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1]) as db: db.execute(sys.argv[2])";
    run(Command::new("python3").args(["-c", script]).arg(rig.directory().join("keyward.db")).arg(statement))
        .succeeded();
}
