//! `docs/audit-format.md` tells how to check an export without keyward; these tests run exactly its commands.

use super::{certificate, export, used_rig};
use crate::support::{Ended, Rig, run};
use std::{fs, path::Path, process::Command};

#[test]
fn the_documented_commands_verify_an_export_with_openssl_alone() {
    let rig = used_rig();
    prepare(&rig);

    let ended = run_documented(&rig).succeeded();

    assert_eq!(ended.stdout.matches("Verified OK\n").count(), 2, "{ended:?}");
    let root = rig.json(&["status"])["instance"]["root_sha256"].as_str().unwrap().to_uppercase();
    assert!(ended.stdout.replace(':', "").contains(&root), "{ended:?}");
}

#[test]
fn the_documented_commands_fail_on_a_changed_record_head_or_signature() {
    let rig = used_rig();
    prepare(&rig);
    let path = rig.file("audit.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let dash = whole.find("\\n\\n\u{2014} ").unwrap();
    let base64 = dash + whole[dash..].find(" MEU").map_or(150, |found| found + 20);

    let changes = [
        whole.replacen("\"label\":\"old\"", "\"label\":\"odd\"", 1),
        whole.replacen("\"size\":", "\"size\":1", 1),
        flipped(&whole, base64),
        whole.lines().take(whole.lines().count() - 1).fold(String::new(), |text, line| text + line + "\n"),
    ];

    for (number, changed) in changes.iter().enumerate() {
        fs::write(&path, changed).unwrap();
        assert_ne!(changed, &whole);
        assert_ne!(run_documented(&rig).code, 0, "change {number}");
    }
}

/// The export, the certificate and the program, named as in the text.
fn prepare(rig: &Rig) {
    export(rig, "audit.jsonl");
    fs::rename(certificate(rig), rig.file("audit.pem")).unwrap();
    rig.write("check.py", fenced("python"));
}

fn run_documented(rig: &Rig) -> Ended {
    let directory = rig.path("");
    run(Command::new("sh").args(["-euc", &fenced("sh")]).current_dir(directory))
}

/// What stands in the text between a fence of this language and the next.
fn fenced(language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit-format.md");
    let text = fs::read_to_string(page).unwrap();
    let (_, rest) = text.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// The text with another base64 digit at this place.
fn flipped(text: &str, at: usize) -> String {
    let digit = if &text[at..=at] == "A" { "B" } else { "A" };
    format!("{}{digit}{}", &text[..at], &text[at + 1..])
}
