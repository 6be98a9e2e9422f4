//! `key sign`: every signature that keyward can make verifies with OpenSSL, and no other is made.

use super::ALGORITHMS;
use crate::support::{Ended, Rig, openssl};
use std::fs;

const RSA: [&str; 6] =
    ["rsa-pkcs1-sha256", "rsa-pkcs1-sha384", "rsa-pkcs1-sha512", "rsa-pss-sha256", "rsa-pss-sha384", "rsa-pss-sha512"];
const ECDSA: [&str; 6] =
    ["ecdsa-sha256", "ecdsa-sha384", "ecdsa-sha512", "ecdsa-sha256-fixed", "ecdsa-sha384-fixed", "ecdsa-sha512-fixed"];

/// The signature algorithms of a key algorithm, and the one it takes when none is named.
fn schemes_of(algorithm: &str) -> (&'static [&'static str], &'static str) {
    match algorithm {
        "rsa-2048" | "rsa-3072" | "rsa-4096" => (&RSA, "rsa-pkcs1-sha256"),
        "p384" => (&ECDSA, "ecdsa-sha384"),
        "p521" => (&ECDSA, "ecdsa-sha512"),
        "ed25519" => (&["ed25519"], "ed25519"),
        _ => (&ECDSA, "ecdsa-sha256"),
    }
}

#[test]
fn every_signature_of_every_algorithm_verifies_with_openssl() {
    let rig = Rig::new();
    let message = rig.write("message", "what is signed");
    let mut signatures = 0;
    for (algorithm, _, _) in ALGORITHMS {
        rig.key(algorithm, algorithm, "token-only");
        for scheme in schemes_of(algorithm).0 {
            let out = rig.file(&format!("{algorithm}.{scheme}"));
            let how = ["--signature-algorithm", scheme, "--in", &message, "--out", &out];
            let answer = rig.json(&[&["key", "sign", algorithm][..], &how].concat());

            assert_eq!(answer["algorithm"], *scheme);
            let ended = verify(&rig, algorithm, scheme, &message, &out);
            assert_eq!(ended.code, 0, "{algorithm} {scheme}: {ended:?}");
            signatures += 1;
        }
    }

    assert_eq!(signatures, 3 * 6 + 4 * 6 + 1);
    assert_eq!(rig.recorded_signatures(), signatures);
}

#[test]
fn a_key_signs_by_its_default_when_no_scheme_is_named_and_never_by_one_of_another_family() {
    let rig = Rig::new();
    let message = rig.write("message", "what is signed");
    for algorithm in ["rsa-2048", "p256", "p384", "p521", "secp256k1", "ed25519"] {
        rig.key(algorithm, algorithm, "token-only");
        let (own, default) = schemes_of(algorithm);

        let out = rig.file(&format!("{algorithm}.sig"));
        let answer = rig.json(&["key", "sign", algorithm, "--in", &message, "--out", &out]);
        assert_eq!(answer["algorithm"], default, "{algorithm}");
        assert_eq!(verify(&rig, algorithm, default, &message, &out).code, 0, "{algorithm}");

        for foreign in ["rsa-pkcs1-sha256", "rsa-pss-sha512", "ecdsa-sha256", "ecdsa-sha512-fixed", "ed25519"] {
            if !own.contains(&foreign) {
                let out = rig.file("foreign.sig");
                let how = ["--signature-algorithm", foreign, "--in", &message, "--out", &out];
                rig.refused(&[&["key", "sign", algorithm][..], &how].concat(), 3, "algorithm-mismatch");
                assert!(!rig.path("foreign.sig").exists());
            }
        }
    }
    assert_eq!(rig.recorded_signatures(), 6);
}

#[test]
fn a_signature_of_another_message_or_key_does_not_verify() {
    let rig = Rig::new();
    let message = rig.write("message", "what is signed");
    let other = rig.write("other", "what is not signed");
    rig.key("a", "p256", "token-only");
    rig.key("b", "p256", "token-only");
    let out = rig.file("a.sig");
    rig.json(&["key", "sign", "a", "--in", &message, "--out", &out]);

    assert_eq!(verify(&rig, "a", "ecdsa-sha256", &message, &out).code, 0);
    assert_ne!(verify(&rig, "a", "ecdsa-sha256", &other, &out).code, 0);
    assert_ne!(verify(&rig, "b", "ecdsa-sha256", &message, &out).code, 0);
}

#[test]
fn an_empty_message_and_one_that_is_longer_than_a_request_are_signed() {
    let rig = Rig::new();
    rig.key("p", "p256", "token-only");
    rig.key("e", "ed25519", "token-only");
    let empty = rig.write("empty", "");
    let large = rig.write("large", vec![7; 5 << 20]);
    // Ed25519 signs the message itself, which goes to the token as a whole.
    let medium = rig.write("medium", vec![7; 1_000_000]);
    let too_long = rig.write("too-long", vec![7; 1_000_001]);

    for (key, scheme, message) in
        [("p", "ecdsa-sha256", &empty), ("p", "ecdsa-sha256", &large), ("e", "ed25519", &medium)]
    {
        let out = format!("{message}.sig");
        rig.json(&["key", "sign", key, "--in", message, "--out", &out]);
        assert_eq!(verify(&rig, key, scheme, message, &out).code, 0, "{message}");
    }
    let out = rig.file("too-long.sig");
    rig.refused(&["key", "sign", "e", "--in", &too_long, "--out", &out], 3, "sign-input-malformed");
    assert!(!rig.path("too-long.sig").exists());
}

#[test]
fn a_secrets_key_does_not_sign() {
    let rig = Rig::new();
    rig.json(&["key", "generate", "s", "--algorithm", "rsa-2048", "--purpose", "secrets"]);
    let message = rig.write("message", "what is signed");
    let out = rig.file("s.sig");

    rig.refused(&["key", "sign", "s", "--in", &message, "--out", &out], 4, "purpose-excludes");
    rig.refused(&["key", "csr", "s", "--subject", "CN=s", "--out", &out], 4, "purpose-excludes");

    assert_eq!(rig.last_record()["outcome"], "denied");
    assert!(!rig.path("s.sig").exists());
}

/// OpenSSL's verdict on a signature in a file.
fn verify(rig: &Rig, label: &str, scheme: &str, message: &str, signature: &str) -> Ended {
    let public_key = rig.public_key(label);
    if scheme == "ed25519" {
        let how = ["pkeyutl", "-verify", "-pubin", "-inkey", &public_key, "-rawin", "-in", message];
        return openssl(&[&how[..], &["-sigfile", signature]].concat());
    }
    let digest = ["sha256", "sha384", "sha512"].into_iter().find(|digest| scheme.contains(digest)).unwrap();
    let signature = if scheme.ends_with("-fixed") {
        let der = rig.write("der", der_from_fixed(&fs::read(signature).unwrap()));
        assert_eq!(fs::read(signature).unwrap().len() % 2, 0);
        der
    } else {
        signature.to_owned()
    };
    let digest_option = format!("-{digest}");
    let mut arguments = vec!["dgst", &digest_option, "-verify", &public_key];
    if scheme.contains("pss") {
        // The salt must be as long as the digest: RFC 8017 leaves it open, TLS and X.509 do not.
        arguments.extend(["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]);
    }
    arguments.extend(["-signature", &signature, message]);
    openssl(&arguments)
}

/// SEQUENCE { INTEGER r, INTEGER s } from r‖s.
fn der_from_fixed(fixed: &[u8]) -> Vec<u8> {
    let (r, s) = fixed.split_at(fixed.len() / 2);
    element(0x30, [integer(r), integer(s)].concat())
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    let sign = if digits.first().is_none_or(|first| *first >= 0x80) { vec![0] } else { Vec::new() };
    element(0x02, [sign, digits].concat())
}

fn element(tag: u8, content: Vec<u8>) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    let head = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
    [head, content].concat()
}
