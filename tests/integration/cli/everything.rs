//! Every group of commands once, so that the ways to an instance can be compared.

use crate::support::{Ended, Rig};
use serde_json::{Value, json};
use std::thread;

/// Runs them on a rig of its own in process, and on another one by the given way; the answers must be the same.
#[track_caller]
pub(super) fn assert_same_in_process(rig: &Rig, keyward: impl Fn(&[&str]) -> Ended) {
    let alone = thread::spawn(|| {
        let alone = Rig::new();
        answers(&alone, |arguments| alone.keyward(arguments))
    });
    let seen = answers(rig, keyward);
    for (seen, expected) in seen.iter().zip(&alone.join().unwrap()) {
        assert_eq!(seen, expected);
    }
}

/// Runs them on a fresh rig; gives each with its exit code and its document, without what no two instances share.
fn answers(rig: &Rig, keyward: impl Fn(&[&str]) -> Ended) -> Vec<(String, i32, Value)> {
    let home = rig.path("").to_str().unwrap().to_owned();
    rig.write("message", "message");
    rig.write("passphrase", "correct horse 7");
    let mut answers = Vec::new();
    for line in COMMANDS.lines() {
        let arguments: Vec<_> = line.split_whitespace().map(|word| word.replace("HOME/", &home)).collect();
        let mut all = vec!["-o", "json", "--yes"];
        all.extend(arguments.iter().map(String::as_str));
        let ended = keyward(&all);
        answers.push((line.to_owned(), ended.code, comparable(&ended.json(), &home)));
    }
    answers
}

fn comparable(value: &Value, home: &str) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| comparable(item, home)).collect(),
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
            Value::Object(kept.map(|(name, value)| (name.clone(), comparable(value, home))).collect())
        }
        // PEM, and checkpoints with their signature lines.
        Value::String(text) if text.contains("-----BEGIN") || text.contains("\n\u{2014} ") => json!("signed"),
        Value::String(text) => {
            let words = text.replace(home, "HOME/");
            let words = words.split_whitespace().map(|word| if is_random(word) { "…" } else { word });
            json!(words.collect::<Vec<_>>().join(" "))
        }
        other => other.clone(),
    }
}

/// Ids, times, hashes, signatures.
fn is_random(word: &str) -> bool {
    word.len() >= 16 && word.contains(|letter: char| letter.is_ascii_digit())
}

/// Fields that differ between any two instances or callers; a service has made a certificate for itself, which is in
/// the log.
const OWN: &[&str] = &["directory", "intent", "kcv", "kcvs", "principal", "seq", "server", "size", "size_bytes"];

const COMMANDS: &str = "\
status
key generate web --algorithm p256 --policy exportable
key generate web --algorithm p256
key generate ed --algorithm ed25519 --policy token-only
key list
key show web
key show nobody
key public web
key csr web --subject CN=web.example --san dns:web.example --out HOME/web.csr
key sign web --in HOME/message --out HOME/web.sig
cert self-sign web --subject CN=web.example
cert list
export create web --format pkcs12 --passphrase-file HOME/passphrase --out HOME/web.p12
export create ed --format pem --passphrase-file HOME/passphrase --out HOME/ed.pem
export list
kek list
credential show nobody
backup run
backup list
backup show 1
backup drill latest
backup coverage
backup restore latest
ceremony recover --share-file HOME/rig/share-provisional.txt
audit list --event key.generate
audit checkpoint
audit export --out HOME/audit.jsonl
audit verify
key destroy web
status";
