//! `key csr`: requests that OpenSSL verifies, with every name that was asked for.

use super::ALGORITHMS;
use crate::support::{Rig, openssl};

#[test]
fn the_request_of_every_algorithm_verifies_and_has_every_name() {
    let rig = Rig::new();
    for (algorithm, _, _) in ALGORITHMS {
        rig.key(algorithm, algorithm, "token-only");
        let out = rig.file(&format!("{algorithm}.csr"));
        let names = [
            "--subject",
            "CN=web.example,O=Example\\, Inc.,C=DE",
            "--san",
            "dns:web.example,dns:*.web.example,ip:192.0.2.1",
            "--san",
            "ip:2001:db8::1",
            "--san",
            "email:web@example.org",
            "--san",
            "uri:https://web.example/a",
        ];
        rig.json(&[&["key", "csr", algorithm][..], &names, &["--out", &out]].concat());

        let read = openssl(&["req", "-verify", "-in", &out, "-noout", "-text", "-nameopt", "RFC2253"]).succeeded();
        let text = read.stdout;
        for expected in [
            "Subject: CN=web.example,O=Example\\, Inc.,C=DE",
            "DNS:web.example",
            "DNS:*.web.example",
            "IP Address:192.0.2.1",
            "IP Address:2001:DB8:0:0:0:0:0:1",
            "email:web@example.org",
            "URI:https://web.example/a",
        ] {
            assert!(text.contains(expected), "{algorithm} lacks {expected}: {text}");
        }
        let public_key = openssl(&["req", "-in", &out, "-noout", "-pubkey"]).succeeded().stdout;
        assert_eq!(public_key, rig.json(&["key", "public", algorithm])["pem"].as_str().unwrap());
    }
}

#[test]
fn a_request_is_signed_by_the_scheme_that_was_asked_for() {
    let rig = Rig::new();
    rig.key("web", "rsa-2048", "token-only");
    let out = rig.file("web.csr");

    let how = ["--signature-algorithm", "rsa-pss-sha384", "--out", &out];
    rig.json(&[&["key", "csr", "web", "--subject", "CN=web"][..], &how].concat());

    let text = openssl(&["req", "-verify", "-in", &out, "-noout", "-text"]).succeeded().stdout;
    assert!(text.contains("Signature Algorithm: rsassaPss") && text.contains("Hash Algorithm: sha384"), "{text}");
}

#[test]
fn a_name_that_does_not_parse_leaves_no_file_and_one_record() {
    let rig = Rig::new();
    rig.key("web", "p256", "token-only");
    let out = rig.file("web.csr");

    for names in [
        &["--subject", "web.example"][..],
        &["--subject", "CN=web", "--san", "web.example"],
        &["--subject", "CN=web", "--san", "dns:web example"],
        &["--subject", "CN=web", "--san", "ip:300.0.2.1"],
        &["--subject", "CN=web", "--san", "email:nobody"],
        &["--subject", "CN=web", "--san", "uri:relative"],
        &["--subject", "XX=web"],
    ] {
        rig.refused(&[&["key", "csr", "web"], names, &["--out", &out]].concat(), 3, "name-malformed");

        assert!(!rig.path("web.csr").exists(), "{names:?}");
        assert_eq!(rig.last_record()["code"], "name-malformed");
    }
}
