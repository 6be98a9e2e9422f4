//! `YubiKeys` as tokens: keyward against virtual cards behind the real PC/SC service.

mod attestation;
mod cards;
mod people;
mod pin;
mod presence;
mod slots;

use crate::support::{Ended, Rig, assert_verifies};
use cards::Cards;
use serde_json::Value;

/// A rig with one card as its token `yk`.
fn rig_with_card(version: &str) -> (Rig, Cards) {
    let rig = Rig::new();
    let cards = Cards::start(&rig, &[(1000, version)]);
    cards.name(&rig, "yk", 1000, "");
    cards.insert(1000);
    cards.wait_for(&rig, "yk");
    (rig, cards)
}

/// Makes a key in the token `yk`, with these further arguments.
fn generate(rig: &Rig, label: &str, algorithm: &str, further: &[&str]) -> Value {
    rig.json(&[&generation(label, algorithm), further].concat())
}

fn generation<'a>(label: &'a str, algorithm: &'a str) -> [&'a str; 9] {
    ["key", "generate", label, "--algorithm", algorithm, "--policy", "token-only", "--token", "yk"]
}

/// Signs by a key with an algorithm, without looking at how it ends.
fn sign(rig: &Rig, label: &str) -> Ended {
    let (message, signature) = (rig.write("message", label), rig.file(&format!("{label}.sig")));
    let _ = std::fs::remove_file(&signature);
    rig.keyward(&["key", "sign", label, "--in", &message, "--out", &signature])
}

/// Has a key sign by an algorithm, and verifies that with OpenSSL.
#[track_caller]
fn assert_signs_by(rig: &Rig, label: &str, (algorithm, digest): (&str, &str), options: &[&str]) {
    let (message, signature) = (rig.write("message", algorithm), rig.file(&format!("{label}-{algorithm}.sig")));
    let sign = ["key", "sign", label, "--in", &message, "--out", &signature, "--signature-algorithm", algorithm];
    rig.keyward(&sign).succeeded();
    let public_key = rig.public_key(label);
    if options.is_empty() {
        assert_verifies(digest, &public_key, &signature, &message);
        return;
    }
    let digest = format!("-{digest}");
    let verify = ["dgst", &digest, "-verify", &public_key, "-signature", &signature];
    crate::support::openssl(&[&verify, options, &[message.as_str()]].concat()).succeeded();
}
