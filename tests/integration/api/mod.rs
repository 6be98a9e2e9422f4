//! What holds for every command and route alike: sizes, closed pipes, records of who put a secret together.

mod documented;
mod openapi;
mod schemathesis;

use crate::support::{Rig, openssl};
use std::process::Stdio;

#[test]
fn a_closed_pipe_ends_no_command_early() {
    let rig = Rig::new();

    for arguments in [&["backup", "run"][..], &["status"], &["-o", "json", "key", "show", "nobody"]] {
        let mut command = rig.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();

        let code = if arguments.contains(&"nobody") { 5 } else { 0 };
        let errors = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((ended.status.code(), errors.contains("panicked")), (Some(code), false), "{arguments:?}: {errors}");
    }
    assert_eq!(rig.json(&["backup", "list"])["items"][0]["sequence"], 1);
}

#[test]
fn a_message_of_any_length_is_signed_unless_the_algorithm_takes_it_whole() {
    let rig = Rig::new();
    rig.key("web", "p384", "token-only");
    rig.key("signer", "ed25519", "token-only");
    let long = rig.write("long", vec![7; 9 << 20]);
    let (most, more) = (rig.write("most", vec![7; 1_000_000]), rig.write("more", vec![7; 1_000_001]));
    let sign = |key: &str, message: &str, name: &str| {
        let signature = rig.file(name);
        rig.keyward(&["key", "sign", key, "--in", message, "--out", &signature]).succeeded();
        signature
    };

    let by_digest = sign("web", &long, "long.sig");
    let whole = sign("signer", &most, "most.sig");

    openssl(&["dgst", "-sha384", "-verify", &rig.public_key("web"), "-signature", &by_digest, &long]).succeeded();
    let public_key = rig.public_key("signer");
    let verify = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", &public_key, "-sigfile", &whole, "-in", &most];
    openssl(&verify).succeeded();
    let refused = |message: &str, code: &str| {
        let out = rig.file("refused.sig");
        let problem = rig.refused(&["key", "sign", "signer", "--in", message, "--out", &out], 3, code);
        assert!(!rig.path("refused.sig").exists());
        problem["detail"].as_str().unwrap().to_owned()
    };
    assert!(refused(&more, "sign-input-malformed").contains("1000000 bytes of them a request"));
    refused(&long, "request-too-large");
}

#[test]
fn an_export_with_an_unusable_alias_or_reason_is_refused_before_anything_begins() {
    let rig = Rig::new();
    rig.key("web", "p256", "exportable");
    let passphrase = rig.write("pass", "correct horse");
    let out = rig.file("web.pem");
    let create = ["export", "create", "web", "--format", "pem", "--passphrase-file", &passphrase, "--out", &out];

    rig.refused(&[&create[..], &["--alias", "a\u{7f}b"]].concat(), 3, "alias-malformed");
    rig.refused(&[&create[..], &["--reason", &"a".repeat(1_025)]].concat(), 3, "reason-too-long");
    assert_eq!(rig.json(&["audit", "list", "--event", "export.create"])["items"].as_array().unwrap().len(), 0);

    let reason = "moved\u{7f}\nto wéb-2";
    let export = rig.json(&[&create[..], &["--reason", reason]].concat());
    assert_eq!(export["reason"], reason);
    assert!(rig.path("web.pem").exists());
}

#[test]
fn a_secret_that_is_put_together_leaves_a_record_with_its_check_values() {
    let rig = Rig::new();
    let share = rig.directory().join("share-provisional.txt");

    rig.keyward(&["ceremony", "recover", "--share-file", share.to_str().unwrap()]).succeeded();

    let records = rig.json(&["audit", "list", "--event", "ceremony.recover"]);
    let keks = rig.json(&["kek", "list"]);
    let kcvs: Vec<_> = keks["items"].as_array().unwrap().iter().map(|kek| &kek["kcv"]).collect();
    let recorded: Vec<_> = records["items"][0]["detail"]["kcvs"].as_array().unwrap().iter().collect();
    assert_eq!(recorded.len(), 3);
    assert!(recorded.iter().all(|kcv| kcvs.contains(kcv)), "{records} {keks}");
}
