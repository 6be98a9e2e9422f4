//! No secret is anywhere but in the files that are made to hold it.

use crate::support::{Ended, Rig, keyward, run};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The files of a rig that hold secrets in clear, by design.
const HOLDERS: [&str; 3] = ["softhsm/pin", "softhsm/so-pin", "share-provisional.txt"];
const NEW_PIN: &str = "canary new pin 51d9";
const PASSPHRASE: &str = "canary passphrase 7f3a";

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// The share file's line with this name.
fn line(share: &str, name: &str) -> String {
    share.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// What an instance must keep to itself.
fn canaries(directory: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap().trim().to_owned();
    let share = read("share-provisional.txt");
    let (words, secret) = (line(&share, "words:"), line(&share, "secret-hex:"));
    let some_words = |from: usize| words.split(' ').skip(from).take(8).collect::<Vec<_>>().join(" ").into_bytes();
    vec![
        ("user PIN", read("softhsm/pin").into_bytes()),
        ("SO PIN", read("softhsm/so-pin").into_bytes()),
        ("passphrase", PASSPHRASE.as_bytes().to_vec()),
        ("share", some_words(0)),
        ("end of the share", some_words(20)),
        ("secret in hex", secret.as_bytes().to_vec()),
        ("secret", from_hex(&secret)),
    ]
}

/// What a command prints and logs when it logs everything.
fn traced(command: &mut Command) -> String {
    let Ended { stdout, stderr, .. } = run(command.env("KEYWARD_LOG", "trace"));
    stdout + &stderr
}

#[test]
fn no_pin_passphrase_or_share_appears_in_output_logs_or_any_other_file() {
    let rig = Rig::new();
    let message = rig.write("message", "m");
    let passphrase = rig.write("passphrase", format!("{PASSPHRASE}\n"));
    let out = |name: &str| rig.file(name);
    let [signature, certificate, pem, p12, records] = ["sig", "crt", "key", "p12", "jsonl"].map(out);
    let old = canaries(&rig.directory());
    let new_pin = rig.write("new-pin", format!("{NEW_PIN}\n"));
    let create = ["export", "create", "web", "--passphrase-file", &passphrase, "--format"];
    let mut printed = String::new();
    let share = rig.directory().join("share-provisional.txt").to_str().unwrap().to_owned();
    for arguments in [
        &["key", "generate", "web", "--algorithm", "p256", "--policy", "exportable"][..],
        &["key", "sign", "web", "--in", &message, "--out", &signature],
        &["cert", "self-sign", "web", "--subject", "CN=web", "--out", &certificate],
        &["backup", "run"],
        &["backup", "verify", "1"],
        &["backup", "drill", "latest"],
        &["backup", "coverage"],
        &["backup", "restore", "latest", "--share-file", &share],
        &[&create[..], &["pem", "--out", &pem]].concat(),
        &[&create[..], &["pkcs12", "--out", &p12]].concat(),
        &["audit", "export", "--out", &records],
        &["audit", "list", "--limit", "1000"],
        &["kek", "list"],
        &["token", "change-pin", "--new-pin-file", &new_pin],
        &["doctor"],
        &["status"],
    ] {
        for output in ["json", "table"] {
            printed.push_str(&traced(rig.command(&["-o", output]).args(arguments)));
        }
    }
    let holders = HOLDERS.map(|name| rig.directory().join(name));
    let scanned = files(&rig.directory()).into_iter().filter(|path| !holders.contains(path));
    let scanned: Vec<_> = scanned.chain([signature, certificate, pem, p12, records].map(PathBuf::from)).collect();
    assert!(printed.contains("DEBUG") || printed.contains("TRACE"), "the log was not written: {printed}");
    for expected in ["keyward.db", "keyward.toml", "backups/", "drills/", "audit/", "tls/", "softhsm/tokens/"] {
        let there = scanned.iter().any(|path| path.to_str().unwrap().contains(expected));
        assert!(there, "{expected} was not scanned: {scanned:?}");
    }
    for (name, canary) in old.iter().chain(&canaries(&rig.directory())) {
        assert!(canary.len() >= 16, "{name} is too short to be looked for");
        assert!(!contains(printed.as_bytes(), canary), "the {name} was printed: {printed}");
        for path in &scanned {
            assert!(!contains(&fs::read(path).unwrap(), canary), "the {name} is in {}", path.display());
        }
    }
    for holder in &holders {
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(fs::metadata(holder).unwrap().mode() & 0o7777, 0o600, "{}", holder.display());
    }
}

#[test]
fn init_prints_and_logs_no_secret() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("rig");

    let printed = traced(keyward().arg("--dir").arg(&directory).args(["init", "-o", "json"]));

    assert!(printed.contains("DEBUG") || printed.contains("TRACE"), "the log was not written: {printed}");
    for (name, canary) in &canaries(&directory) {
        assert!(!contains(printed.as_bytes(), canary), "the {name} was printed: {printed}");
    }
}
