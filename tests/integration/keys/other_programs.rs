//! Keys are ordinary PKCS#11 objects: programs that know nothing of keyward find them and sign with them.

use crate::support::{Rig, assert_verifies, openssl, pkcs11::cka_id};

const KINDS: [(&str, &str); 4] =
    [("rsa-2048", "exportable"), ("p256", "backup-only"), ("secp256k1", "token-only"), ("ed25519", "token-only")];

fn rig_with_keys() -> Rig {
    let rig = Rig::new();
    for (algorithm, policy) in KINDS {
        rig.key(algorithm, algorithm, policy);
    }
    rig
}

#[test]
fn pkcs11_tool_lists_the_keys_and_its_signatures_verify_with_our_public_keys() {
    let rig = rig_with_keys();
    let (module, pin) = (rig.module(), rig.pin());
    let login = ["--module", &module, "--token-label", "keyward", "--login", "--pin", pin.trim()];
    let message = rig.write("message", "signed by another program");
    let digest = rig.file("digest");
    openssl(&["dgst", "-sha256", "-binary", "-out", &digest, &message]).succeeded();

    let listed = rig.tool("pkcs11-tool", &[&login[..], &["--list-objects"]].concat()).succeeded().stdout;
    let sign = |label: &str, mechanism: &str, input: &str| {
        let id = cka_id(&rig.json(&["key", "show", label]));
        let out = rig.file(&format!("{label}.sig"));
        let what = ["--sign", "--id", &id, "-m", mechanism, "-i", input, "-o", &out, "-f", "openssl"];
        rig.tool("pkcs11-tool", &[&login[..], &what].concat()).succeeded();
        out
    };
    let rsa = sign("rsa-2048", "SHA256-RSA-PKCS", &message);
    let [p256, secp256k1] = ["p256", "secp256k1"].map(|label| sign(label, "ECDSA", &digest));
    let ed25519 = sign("ed25519", "EDDSA", &message);

    for (label, _) in KINDS {
        let id = cka_id(&rig.json(&["key", "show", label]));
        assert_eq!(listed.matches(&format!("label:      {label}\n")).count(), 2, "{listed}");
        assert_eq!(listed.matches(&format!("ID:         {id}\n")).count(), 2, "{listed}");
    }
    for (label, signature) in [("rsa-2048", rsa), ("p256", p256), ("secp256k1", secp256k1)] {
        assert_verifies("sha256", &rig.public_key(label), &signature, &message);
    }
    let public_key = rig.public_key("ed25519");
    let verify = ["pkeyutl", "-verify", "-pubin", "-inkey", &public_key, "-rawin", "-in", &message];
    openssl(&[&verify[..], &["-sigfile", &ed25519]].concat()).succeeded();
}

#[test]
fn p11tool_lists_every_private_key_with_its_label() {
    let rig = rig_with_keys();
    let (module, pin) = (rig.module(), rig.pin());

    let set_pin = format!("--set-pin={}", pin.trim());
    let provider = format!("--provider={module}");
    let arguments = [&provider, "--login", &set_pin, "--batch", "--list-all-privkeys", "pkcs11:token=keyward"];
    let listed = rig.tool("p11tool", &arguments).succeeded().stdout;

    for (label, _) in KINDS {
        assert!(listed.contains(&format!("Label: {label}\n")), "{listed}");
    }
}

#[test]
fn a_signature_made_through_pykcs11_verifies_with_our_public_key() {
    let rig = rig_with_keys();
    let message = rig.write("message", "signed by another program");
    let signature = rig.file("signature");
    let id = cka_id(&rig.json(&["key", "show", "rsa-2048"]));

    rig.pkcs11_as_user("sign", &[&id, "SHA256_RSA_PKCS", &message, &signature]);

    assert_verifies("sha256", &rig.public_key("rsa-2048"), &signature, &message);
}

#[test]
fn public_keys_and_certificates_are_found_without_a_login_and_private_keys_are_not() {
    let rig = rig_with_keys();
    let out = rig.file("p256.pem");
    rig.json(&["cert", "self-sign", "p256", "--subject", "CN=p256", "--out", &out]);

    let found = rig.pkcs11(&["find"]);

    let count = |class| found.as_array().unwrap().iter().filter(|object| object["CLASS"] == class).count();
    let keywards_own = 2;
    assert_eq!((count(2), count(1), count(3)), (KINDS.len() + keywards_own, 1 + keywards_own, 0), "{found}");
}
