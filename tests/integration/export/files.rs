//! What is in a file, what is said of it, and how it lies on disk.

use super::{PASSPHRASE, certified_key, printed, private_key_in, rig_with_passphrase};
use crate::support::{Rig, openssl, run};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

#[test]
fn a_pkcs12_file_has_the_whole_chain_leaf_first_and_the_alias_in_both_profiles() {
    let (rig, passphrase) = rig_with_passphrase();
    rig.key("web", "p256", "exportable");
    let chain = chain_of_three(&rig);
    rig.json(&["cert", "add", "web", &chain]);
    let create = |out: &str, more: &[&str]| {
        let all = [&["export", "create", "web", "--out", out, "--passphrase-file", &passphrase], more].concat();
        rig.json(&all)
    };
    let pem = rig.file("web.pem");

    for profile in ["modern", "compat"] {
        let (own, named) = (rig.file(&format!("{profile}.p12")), rig.file(&format!("{profile}-named.p12")));
        let view = create(&own, &["--format", "pkcs12", "--profile", profile]);
        let other = create(&named, &["--format", "pkcs12", "--profile", profile, "--alias", "tomcat"]);

        assert_eq!((&view["alias"], &other["alias"]), (&json!("web"), &json!("tomcat")));
        assert_eq!(view["certificates"].as_array().unwrap().len(), 3);
        assert_eq!(subjects(&own), ["CN = web.example", "CN = Test Issuing CA", "CN = Test Root CA"]);
        for (file, alias) in [(&own, "web"), (&named, "tomcat")] {
            let listed = keytool_list(file);
            assert!(listed.contains(&format!("Alias name: {alias}\n")), "{listed}");
            assert!(listed.contains("Entry type: PrivateKeyEntry\n"), "{listed}");
            assert!(listed.contains("Certificate chain length: 3\n"), "{listed}");
        }
    }
    create(&pem, &["--format", "pem"]);
    assert!(fs::read_to_string(&pem).unwrap().ends_with(fs::read_to_string(&chain).unwrap().trim_start()));
}

#[test]
fn the_answer_says_exactly_what_left_and_points_at_its_record() {
    let (rig, passphrase) = rig_with_passphrase();
    certified_key(&rig, "web", "p256");
    let id = rig.json(&["key", "show", "web"])["id"].clone();
    let out = rig.file("web.p12");
    let create = ["export", "create", "web", "--format", "pkcs12", "--out", &out, "--passphrase-file", &passphrase];

    let view = rig.json(&[&create[..], &["--reason", "move to web-2"]].concat());

    let bytes = fs::read(&out).unwrap();
    let certificate = rig.json(&["key", "show", "web"])["certificates"][0].clone();
    let expected = json!({
        "id": view["id"], "key": { "id": id, "label": "web" }, "format": "pkcs12", "profile": "modern",
        "alias": "web", "file": out, "sha256": sha256(&out), "size_bytes": bytes.len(),
        "certificates": [certificate], "self_approved": true, "approvals": [], "reason": "move to web-2",
        "created_at": view["created_at"], "audit": { "log": "management", "seq": view["audit"]["seq"] },
    });
    assert_eq!(view, expected);
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let records = rig.json(&["audit", "list", "--event", "export.create"]);
    let (result, intent) = (&records["items"][0], &records["items"][1]);
    assert_eq!(result["seq"], view["audit"]["seq"]);
    assert_eq!((&result["phase"], &result["outcome"]), (&json!("result"), &json!("ok")));
    assert_eq!(
        (&result["detail"]["export"], &result["detail"]["sha256"], &result["detail"]["self_approved"]),
        (&view["id"], &view["sha256"], &json!(true))
    );
    assert_eq!((&intent["phase"], &intent["detail"]["reason"]), (&json!("intent"), &json!("move to web-2")));
    let mut kept = expected;
    kept.as_object_mut().unwrap().remove("file");
    assert_eq!(rig.json(&["export", "show", view["id"].as_str().unwrap()]), kept);
    assert_eq!(rig.json(&["export", "list"])["items"], json!([kept]));
    let pem = rig.file("web.pem");
    let view =
        rig.json(&["export", "create", "web", "--format", "pem", "--out", &pem, "--passphrase-file", &passphrase]);
    assert_eq!((&view["profile"], &view["format"], &view["reason"]), (&Value::Null, &json!("pem"), &json!("")));
}

#[test]
fn a_file_that_is_there_stays_and_nothing_leaves() {
    let (rig, passphrase) = rig_with_passphrase();
    certified_key(&rig, "web", "p256");
    let out = rig.write("web.p12", "precious");
    let create = ["export", "create", "web", "--format", "pkcs12", "--out", &out, "--passphrase-file", &passphrase];

    rig.refused(&create, 6, "file-exists");

    assert_eq!(fs::read_to_string(&out).unwrap(), "precious");
    assert_eq!(rig.json(&["export", "list"])["items"], json!([]));
    assert_eq!(rig.json(&["audit", "list", "--event", "export"])["items"], json!([]));
}

#[test]
fn a_wrong_passphrase_opens_nothing() {
    let (rig, passphrase) = rig_with_passphrase();
    certified_key(&rig, "web", "p256");
    let formats: [&[&str]; 3] = [&["pkcs12"], &["pkcs12", "--profile", "compat"], &["pem"]];

    for (number, format) in formats.iter().enumerate() {
        let out = rig.file(&format!("web.{number}"));
        let create = ["export", "create", "web", "--out", &out, "--passphrase-file", &passphrase, "--format"];
        rig.json(&[&create[..], format].concat());
        let read = |passphrase: &str| match format[0] {
            "pem" => printed(openssl(&["pkey", "-in", &out, "-passin", &format!("pass:{passphrase}")])),
            _ => private_key_in(&out, passphrase),
        };
        assert!(read(PASSPHRASE).unwrap().contains("PRIVATE KEY"), "{format:?}");
        for wrong in ["correct horse 8", "", "correct horse 7 "] {
            assert!(read(wrong).is_err(), "{format:?} with `{wrong}`");
        }
        assert!(!fs::read(&out).unwrap().windows(13).any(|part| part == b"correct horse"));
    }
}

/// Certificate of `web` and the two CAs above it, made by OpenSSL; PEM, in order.
fn chain_of_three(rig: &Rig) -> String {
    let file = |name: &str| rig.file(name);
    let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let ca = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"];
    let (root_key, issuer_key) = (file("root.key"), file("issuer.key"));
    let root = ["req", "-x509", "-subj", "/CN=Test Root CA", "-days", "30", "-keyout", &root_key];
    let (root_pem, issuer_csr, issuer_pem) = (file("root.pem"), file("issuer.csr"), file("issuer.pem"));
    openssl(&[&root[..], &new_key, &ca, &["-out", &root_pem]].concat()).succeeded();
    let issuer = ["req", "-new", "-subj", "/CN=Test Issuing CA", "-keyout", &issuer_key, "-out", &issuer_csr];
    openssl(&[&issuer[..], &new_key, &ca].concat()).succeeded();
    issue(&[&issuer_csr, &root_pem, &root_key, &issuer_pem]);
    let (csr, leaf) = (file("web.csr"), file("web.crt"));
    rig.keyward(&["key", "csr", "web", "--subject", "CN=web.example", "--out", &csr]).succeeded();
    issue(&[&csr, &issuer_pem, &issuer_key, &leaf]);
    let texts = [&leaf, &issuer_pem, &root_pem].map(|path| fs::read_to_string(path).unwrap());
    rig.write("chain.pem", texts.concat())
}

/// Has a CA issue a certificate for a CSR: CSR, CA, its key, the new certificate.
fn issue([csr, ca, key, out]: &[&String; 4]) {
    let arguments = ["x509", "-req", "-in", csr, "-CA", ca, "-CAkey", key, "-days", "30", "-copy_extensions", "copy"];
    openssl(&[&arguments[..], &["-out", out]].concat()).succeeded();
}

/// Subjects of the certificates of a PKCS#12 file, in their order.
fn subjects(pkcs12: &str) -> Vec<String> {
    let pass = format!("pass:{PASSPHRASE}");
    let text = openssl(&["pkcs12", "-in", pkcs12, "-nokeys", "-passin", &pass]).succeeded().stdout;
    text.lines().filter_map(|line| line.strip_prefix("subject=")).map(str::to_owned).collect()
}

fn keytool_list(pkcs12: &str) -> String {
    let arguments = ["-list", "-v", "-keystore", pkcs12, "-storepass", PASSPHRASE];
    run(Command::new("keytool").args(arguments)).succeeded().stdout
}

fn sha256(path: &str) -> String {
    run(Command::new("sha256sum").arg(path)).succeeded().stdout[..64].to_owned()
}
