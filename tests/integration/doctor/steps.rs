//! Whatever is wrong, the report says how far the way went, and what to do next.

use super::{doctor, finding, outcomes};
use crate::support::{Rig, service::Service};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt as _};

const STEPS: [&str; 7] = ["worker", "module", "token", "PIN source", "login", "trials", "inventory"];

/// The steps before `failed` are ok, it has failed, and those after it are not tried.
#[track_caller]
fn assert_stopped_at(report: &Value, failed: &str, code: &str) {
    let place = STEPS.iter().position(|step| *step == failed).unwrap();
    let word = |number: usize| match number.cmp(&place) {
        std::cmp::Ordering::Less => "ok",
        std::cmp::Ordering::Equal => "failed",
        std::cmp::Ordering::Greater => "not-tried",
    };
    let expected: Vec<_> = STEPS.iter().enumerate().map(|(number, step)| (*step, word(number))).collect();
    let findings = &report["tokens"][0]["findings"];
    assert_eq!(outcomes(findings), expected, "{findings:#}");
    let stopped = finding(findings, failed);
    assert!(stopped["seen"].as_str().unwrap().ends_with(&format!("({code})")), "{stopped}");
    assert_ne!(stopped["to_do"], "");
    assert_eq!((&report["outcome"], &report["tokens"][0]["capabilities"]), (&json!("failed"), &Value::Null));
}

fn settings(rig: &Rig, from: &str, to: &str) {
    let path = rig.directory().join("keyward.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn a_fresh_rig_has_nothing_that_fails_and_says_what_to_do_next() {
    let rig = Rig::new();

    let report = doctor(&rig, &[], 0);

    assert_eq!(report["outcome"], "notice");
    let instance = &report["instance"];
    for what in ["settings", "lock", "owner of the directory", "file modes", "database", "clock"] {
        assert_eq!(finding(instance, what)["outcome"], "ok", "{instance:#}");
    }
    for (what, to_do) in [("KEKs", "safe place"), ("last backup", "keyward backup run"), ("coverage", "keyward backup")]
    {
        let found = finding(instance, what);
        assert_eq!(found["outcome"], "notice", "{found}");
        assert!(found["to_do"].as_str().unwrap().contains(to_do), "{found}");
    }
    let token = &report["tokens"][0];
    assert!(token["findings"].as_array().unwrap().iter().all(|finding| finding["outcome"] != "failed"), "{token:#}");
    assert_eq!(token["capabilities"]["algorithms"].as_array().unwrap().len(), 8);
    rig.json(&["backup", "run"]);
    rig.json(&["backup", "drill", "latest"]);
    let after = doctor(&rig, &[], 0);
    assert_eq!(finding(&after["instance"], "coverage")["outcome"], "ok");
}

#[test]
fn a_module_that_is_none_is_where_the_way_ends() {
    let rig = Rig::new();
    let module = format!("module = {:?}", rig.module());
    let text = rig.write("libtext.so", "no library");
    settings(&rig, &module, &format!("module = {text:?}"));

    assert_stopped_at(&doctor(&rig, &[], 10), "module", "module-unusable");
}

#[test]
fn a_token_that_is_away_is_where_the_way_ends() {
    let rig = Rig::new();
    settings(&rig, "label = \"keyward\"", "label = \"another\"");

    let report = doctor(&rig, &[], 10);

    assert_stopped_at(&report, "token", "token-absent");
    let seen = &finding(&report["tokens"][0]["findings"], "token")["seen"];
    assert!(seen.as_str().unwrap().contains("(tokens there: keyward)"), "{seen}");
}

#[test]
fn a_pin_that_cannot_be_read_or_is_refused_is_where_the_way_ends() {
    let rig = Rig::new();
    let right = rig.pin();
    fs::set_permissions(rig.pin_file(), fs::Permissions::from_mode(0o640)).unwrap();

    let unreadable = doctor(&rig, &[], 10);
    fs::set_permissions(rig.pin_file(), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(rig.pin_file(), "0000").unwrap();
    let refused = doctor(&rig, &[], 10);
    let again = doctor(&rig, &[], 10);
    fs::write(rig.pin_file(), right).unwrap();

    assert_stopped_at(&unreadable, "PIN source", "pin-unreadable");
    assert_stopped_at(&refused, "login", "pin-refused");
    assert_stopped_at(&again, "login", "pin-refused");
    assert!(finding(&again["tokens"][0]["findings"], "login")["seen"].as_str().unwrap().contains("not sent again"));
    doctor(&rig, &[], 0);
}

#[test]
fn fix_closes_secrets_that_others_can_read_and_says_so() {
    let rig = Rig::new();
    let share = rig.directory().join("share-provisional.txt");
    for secret in [&share, &rig.pin_file()] {
        fs::set_permissions(secret, fs::Permissions::from_mode(0o644)).unwrap();
    }

    let seen = doctor(&rig, &[], 10);
    let fixed = doctor(&rig, &["--fix"], 0);

    let modes = finding(&seen["instance"], "file modes");
    assert_eq!((&modes["outcome"], &seen["fixed"]), (&json!("failed"), &json!([])), "{modes}");
    assert!(modes["to_do"].as_str().unwrap().contains("doctor --fix"), "{modes}");
    let said: Vec<_> = fixed["fixed"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.iter().all(|line| line.ends_with("mode 0644 is now 0600")), "{said:?}");
    assert_eq!(fs::metadata(share).unwrap().permissions().mode() & 0o777, 0o600);
    let record = rig.json(&["audit", "list", "--limit", "10"]);
    assert!(record.to_string().contains("doctor.fix"), "{record}");
}

#[test]
fn settings_that_do_not_hold_together_are_a_finding_with_every_fault() {
    let rig = Rig::new();
    settings(&rig, "label = \"keyward\"", "label = \"\"");

    let report = doctor(&rig, &[], 10);

    let instance = &report["instance"];
    let found = finding(instance, "instance");
    assert_eq!(found["outcome"], "failed");
    assert!(found["seen"].as_str().unwrap().contains("label must have 1 to 32 bytes"), "{found}");
    assert_eq!(finding(instance, "tokens")["outcome"], "not-tried");
}

#[test]
fn a_key_that_the_token_lost_has_failed_and_a_service_tells_so_too() {
    let rig = Rig::new();
    let key = rig.key("web", "p256", "backup-only");
    rig.lose(&key);
    let _service = Service::start(&rig);

    let report = doctor(&rig, &[], 10);

    let found = finding(&report["tokens"][0]["findings"], "inventory");
    assert_eq!((&found["outcome"], &found["seen"]), (&json!("failed"), &json!("2 keys present; missing: web")));
    assert!(found["to_do"].as_str().unwrap().contains("backup restore latest"), "{found}");
}

#[test]
fn what_is_printed_for_people_names_each_failure_and_counts_it() {
    let rig = Rig::new();
    settings(&rig, "label = \"keyward\"", "label = \"another\"");

    let ended = rig.keyward(&["doctor"]);

    assert_eq!(ended.code, 10, "{ended:?}");
    assert!(ended.stdout.contains("\nTOKEN another\n"), "{}", ended.stdout);
    assert!(ended.stdout.lines().any(|line| line.starts_with("FAILED") && line.contains("token")), "{}", ended.stdout);
    assert!(ended.stdout.contains("1 failed, "), "{}", ended.stdout);
}

/// A row that an older keyward has stored lacks what this one asks for; it is not believed, but made anew.
#[test]
fn capabilities_of_an_older_keyward_are_probed_again() {
    let rig = Rig::new();
    let database = rig.directory().join("keyward.db");
    let old = "UPDATE tokens SET capabilities = '{\"algorithms\":[],\"key_wrap\":null}'";
    let script = format!("import sqlite3; db = sqlite3.connect({database:?}); db.execute({old:?}); db.commit()");
    rig.tool("python3", &["-c", &script]).succeeded();

    rig.key("web", "p256", "backup-only");
}

#[test]
fn a_worker_that_dies_is_where_the_way_ends() {
    let rig = Rig::new();
    let module = rig.module();
    let source = "void __attribute__((constructor)) die(void) { __builtin_trap(); }\n";
    let (code, library) = (rig.write("crash.c", source), rig.file("crash.so"));
    rig.tool("cc", &["-shared", "-fPIC", "-o", &library, &code]).succeeded();
    settings(&rig, &format!("module = {module:?}"), &format!("module = {library:?}"));

    assert_stopped_at(&doctor(&rig, &[], 10), "module", "worker-lost");
}
