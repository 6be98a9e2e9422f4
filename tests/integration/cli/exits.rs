//! Exit codes, and problems as programs and as people see them.

use crate::support::{Rig, keyward, run};
use serde_json::Value;
use std::{fs, process::Command};

#[test]
fn every_kind_of_problem_has_its_exit_code_and_its_code_in_one_json_document() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    let out = rig.file("out");
    let passphrase = rig.write("passphrase", "correct horse 7");
    let config = rig.directory().join("keyward.toml");
    let good = fs::read_to_string(&config).unwrap();
    let id = rig.json(&["key", "show", "web"])["id"].as_str().unwrap().to_owned();

    assert_eq!(rig.keyward(&["-o", "json", "key", "list"]).code, 0);
    for wrong in
        [&["key", "frobnicate"][..], &["key", "generate", "x"], &["key", "generate", "x", "--algorithm", "dsa"]]
    {
        let problem = rig.refused(wrong, 2, "usage");
        assert_eq!(problem["kind"], "invalid");
    }
    assert_problem(&rig, &["key", "generate", &id, "--algorithm", "p256"], (3, "label-malformed", "invalid"));
    let export = ["export", "create", "web", "--format", "pem", "--passphrase-file", &passphrase, "--out", &out];
    assert_problem(&rig, &export, (4, "policy-forbids", "denied"));
    assert_problem(&rig, &["key", "show", "nobody"], (5, "key-unknown", "not-found"));
    assert_problem(&rig, &["key", "generate", "web", "--algorithm", "p256"], (6, "label-taken", "conflict"));
    let unwrappable = ["key", "generate", "ed", "--algorithm", "ed25519"];
    assert_problem(&rig, &unwrappable, (9, "policy-unsupported", "unsupported"));
    fs::rename(rig.directory().join("backups"), rig.path("away")).ok();
    fs::write(rig.directory().join("backups"), "in the way").unwrap();
    assert_problem(&rig, &["backup", "run"], (10, "destination-failed", "unavailable"));
    fs::remove_file(rig.directory().join("backups")).unwrap();

    fs::write(&config, good.replace("libsofthsm2.so", "libnothing.so")).unwrap();
    assert_problem(&rig, &["key", "generate", "x", "--algorithm", "p256"], (8, "module-unusable", "token-absent"));
    fs::write(&config, &good).unwrap();
    fs::rename(rig.directory().join("softhsm/tokens"), rig.path("tokens")).unwrap();
    fs::create_dir(rig.directory().join("softhsm/tokens")).unwrap();
    assert_problem(&rig, &["key", "generate", "x", "--algorithm", "p256"], (8, "token-absent", "token-absent"));
    fs::remove_dir(rig.directory().join("softhsm/tokens")).unwrap();
    fs::rename(rig.path("tokens"), rig.directory().join("softhsm/tokens")).unwrap();

    let pin = rig.pin();
    fs::write(rig.directory().join("softhsm/pin"), "000000").unwrap();
    for _ in 0..2 {
        assert_problem(&rig, &["key", "generate", "x", "--algorithm", "p256"], (7, "pin-refused", "locked"));
    }
    fs::write(rig.directory().join("softhsm/pin"), pin).unwrap();
    rig.key("after", "p256", "token-only");

    let script =
        "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1]) as db: db.execute(\"UPDATE keys SET policy = 'x'\")";
    let database = rig.directory().join("keyward.db");
    run(Command::new("python3").args(["-c", script]).arg(database)).succeeded();
    let problem = assert_problem(&rig, &["key", "show", "web"], (1, "database-corrupt", "internal"));
    assert!(problem["request_id"].as_str().unwrap().len() == 36, "{problem}");
}

#[test]
fn without_json_a_problem_goes_to_standard_error_with_detail_advice_and_code() {
    let rig = Rig::new();

    let ended = rig.keyward(&["--quiet", "key", "show", "nobody"]);

    assert_eq!((ended.code, ended.stdout.as_str()), (5, ""));
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0], "error: there is no key `nobody`");
    assert!(lines[1].contains("`keyward key list` shows labels and ids"), "{lines:?}");
    assert!(lines[2].contains("(key-unknown, request "), "{lines:?}");
    let nowhere = run(keyward().args(["--dir", &rig.file("nowhere"), "status"]));
    assert_eq!(nowhere.code, 5);
    assert!(nowhere.stderr.contains("(instance-missing)"), "{nowhere:?}");
    assert!(!fs::exists(rig.file("nowhere")).unwrap());
}

/// The command fails so, prints one JSON document and nothing else, and says what to do.
#[track_caller]
fn assert_problem(rig: &Rig, command: &[&str], (exit, code, kind): (i32, &str, &str)) -> Value {
    let problem = rig.refused(command, exit, code);
    assert_eq!(problem["kind"], kind, "{problem}");
    for field in ["advice", "detail", "title"] {
        assert!(!problem[field].as_str().unwrap().is_empty(), "{field} of {problem}");
    }
    problem
}
