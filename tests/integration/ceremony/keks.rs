//! What the KEKs are in the token, and that they are nowhere else.

use super::{PURPOSES, kek_by_openssl, share_line};
use crate::support::{Rig, openssl};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

#[test]
fn no_kek_and_no_secret_is_in_clear_anywhere_but_in_the_share_file() {
    let rig = Rig::new();
    rig.key("web", "p256", "exportable");
    rig.json(&["backup", "run"]);
    rig.json(&["backup", "drill", "latest"]);
    let mut secrets = vec![share_line(&rig, "secret-hex:")];
    secrets.extend(PURPOSES.map(|purpose| kek_by_openssl(&rig, purpose)));

    let files = files_below(&rig.directory());

    assert!(files.len() > 20, "{files:?}");
    let mut found = Vec::new();
    for file in &files {
        let content = fs::read(file).unwrap();
        for secret in &secrets {
            let shapes = [secret.clone().into_bytes(), secret.to_uppercase().into_bytes(), bytes_of(secret)];
            if shapes.iter().any(|shape| content.windows(shape.len()).any(|window| window == shape)) {
                found.push(file.strip_prefix(rig.directory()).unwrap().to_owned());
            }
        }
    }
    assert_eq!(found, [PathBuf::from("share-provisional.txt")]);
}

#[test]
fn the_keks_have_exactly_the_attributes_of_the_contract() {
    let rig = Rig::new();

    let mut keks: Vec<Value> = rig.all_objects().into_iter().filter(|object| object["CLASS"] == SECRET_KEY).collect();
    let by_label = |object: &Value| object["LABEL"].as_str().unwrap().to_owned();
    keks.sort_by_key(by_label);

    assert_eq!(keks.len(), 3);
    // UNWRAP_TEMPLATE: how many attributes; that they are honoured is shown by the attacks.
    for ((kek, purpose), (trusted, template)) in keks.iter().zip(PURPOSES).zip([(true, 4), (false, 3), (false, 0)]) {
        let value = kek_by_openssl(&rig, purpose);
        let known = rig.json(&["kek", "list"])["items"].as_array().unwrap().clone();
        let known = known.iter().find(|kek| kek["purpose"] == purpose).unwrap();
        let id = known["id"].as_str().unwrap().replace('-', "");
        let expected = json!({
            "CLASS": SECRET_KEY, "KEY_TYPE": 0x1f, "ID": id, "LABEL": format!("keyward-kek-{purpose}-{}", kcv(&rig, &value)),
            "TOKEN": true, "PRIVATE": true, "SENSITIVE": true, "EXTRACTABLE": false, "MODIFIABLE": false,
            "TRUSTED": trusted, "WRAP_WITH_TRUSTED": false, "WRAP": true, "UNWRAP": true, "UNWRAP_TEMPLATE": template,
            "ENCRYPT": false, "DECRYPT": false, "SIGN": false, "VERIFY": false, "DERIVE": false,
            // SoftHSM has these for asymmetric keys only.
            "SIGN_RECOVER": null, "VERIFY_RECOVER": null, "ALWAYS_AUTHENTICATE": null,
            "LOCAL": false, "ALWAYS_SENSITIVE": false, "NEVER_EXTRACTABLE": false,
        });
        assert_eq!(*kek, expected, "{purpose}");
        assert_eq!(
            (&known["kcv"], &known["trusted"], &known["provisional"], &known["current"]),
            (&json!(kcv(&rig, &value)), &json!(trusted), &json!(true), &json!(true)),
        );
    }
}

/// The first three bytes of a zero block encrypted with OpenSSL.
fn kcv(rig: &Rig, kek: &str) -> String {
    let (zeros, out) = (rig.write("zeros", [0; 16]), rig.file("block"));
    openssl(&["enc", "-aes-256-ecb", "-nopad", "-K", kek, "-in", &zeros, "-out", &out]).succeeded();
    fs::read(out).unwrap()[..3].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap()).collect()
}

/// `CKO_SECRET_KEY`.
const SECRET_KEY: u64 = 4;
