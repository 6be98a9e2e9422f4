//! What the objects of a key say, read back by another program: DESIGN 3 as a table.

use super::{ALGORITHMS, Shape};
use crate::support::{
    Rig,
    pkcs11::{PRIVATE_KEY, PUBLIC_KEY, cka_id, one},
};
use serde_json::{Value, json};

/// Policy, EXTRACTABLE, WRAP_WITH_TRUSTED.
const POLICIES: [(&str, bool, bool); 3] =
    [("token-only", false, false), ("backup-only", true, true), ("exportable", true, false)];

#[test]
fn every_algorithm_under_every_policy_has_exactly_its_attributes() {
    let rig = Rig::new();
    let mut expected = Vec::new();
    for (policy, extractable, wrap_with_trusted) in POLICIES {
        for (algorithm, key_type, shape) in ALGORITHMS {
            if algorithm == "ed25519" && extractable {
                continue;
            }
            let label = format!("{algorithm}.{policy}");
            let key = rig.key(&label, algorithm, policy);
            let mut private = json!({
                "CLASS": 3, "KEY_TYPE": key_type, "ID": cka_id(&key), "LABEL": label,
                "TOKEN": true, "PRIVATE": true, "SENSITIVE": true, "ALWAYS_SENSITIVE": true,
                "EXTRACTABLE": extractable, "NEVER_EXTRACTABLE": !extractable, "WRAP_WITH_TRUSTED": wrap_with_trusted,
                "LOCAL": true, "SIGN": true, "SIGN_RECOVER": false, "DECRYPT": false, "DERIVE": false, "UNWRAP": false,
            });
            let mut public = json!({
                "CLASS": 2, "KEY_TYPE": key_type, "ID": cka_id(&key), "LABEL": label,
                "TOKEN": true, "PRIVATE": false, "LOCAL": true,
                "VERIFY": true, "VERIFY_RECOVER": false, "ENCRYPT": false, "WRAP": false, "DERIVE": false,
            });
            match shape {
                Shape::Bits(bits) => public["MODULUS_BITS"] = json!(bits),
                Shape::Curve(curve) => (private["EC_PARAMS"], public["EC_PARAMS"]) = (json!(curve), json!(curve)),
            }
            expected.push((label, private, public));
        }
    }

    let objects = rig.objects();

    assert_eq!(expected.len(), 22);
    for (label, private, public) in expected {
        assert_eq!(one(&objects, PRIVATE_KEY, &label), private);
        assert_eq!(one(&objects, PUBLIC_KEY, &label), public);
    }
}

#[test]
fn the_purpose_decides_whether_a_key_signs_or_decrypts() {
    let purposes = [("tls", true, false), ("signing", true, false), ("client", true, true), ("secrets", false, true)];
    let rig = Rig::new();
    for (purpose, _, _) in purposes {
        for algorithm in ["rsa-2048", "p256"] {
            let label = format!("{algorithm}.{purpose}");
            rig.json(&["key", "generate", &label, "--algorithm", algorithm, "--purpose", purpose]);
        }
    }

    let objects = rig.objects();

    let uses = |object: &Value, names: [&str; 3]| names.map(|name| object[name].as_bool().unwrap());
    for (purpose, signs, decrypts) in purposes {
        let object = |class, algorithm| one(&objects, class, &format!("{algorithm}.{purpose}"));
        let [rsa, ec] = ["rsa-2048", "p256"].map(|algorithm| object(PRIVATE_KEY, algorithm));
        let [rsa_public, ec_public] = ["rsa-2048", "p256"].map(|algorithm| object(PUBLIC_KEY, algorithm));
        assert_eq!(uses(&rsa, ["SIGN", "DECRYPT", "DERIVE"]), [signs, decrypts, false], "rsa-2048 for {purpose}");
        assert_eq!(uses(&ec, ["SIGN", "DECRYPT", "DERIVE"]), [signs, false, decrypts], "p256 for {purpose}");
        assert_eq!(uses(&rsa_public, ["VERIFY", "ENCRYPT", "DERIVE"]), [signs, decrypts, false], "for {purpose}");
        assert_eq!(uses(&ec_public, ["VERIFY", "ENCRYPT", "DERIVE"]), [signs, false, false], "for {purpose}");
    }
}

#[test]
fn a_key_that_the_token_cannot_wrap_is_refused_unless_it_is_token_only() {
    let rig = Rig::new();
    let (objects, keys) = (rig.objects(), rig.json(&["key", "list"]));

    for policy in [&[][..], &["--policy", "backup-only"], &["--policy", "exportable"]] {
        let arguments = [&["key", "generate", "e", "--algorithm", "ed25519"], policy].concat();
        let problem = rig.refused(&arguments, 9, "policy-unsupported");

        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("CKM_AES_KEY_WRAP") && detail.contains("ed25519"), "{detail}");
        assert!(problem["advice"].as_str().unwrap().contains("`--policy token-only`"), "{problem}");
        assert_eq!(rig.last_record()["code"], "policy-unsupported");
    }

    assert_eq!(rig.objects(), objects);
    assert_eq!(rig.json(&["key", "list"]), keys);
}
