//! Bad input: one clear refusal each, recorded for the caller, and nothing half done.

use crate::support::Rig;
use serde_json::Value;
use std::fs;

/// A refusal, and what must be the same afterwards.
struct State {
    keys: Value,
    objects: Vec<Value>,
    signatures: usize,
}

impl State {
    fn of(rig: &Rig) -> Self {
        Self { keys: rig.json(&["key", "list"]), objects: rig.objects(), signatures: rig.recorded_signatures() }
    }

    #[track_caller]
    fn is_still(&self, rig: &Rig) {
        let now = Self::of(rig);
        assert_eq!(now.keys, self.keys);
        assert_eq!(now.objects, self.objects);
        assert_eq!(now.signatures, self.signatures);
    }
}

/// The refusal is on record with the caller's name and the request's id.
#[track_caller]
fn is_recorded(rig: &Rig, problem: &Value) {
    let record = rig.last_record();
    assert_eq!(record["code"], problem["code"]);
    assert_eq!(record["request_id"], problem["request_id"]);
    assert_eq!(record["principal"]["name"], "owner");
    assert!(["denied", "failed"].contains(&record["outcome"].as_str().unwrap()), "{record}");
}

#[test]
fn an_unknown_key_is_said_to_be_unknown_by_every_command() {
    let rig = Rig::new();
    let message = rig.write("message", "m");
    let passphrase = rig.write("passphrase", "a long passphrase\n");
    let out = rig.file("out");
    let before = State::of(&rig);

    for key in ["nope", "01a20d4b-cb4f-7169-9339-d9ebc594baef"] {
        for arguments in [
            &["key", "show", key][..],
            &["key", "public", key, "--out", &out],
            &["key", "sign", key, "--in", &message, "--out", &out],
            &["key", "csr", key, "--subject", "CN=x", "--out", &out],
            &["key", "destroy", key, "--yes"],
            &["cert", "self-sign", key, "--subject", "CN=x", "--out", &out],
            &["export", "create", key, "--format", "pem", "--passphrase-file", &passphrase, "--out", &out],
        ] {
            let problem = rig.refused(arguments, 5, "key-unknown");

            assert!(problem["detail"].as_str().unwrap().contains(key), "{problem}");
            assert!(!rig.path("out").exists(), "{arguments:?}");
            is_recorded(&rig, &problem);
        }
    }
    before.is_still(&rig);
}

#[test]
fn a_label_that_is_taken_or_no_label_is_refused() {
    let rig = Rig::new();
    rig.key("web", "p256", "token-only");
    let before = State::of(&rig);
    let too_long = "x".repeat(65);

    for (label, exit, code) in [
        ("web", 6, "label-taken"),
        ("01a20d4b-cb4f-7169-9339-d9ebc594baef", 3, "label-malformed"),
        ("01a20d4bcb4f71699339d9ebc594baef", 3, "label-malformed"),
        ("keyward-ca", 3, "label-malformed"),
        ("keyward-mine", 3, "label-malformed"),
        ("a b", 3, "label-malformed"),
        ("a/b", 3, "label-malformed"),
        (".a", 3, "label-malformed"),
        ("ä", 3, "label-malformed"),
        ("", 3, "label-malformed"),
        (&too_long, 3, "label-malformed"),
    ] {
        let problem = rig.refused(&["key", "generate", label, "--algorithm", "p256"], exit, code);

        assert!(problem["detail"].as_str().unwrap().contains(label), "{problem}");
        is_recorded(&rig, &problem);
    }
    before.is_still(&rig);
}

#[test]
fn a_comment_has_at_most_1024_characters() {
    let rig = Rig::new();
    let before = State::of(&rig);
    let generate = ["key", "generate", "web", "--algorithm", "p256", "--comment"];

    let problem = rig.refused(&[&generate[..], &[&"ä".repeat(1_025)]].concat(), 3, "comment-too-long");

    is_recorded(&rig, &problem);
    before.is_still(&rig);
    let most = "ä".repeat(1_024);
    assert_eq!(rig.json(&[&generate[..], &[&most]].concat())["comment"], most);
}

#[test]
fn a_purpose_of_keywards_own_cannot_be_asked_for() {
    let rig = Rig::new();
    let before = State::of(&rig);

    for purpose in ["ca", "audit", "agent"] {
        let arguments = ["key", "generate", "web", "--algorithm", "p256", "--purpose", purpose];
        is_recorded(&rig, &rig.refused(&arguments, 4, "key-internal"));
    }

    before.is_still(&rig);
}

#[test]
fn an_output_file_that_exists_is_kept_and_nothing_is_signed() {
    let rig = Rig::new();
    rig.key("web", "p256", "exportable");
    let message = rig.write("message", "m");
    let passphrase = rig.write("passphrase", "a long passphrase\n");
    let out = rig.write("out", "precious");
    let before = State::of(&rig);
    let last = rig.last_record();

    for arguments in [
        &["key", "sign", "web", "--in", &message, "--out", &out][..],
        &["key", "csr", "web", "--subject", "CN=x", "--out", &out],
        &["key", "public", "web", "--out", &out],
        &["cert", "self-sign", "web", "--subject", "CN=x", "--out", &out],
        &["export", "create", "web", "--format", "pem", "--passphrase-file", &passphrase, "--out", &out],
        &["audit", "export", "--out", &out],
    ] {
        let problem = rig.refused(arguments, 6, "file-exists");

        assert!(problem["detail"].as_str().unwrap().contains(&out), "{problem}");
        assert_eq!(fs::read_to_string(&out).unwrap(), "precious", "{arguments:?}");
    }
    before.is_still(&rig);
    assert_eq!(rig.last_record(), last);
    assert_eq!(rig.json(&["cert", "list"])["items"].as_array().unwrap().len(), 2);
    assert_eq!(rig.json(&["export", "list"])["items"].as_array().unwrap().len(), 0);
}

#[test]
fn a_file_that_is_missing_or_a_place_that_cannot_be_written_is_named() {
    let rig = Rig::new();
    rig.key("web", "p256", "token-only");
    let message = rig.write("message", "m");
    let (missing, out) = (rig.file("missing"), rig.file("out"));
    let no_directory = rig.file("no/such/directory");
    let before = State::of(&rig);

    let unread = rig.refused(&["key", "sign", "web", "--in", &missing, "--out", &out], 5, "file-missing");
    let unwritten = rig.refused(&["key", "sign", "web", "--in", &message, "--out", &no_directory], 5, "file-missing");

    assert!(unread["detail"].as_str().unwrap().contains(&missing), "{unread}");
    assert!(unwritten["detail"].as_str().unwrap().contains(&no_directory), "{unwritten}");
    assert!(!rig.path("out").exists());
    before.is_still(&rig);
}

#[test]
fn a_name_that_is_no_algorithm_policy_or_purpose_is_a_usage_error() {
    let rig = Rig::new();
    let before = State::of(&rig);

    for wrong in [
        &["--algorithm", "dsa-1024"][..],
        &["--algorithm", "p256", "--policy", "free"],
        &["--algorithm", "p256", "--purpose", "fun"],
        &["--algorithm", "p256", "--approvals", "-1"],
        &[],
    ] {
        let ended = rig.keyward(&[&["key", "generate", "web"], wrong].concat());

        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{wrong:?}");
        assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    }
    before.is_still(&rig);
}
