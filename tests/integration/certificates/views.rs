//! `cert list`, `cert show`.

use crate::support::{Rig, openssl};
use serde_json::Value;

fn names(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn certificates_are_listed_by_expiry_and_shown_with_what_openssl_reads_in_them() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    let [long, short] = ["long.pem", "short.pem"].map(|name| rig.file(name));
    rig.json(&["cert", "self-sign", "web", "--subject", "CN=long", "--days", "400", "--out", &long]);
    let made =
        rig.json(&["cert", "self-sign", "web", "--subject", "CN=short,O=Example", "--days", "30", "--out", &short]);

    let list = rig.json(&["cert", "list"]);
    let shown = rig.json(&["cert", "show", made["id"].as_str().unwrap()]);

    let subjects: Vec<_> = list["items"].as_array().unwrap().iter().map(|entry| entry["subject"].clone()).collect();
    assert_eq!(subjects[..3], ["CN=short,O=Example", "CN=long", "CN=keyward audit"]);
    assert_eq!(subjects.len(), 4);
    assert_eq!((&list["items"][0], &shown), (&made, &made));
    assert_eq!(
        names(&shown),
        ["created_at", "id", "issuer", "key", "not_after", "not_before", "pem", "serial", "subject"]
    );
    assert_eq!(shown["key"]["label"], "web");
    let read = |what: &[&str]| openssl(&[&["x509", "-in", &short, "-noout"], what].concat()).succeeded().stdout;
    let fingerprint = read(&["-fingerprint", "-sha256"]).trim().replace(':', "").to_lowercase();
    assert!(fingerprint.ends_with(shown["id"].as_str().unwrap()), "{fingerprint}");
    let serial = read(&["-serial"]).trim().trim_start_matches("serial=").to_lowercase();
    assert_eq!(serial, shown["serial"].as_str().unwrap().to_lowercase());
    // The newest certificate of a key comes first, whenever it expires.
    let of_key = rig.json(&["key", "show", "web"])["certificates"].clone();
    assert_eq!((of_key[0].clone(), of_key.as_array().unwrap().len()), (made["id"].clone(), 2));
}

#[test]
fn a_certificate_that_is_not_there_is_unknown() {
    let rig = Rig::new();

    for id in ["0".repeat(64).as_str(), "web", "keyward-ca"] {
        rig.refused(&["cert", "show", id], 5, "certificate-unknown");
        assert_eq!(rig.last_record()["code"], "certificate-unknown");
    }
}
