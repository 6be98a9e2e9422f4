//! Answers as programs and as people see them.

use crate::support::Rig;
use serde_json::{Value, json};

#[test]
fn status_says_where_things_are_and_whether_they_agree() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");

    let status = rig.json(&["status"]);

    let names = ["coverage", "directory", "instance", "last_backup", "provisional_kek", "token", "token_problem"];
    assert_eq!(names_of(&status), names);
    assert_eq!(status["directory"], json!(rig.directory()));
    assert_eq!(names_of(&status["instance"]), ["id", "posture", "root_sha256"]);
    assert_eq!((&status["instance"]["posture"], &status["provisional_kek"]), (&json!("rig"), &json!(true)));
    let token = &status["token"];
    assert_eq!(names_of(token), ["firmware", "keys", "label", "manufacturer", "model", "module", "serial", "uri"]);
    assert!(token["uri"].as_str().unwrap().starts_with("pkcs11:token=keyward;serial="), "{token}");
    assert_eq!(token["keys"], json!({ "present": 3, "missing": [], "replaced": [], "unrecorded": [] }));
    assert_eq!((&status["token_problem"], &status["last_backup"]), (&Value::Null, &Value::Null));
    assert_eq!(status["coverage"], json!({ "green": 0, "amber": 0, "red": 2, "token-only": 1 }));
    rig.json(&["backup", "run"]);
    assert_eq!(rig.json(&["status"])["last_backup"]["sequence"], 1);
    let shown = rig.keyward(&["status"]).succeeded().stdout;
    assert!(shown.contains("this is a rig") && shown.contains("number 1 of "), "{shown}");
}

#[test]
fn doctor_says_what_the_token_can_do() {
    let rig = Rig::new();

    let report = rig.json(&["doctor"]);
    let doctor = &report["tokens"][0]["capabilities"];

    let algorithms = doctor["algorithms"].as_array().unwrap();
    let names: Vec<_> = algorithms.iter().map(|seen| seen["algorithm"].as_str().unwrap()).collect();
    assert_eq!(names, ["rsa-2048", "rsa-3072", "rsa-4096", "p256", "p384", "p521", "secp256k1", "ed25519"]);
    for seen in algorithms {
        let wraps = seen["algorithm"] != "ed25519";
        assert_eq!((&seen["sign"], &seen["wrap"]), (&json!(true), &json!(wraps)), "{seen}");
        assert_eq!(seen["cause"].is_null(), wraps, "{seen}");
    }
    for capability in ["content_key_wrap", "honours_extractable", "honours_wrap_with_trusted", "unwrap_template"] {
        assert_eq!(doctor[capability], true, "{capability}");
    }
    assert!(doctor["key_wrap"].is_u64());
}

#[test]
fn a_list_is_items_and_next_and_an_empty_cell_of_a_table_is_a_dash() {
    let rig = Rig::new();
    let lists: [&[&str]; 6] = [
        &["key", "list"],
        &["cert", "list"],
        &["export", "list"],
        &["backup", "list"],
        &["kek", "list"],
        &["audit", "list"],
    ];

    for list in lists {
        assert_eq!(names_of(&rig.json(list)), ["items", "next"], "{list:?}");
        let table = rig.keyward(list).succeeded().stdout;
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[0].chars().all(|letter| !letter.is_lowercase()), "{list:?}: {}", lines[0]);
        assert!(lines.iter().all(|line| !line.starts_with(' ') && !line.ends_with(' ')), "{table}");
    }
    rig.key("web", "p256", "token-only");
    let coverage = rig.keyward(&["backup", "coverage"]).succeeded().stdout;
    let row = coverage.lines().find(|line| line.starts_with("web ")).unwrap();
    assert!(row.contains("never leaves its token  -") && row.ends_with('-'), "{coverage}");
}

#[test]
fn quiet_keeps_messages_away_and_json_has_standard_output_to_itself() {
    let rig = Rig::new();

    let loud = rig.keyward(&["doctor"]).succeeded();
    let quiet = rig.keyward(&["--quiet", "doctor"]).succeeded();
    let json = rig.keyward(&["-o", "json", "doctor"]).succeeded();
    let both = rig.keyward(&["doctor", "--quiet", "-o", "json"]).succeeded();

    assert!(loud.stderr.contains("trying each token out"), "{loud:?}");
    assert!(quiet.stderr.is_empty() && quiet.stdout.starts_with("INSTANCE\n"), "{quiet:?}");
    assert_eq!((names_of(&json.json()), json.stderr), (names_of(&both.json()), loud.stderr));
    assert_eq!(both.stderr, "");
}

#[test]
fn what_cannot_be_undone_asks_first() {
    let rig = Rig::new();
    rig.key("web", "p256", "token-only");

    rig.refused(&["key", "destroy", "web"], 3, "argument-invalid");

    assert_eq!(rig.json(&["key", "show", "web"])["state"], "active");
    rig.json(&["--yes", "key", "destroy", "web"]);
    rig.refused(&["key", "show", "web"], 5, "key-unknown");
}

fn names_of(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}
