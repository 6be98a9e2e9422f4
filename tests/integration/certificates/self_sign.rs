//! `cert self-sign`: certificates that OpenSSL accepts, of the lifetime and the names that were asked for.

use crate::support::{Rig, openssl};

const ALGORITHMS: [&str; 8] = ["rsa-2048", "rsa-3072", "rsa-4096", "p256", "p384", "p521", "secp256k1", "ed25519"];

fn text_of(certificate: &str) -> String {
    openssl(&["x509", "-in", certificate, "-noout", "-text", "-nameopt", "RFC2253"]).succeeded().stdout
}

/// Whether a certificate is still valid after so many days.
fn is_valid_after(certificate: &str, days: u64) -> bool {
    openssl(&["x509", "-in", certificate, "-noout", "-checkend", &(days * 86_400).to_string()]).code == 0
}

#[test]
fn the_certificate_of_every_algorithm_verifies_and_has_every_name_and_five_years() {
    let rig = Rig::new();
    for algorithm in ALGORITHMS {
        rig.key(algorithm, algorithm, "token-only");
        let out = rig.file(&format!("{algorithm}.pem"));
        let san = "dns:web.example,ip:192.0.2.1,ip:2001:db8::1,email:web@example.org,uri:https://web.example/a";
        let what = ["--subject", "CN=web.example,O=Example,C=DE", "--days", "1825", "--san", san, "--out", &out];

        let answer = rig.json(&[&["cert", "self-sign", algorithm][..], &what].concat());

        openssl(&["verify", "-x509_strict", "-check_ss_sig", "-CAfile", &out, &out]).succeeded();
        let text = text_of(&out);
        for expected in [
            "Subject: CN=web.example,O=Example,C=DE",
            "Issuer: CN=web.example,O=Example,C=DE",
            "DNS:web.example, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1, email:web@example.org, \
             URI:https://web.example/a",
        ] {
            assert!(text.contains(expected), "{algorithm} lacks {expected}: {text}");
        }
        assert_eq!((is_valid_after(&out, 1_824), is_valid_after(&out, 1_826)), (true, false), "{text}");
        let public_key = openssl(&["x509", "-in", &out, "-noout", "-pubkey"]).succeeded().stdout;
        assert_eq!(public_key, rig.json(&["key", "public", algorithm])["pem"].as_str().unwrap());
        assert_eq!(answer["pem"], std::fs::read_to_string(&out).unwrap());
    }
}

#[test]
fn a_certificate_is_signed_by_the_scheme_that_was_asked_for() {
    let rig = Rig::new();
    rig.key("web", "rsa-2048", "token-only");
    let out = rig.file("web.pem");
    let what = ["--subject", "CN=web", "--signature-algorithm", "rsa-pss-sha512", "--out", &out];

    rig.json(&[&["cert", "self-sign", "web"][..], &what].concat());

    openssl(&["verify", "-check_ss_sig", "-CAfile", &out, &out]).succeeded();
    let text = text_of(&out);
    assert!(text.contains("Signature Algorithm: rsassaPss") && text.contains("Hash Algorithm: sha512"), "{text}");
}

#[test]
fn the_purpose_of_a_key_is_in_its_certificate() {
    let rig = Rig::new();
    for (purpose, usage, server) in [
        ("tls", "Digital Signature", true),
        ("signing", "Digital Signature", false),
        ("client", "Digital Signature", false),
    ] {
        rig.json(&["key", "generate", purpose, "--algorithm", "p256", "--purpose", purpose]);
        let out = rig.file(&format!("{purpose}.pem"));
        rig.json(&["cert", "self-sign", purpose, "--subject", "CN=x", "--out", &out]);

        let text = text_of(&out);
        assert!(text.contains(usage), "{purpose}: {text}");
        assert_eq!(text.contains("TLS Web Server Authentication"), server, "{purpose}: {text}");
        assert!(text.contains("CA:FALSE"), "{purpose}: {text}");
    }
}

#[test]
fn a_lifetime_or_a_name_that_cannot_be_leaves_nothing() {
    let rig = Rig::new();
    rig.key("web", "p256", "token-only");
    let out = rig.file("web.pem");
    let objects = rig.objects();
    let self_sign = ["cert", "self-sign", "web", "--out", &out, "--subject"];

    for (what, code) in [
        (&["CN=x", "--days", "0"][..], "days-out-of-range"),
        (&["CN=x", "--days", "36501"], "days-out-of-range"),
        (&["CN=x", "--days", "40000"], "days-out-of-range"),
        (&["x"], "name-malformed"),
        (&["CN=x", "--san", "web.example"], "name-malformed"),
        (&["CN=x", "--signature-algorithm", "ed25519"], "algorithm-mismatch"),
    ] {
        rig.refused(&[&self_sign[..], what].concat(), 3, code);

        assert!(!rig.path("web.pem").exists(), "{what:?}");
        assert_eq!(rig.last_record()["code"], code);
    }
    assert_eq!(rig.objects(), objects);
    assert_eq!(rig.json(&["key", "show", "web"])["certificates"], serde_json::json!([]));

    rig.json(&[&self_sign[..], &["CN=x", "--days", "36500"]].concat());
    assert!(is_valid_after(&out, 36_499));
}
