//! Tests of `audit`: that everything is recorded, and that nothing can be changed unseen.

mod documented;
mod live;
mod offline;
mod records;
mod signatures;

use super::support::{Ended, Rig};
use serde_json::Value;
use std::fs;

/// A rig with an exportable key `web`, two signatures by it, and a second key that is gone again.
fn used_rig() -> Rig {
    let rig = Rig::new();
    rig.key("web", "p256", "exportable");
    rig.key("old", "p256", "token-only");
    rig.json(&["--yes", "key", "destroy", "old"]);
    sign(&rig, "web", 2);
    rig
}

/// Makes signatures of messages `0`, `1`, ….
fn sign(rig: &Rig, label: &str, times: usize) {
    let message = rig.file("message");
    for number in 0..times {
        fs::write(&message, number.to_string()).unwrap();
        let signature = rig.file("signature");
        rig.json(&["key", "sign", label, "--in", &message, "--out", &signature]);
        fs::remove_file(&signature).unwrap();
    }
}

/// Exports the logs; gives the path.
fn export(rig: &Rig, name: &str) -> String {
    let path = rig.file(name);
    rig.json(&["audit", "export", "--out", &path]);
    path
}

/// Writes fresh checkpoints beside the instance; gives the paths, management first.
fn checkpoints(rig: &Rig, name: &str) -> [String; 2] {
    let both = rig.json(&["audit", "checkpoint"]);
    ["management", "signatures"].map(|log| rig.write(&format!("{name}-{log}"), both[log].as_str().unwrap()))
}

/// The audit certificate, as it was kept elsewhere.
fn certificate(rig: &Rig) -> String {
    let kept = rig.file("kept-audit.pem");
    fs::copy(rig.directory().join("audit/audit.pem"), &kept).unwrap();
    kept
}

/// Runs SQL on the instance's database, behind keyward's back.
fn sql(rig: &Rig, statement: &str) {
    let script = "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1]) as db: db.execute(sys.argv[2])";
    let database = rig.directory().join("keyward.db");
    rig.tool("python3", &["-c", script, database.to_str().unwrap(), statement]).succeeded();
}

/// What a check found: kind, log and sequence number of each problem. It must have ended with 3.
#[track_caller]
fn problems(ended: &Ended) -> Vec<(String, String, u64)> {
    let report = ended.json();
    assert_eq!((ended.code, &report["valid"]), (3, &Value::Bool(false)), "{ended:?}");
    let problem = |problem: &Value| {
        let text = |name: &str| problem[name].as_str().unwrap_or("").to_owned();
        (text("kind"), text("log"), problem["seq"].as_u64().unwrap_or(0))
    };
    report["problems"].as_array().unwrap().iter().map(problem).collect()
}

/// A problem to be found.
fn problem(kind: &str, log: &str, seq: u64) -> (String, String, u64) {
    (kind.to_owned(), log.to_owned(), seq)
}
