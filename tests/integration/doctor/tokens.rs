//! `init` and `doctor` with tokens of every kind: either everything works, or it is said why not and what to do.

use super::{finding, report};
use crate::support::{
    Ended, Rig,
    tokens::{TestToken, kryoptic, nss, opencryptoki, tpm},
};
use serde_json::{Value, json};
use std::fs;

/// Runs keyward in an instance beside the token, where the token can be seen.
fn keyward(token: &TestToken, arguments: &[&str]) -> Ended {
    token.keyward(&token.path("instance"), arguments)
}

#[track_caller]
fn json(token: &TestToken, arguments: &[&str]) -> Value {
    keyward(token, &[&["-o", "json"], arguments].concat()).succeeded().json()
}

fn init(token: &TestToken) -> Ended {
    let arguments = token.init_arguments();
    let mut all = vec!["-o", "json"];
    all.extend(arguments.iter().map(String::as_str));
    keyward(token, &all)
}

#[track_caller]
fn assert_is_no_home(token: &TestToken, cause: &str) {
    let ended = init(token);

    let problem = ended.json();
    assert_eq!((ended.code, &problem["code"]), (9, &json!("token-no-home")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains(cause), "{problem}");
    assert!(problem["advice"].as_str().unwrap().contains("[[tokens]]"), "{problem}");
    assert!(!token.path("instance").exists());
}

/// Findings about a token that a rig has beside its own.
fn further(token: &TestToken) -> Value {
    let rig = Rig::new();
    let path = rig.directory().join("keyward.toml");
    let settings = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{settings}\n{}", token.section())).unwrap();
    let ended = token.keyward(&rig.directory(), &["-o", "json", "doctor"]);
    let told = report(&ended, if token.name == "nss" { 10 } else { 0 });
    told["tokens"][1]["findings"].clone()
}

#[tokio::test]
async fn an_instance_lives_on_kryoptic_with_backup_drill_and_restore() {
    let token = kryoptic().await;
    init(&token).succeeded();
    let key = json(&token, &["key", "generate", "web", "--algorithm", "p256"]);
    json(&token, &["key", "generate", "mail", "--algorithm", "rsa-2048", "--policy", "exportable"]);

    let backup = json(&token, &["backup", "run"]);
    let drill = json(&token, &["backup", "drill", "latest"]);
    json(&token, &["--yes", "key", "destroy", "mail"]);
    token.python("conformance/other.py", &["destroy", &key["id"].as_str().unwrap().replace('-', "")]);
    let missing = json(&token, &["token", "show"])["keys"]["missing"].clone();
    let restored = json(&token, &["backup", "restore", "latest"]);
    let after = json(&token, &["token", "show"])["keys"]["missing"].clone();
    let told = report(&keyward(&token, &["-o", "json", "doctor"]), 0);

    assert_eq!((&backup["state"], &drill["state"]), (&json!("green"), &json!("green")));
    // A trusted KEK cannot be had here, so it is keyward that keeps the policy, and it says so.
    assert_eq!(key["enforcement"], "keyward");
    assert_eq!((missing, &restored["state"], after), (json!(["web"]), &json!("green"), json!([])));
    let findings = &told["tokens"][0]["findings"];
    assert_eq!(finding(findings, "WRAP_WITH_TRUSTED")["outcome"], "notice");
    assert_eq!(finding(findings, "RFC 5649 key wrap")["seen"], "by mechanism 0x210B");
}

#[test]
fn a_tpm_is_no_home_but_a_further_token_for_keys_that_never_leave() {
    let token = tpm();

    assert_is_no_home(&token, "it wraps no private keys by RFC 5649");
    let findings = further(&token);

    assert_eq!(finding(&findings, "EXTRACTABLE")["seen"], "it wraps no key at all");
    assert_eq!(finding(&findings, "usage")["outcome"], "notice");
    assert!(finding(&findings, "p256")["means"].as_str().unwrap().contains("`token-only` alone"), "{findings:#}");
}

#[test]
fn nss_is_unfit_and_the_doctor_says_so() {
    let token = nss();

    assert_is_no_home(&token, "it does not put wrapped P-256 keys back");
    let findings = further(&token);

    let found = finding(&findings, "EXTRACTABLE");
    assert_eq!(found["outcome"], "failed");
    assert!(found["means"].as_str().unwrap().starts_with("UNFIT"), "{found}");
}

#[test]
fn opencryptoki_is_no_home_and_takes_rsa_keys_alone() {
    let token = opencryptoki();

    assert_is_no_home(&token, "it wraps no private keys by RFC 5649");
    let findings = further(&token);

    assert_eq!(finding(&findings, "EXTRACTABLE")["seen"], "honoured");
    assert!(finding(&findings, "rsa-2048")["means"].as_str().unwrap().contains("`token-only` alone"), "{findings:#}");
    assert_eq!(finding(&findings, "p256")["means"], "such keys cannot be made here");
}
