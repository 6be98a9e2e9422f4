//! `audit verify` without a file: the logs of the instance itself.

use super::{checkpoints, problem, problems, sign, sql, used_rig};
use crate::support::{Ended, Rig};
use std::fs;

#[test]
fn a_log_that_only_grew_agrees_with_every_older_checkpoint() {
    let rig = used_rig();
    let [first, first_signatures] = checkpoints(&rig, "first");
    rig.key("more", "p256", "token-only");
    sign(&rig, "more", 3);
    let [second, second_signatures] = checkpoints(&rig, "second");
    rig.key("most", "p256", "token-only");

    let against = ["--against", &first, "--against", &first_signatures, "--against", &second];
    let report = rig.json(&[&["audit", "verify"], &against[..], &["--against", &second_signatures]].concat());

    assert_eq!((&report["valid"], report["problems"].as_array().unwrap().len()), (&true.into(), 0));
    assert_eq!((&report["logs"][0]["log"], &report["logs"][1]["log"]), (&"management".into(), &"signatures".into()));
    assert_eq!(report["logs"][1]["size"], 5);
}

#[test]
fn a_changed_row_of_the_database_is_found() {
    let rig = used_rig();
    rig.json(&["audit", "checkpoint"]);
    let seq = last_seq(&rig);

    sql(&rig, &format!("UPDATE audit_records SET outcome = 'failed' WHERE seq = {seq}"));
    assert_eq!(problems(&verify(&rig)), [problem("row-differs", "management", seq)]);
    sql(&rig, &format!("UPDATE audit_records SET outcome = 'ok' WHERE seq = {seq}"));
    assert_eq!(rig.json(&["audit", "verify"])["valid"], true);

    sql(&rig, &format!("UPDATE audit_records SET line = replace(line, 'owner', 'ownex') WHERE seq = {seq}"));
    assert_eq!(problems(&verify(&rig)), [problem("log-rewritten", "management", 1)]);
    sql(&rig, &format!("DELETE FROM audit_records WHERE seq = {seq}"));
    let found = problems(&verify(&rig));
    assert!(found.contains(&problem("record-missing", "management", seq)), "{found:?}");
    assert_eq!(rig.keyward(&["audit", "verify"]).code, 3);
}

#[test]
fn a_changed_or_cut_segment_of_the_signature_log_is_found() {
    let rig = used_rig();
    rig.json(&["audit", "checkpoint"]);
    let segment = rig.directory().join("audit/signatures-000001.jsonl");
    let whole = fs::read_to_string(&segment).unwrap();

    fs::write(&segment, whole.replacen("\"web\"", "\"wob\"", 1)).unwrap();
    assert_eq!(problems(&verify(&rig)), [problem("log-rewritten", "signatures", 1)]);

    fs::write(&segment, whole.lines().next().unwrap().to_owned() + "\n").unwrap();
    assert_eq!(problems(&verify(&rig)), [problem("log-cut", "signatures", 2)]);
    rig.refused(&["audit", "checkpoint"], 6, "audit-log-broken");

    fs::write(&segment, whole).unwrap();
    assert_eq!(rig.json(&["audit", "verify"])["valid"], true);
}

#[test]
fn a_rewritten_log_with_fresh_checkpoints_contradicts_one_that_was_kept_elsewhere() {
    let rig = used_rig();
    let [kept, _] = checkpoints(&rig, "kept");
    let seq = last_seq(&rig);
    sql(&rig, &format!("UPDATE audit_records SET line = replace(line, 'old', 'odd') WHERE seq = {seq}"));
    for log in ["management", "signatures"] {
        fs::remove_file(rig.directory().join(format!("audit/{log}.checkpoint"))).unwrap();
    }
    rig.json(&["audit", "checkpoint"]);

    assert_eq!(rig.json(&["audit", "verify"])["valid"], true);
    let held_against = rig.keyward(&["-o", "json", "audit", "verify", "--against", &kept]);
    assert_eq!(problems(&held_against), [problem("log-rewritten", "management", 1)]);
}

fn verify(rig: &Rig) -> Ended {
    rig.keyward(&["-o", "json", "audit", "verify"])
}

fn last_seq(rig: &Rig) -> u64 {
    rig.json(&["audit", "list", "--limit", "1"])["items"][0]["seq"].as_u64().unwrap()
}
