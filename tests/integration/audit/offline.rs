//! `audit export`, and `audit verify FILE --cert F`, which needs no instance.

use super::{certificate, checkpoints, export, problem, problems, sign, used_rig};
use crate::support::{Ended, Rig, keyward, openssl, run};
use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;

#[test]
fn an_export_has_both_logs_under_fresh_checkpoints_and_is_valid() {
    let rig = used_rig();
    let instance = rig.json(&["status"])["instance"]["id"].as_str().unwrap().to_owned();

    let file = export(&rig, "audit.jsonl");

    let text = fs::read_to_string(&file).unwrap();
    let mut lines = text.lines();
    let header: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    let names: Vec<_> = header.as_object().unwrap().keys().collect();
    assert_eq!(names, ["certificates_pem", "instance", "keyward_audit", "logs"]);
    assert_eq!((&header["keyward_audit"], &header["instance"]), (&json!(1), &json!(instance)));
    let pem = fs::read_to_string(rig.directory().join("audit/audit.pem")).unwrap();
    assert_eq!(header["certificates_pem"].as_str().unwrap(), pem);
    for (index, log) in ["management", "signatures"].into_iter().enumerate() {
        let said = &header["logs"][index];
        let origin = format!("keyward/{instance}/{log}");
        let (size, root) = (said["size"].as_u64().unwrap(), said["root"].as_str().unwrap());
        let own: Vec<_> = lines.by_ref().take(usize::try_from(size).unwrap()).collect();
        assert_eq!((&said["log"], &said["origin"]), (&json!(log), &json!(origin)));
        assert_eq!(root, tree(&own));
        assert!(
            said["checkpoint"]
                .as_str()
                .unwrap()
                .starts_with(&format!("{origin}\n{size}\n{root}\n\n\u{2014} {origin} "))
        );
        for (position, line) in own.iter().enumerate() {
            let record: Value = serde_json::from_str(line).unwrap();
            assert_eq!((&record["log"], &record["seq"]), (&json!(log), &json!(position + 1)));
            // Canonical: serde_json keeps names sorted, and everything here is ASCII.
            assert_eq!(*line, record.to_string());
        }
    }
    assert_eq!(lines.next(), None);
    let report = verify(&rig, &file, &[]).succeeded().json();
    assert_eq!((&report["valid"], &report["problems"]), (&json!(true), &json!([])));
    let heads = [0, 1].map(|index| {
        let said = &header["logs"][index];
        json!({ "log": said["log"], "size": said["size"], "root": said["root"] })
    });
    assert_eq!(report["logs"], json!(heads));
}

#[test]
fn a_flipped_byte_is_found_in_every_record_and_named_with_log_and_position() {
    let rig = used_rig();
    let file = export(&rig, "audit.jsonl");
    let whole = fs::read(&file).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    let mut start = text.lines().next().unwrap().len() + 1;

    for line in text.lines().skip(1) {
        let record: Value = serde_json::from_str(line).unwrap();
        let (log, seq) = (record["log"].as_str().unwrap(), record["seq"].as_u64().unwrap());
        for at in [start + 1, start + line.len() / 3, start + line.len() / 2, start + line.len() - 3] {
            let mut changed = whole.clone();
            changed[at] ^= 0x01;
            fs::write(&file, &changed).unwrap();
            let found = problems(&verify(&rig, &file, &[]));
            let named = found.iter().any(|(_, in_log, at)| in_log == log && (1..=seq).contains(at));
            assert!(named, "byte {at} of {log} {seq}: {found:?}");
        }
        start += line.len() + 1;
    }
}

#[test]
fn a_flipped_byte_of_a_head_or_its_signature_is_found() {
    let rig = used_rig();
    let file = export(&rig, "audit.jsonl");
    let whole = fs::read(&file).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    let (from, to) = (text.find("\"logs\"").unwrap(), text.find('\n').unwrap());

    for at in (from..to).step_by(29) {
        let mut changed = whole.clone();
        changed[at] ^= 0x01;
        fs::write(&file, &changed).unwrap();
        assert!(!problems(&verify(&rig, &file, &[])).is_empty(), "byte {at}");
    }
}

#[test]
fn removed_repeated_and_swapped_records_are_named() {
    let rig = used_rig();
    let file = export(&rig, "audit.jsonl");
    // Line 0 is the header; then management 1, 2, …
    let cases: [(Change, _); 4] = [
        (|lines| _ = lines.remove(4), problem("record-missing", "management", 4)),
        (|lines| lines.insert(5, lines[3]), problem("record-repeated", "management", 3)),
        (|lines| lines.swap(6, 7), problem("record-out-of-order", "management", 6)),
        (|lines| _ = lines.pop(), problem("log-cut", "signatures", 2)),
    ];
    let whole = fs::read_to_string(&file).unwrap();

    for (change, expected) in cases {
        let mut lines: Vec<_> = whole.lines().collect();
        change(&mut lines);
        fs::write(&file, lines.join("\n") + "\n").unwrap();
        let found = problems(&verify(&rig, &file, &[]));
        assert!(found.contains(&expected), "{found:?}");
    }
}

#[test]
fn a_cut_tail_is_found_by_a_later_checkpoint_that_was_kept_elsewhere() {
    let rig = used_rig();
    let early = export(&rig, "early.jsonl");
    rig.key("more", "p256", "token-only");
    sign(&rig, "more", 1);
    let [management, signatures] = checkpoints(&rig, "later");
    let size: u64 = header(&early)["logs"][0]["size"].as_u64().unwrap();

    let found = problems(&verify(&rig, &early, &[&management, &signatures]));

    // The early export is whole, and its own checkpoints say so: only the later ones know better.
    assert!(verify(&rig, &early, &[]).code == 0);
    assert_eq!(found, [problem("log-cut", "management", size + 1), problem("log-cut", "signatures", 3)]);
    let late = export(&rig, "late.jsonl");
    assert_eq!(verify(&rig, &late, &[&management, &signatures]).code, 0);
}

#[test]
fn a_log_that_was_rewritten_and_signed_by_another_key_is_refused() {
    let rig = used_rig();
    let file = export(&rig, "audit.jsonl");
    let whole = fs::read_to_string(&file).unwrap();
    let forged = whole.replacen("\"label\":\"old\"", "\"label\":\"odd\"", 1);
    let (key, public) = (rig.file("forger.key"), rig.file("forger.der"));
    let new_key = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &key];
    openssl(&new_key).succeeded();
    openssl(&["pkey", "-in", &key, "-pubout", "-outform", "DER", "-out", &public]).succeeded();

    let with_old_signature = with_recomputed_root(&forged, |note| note.to_owned());
    let signed_again = with_recomputed_root(&forged, |note| sign_note(&rig, note, &key, &public));

    fs::write(&file, with_old_signature).unwrap();
    let found = problems(&verify(&rig, &file, &[]));
    assert!(found.contains(&problem("checkpoint-signature-invalid", "management", 0)), "{found:?}");
    fs::write(&file, signed_again).unwrap();
    let found = problems(&verify(&rig, &file, &[]));
    assert!(found.contains(&problem("checkpoint-by-another-key", "management", 0)), "{found:?}");
}

#[test]
fn a_check_needs_both_file_and_certificate_and_says_what_cannot_be_read() {
    let rig = used_rig();
    let file = export(&rig, "audit.jsonl");
    let certificate = certificate(&rig);
    let offline = |arguments: &[&str]| run(keyward().args(["-o", "json", "audit", "verify"]).args(arguments));

    assert_eq!(offline(&[&file]).code, 2);
    assert_eq!(offline(&["--cert", &certificate]).code, 2);
    assert_eq!(offline(&[&rig.file("nothing"), "--cert", &certificate]).json()["code"], "file-missing");
    assert_eq!(offline(&[&file, "--cert", &file]).code, 3);
    assert_eq!(rig.refused(&["audit", "export", "--out", &file], 6, "file-exists")["kind"], "conflict");
}

/// What is done to the lines of an export.
type Change = fn(&mut Vec<&str>);

/// Checks a file in a process that knows nothing of the instance.
fn verify(rig: &Rig, file: &str, against: &[&str]) -> Ended {
    let mut command = keyward();
    command.args(["-o", "json", "audit", "verify", file, "--cert", &certificate(rig)]);
    for checkpoint in against {
        command.args(["--against", checkpoint]);
    }
    run(&mut command)
}

fn header(file: &str) -> Value {
    serde_json::from_str(fs::read_to_string(file).unwrap().lines().next().unwrap()).unwrap()
}

/// The export with the management log's root as it is now, its checkpoint made by `sign`.
fn with_recomputed_root(export: &str, sign: impl Fn(&str) -> String) -> String {
    let (first, records) = export.split_once('\n').unwrap();
    let mut header: Value = serde_json::from_str(first).unwrap();
    let size = header["logs"][0]["size"].as_u64().unwrap();
    let own: Vec<_> = records.lines().take(usize::try_from(size).unwrap()).collect();
    let (old, new) = (header["logs"][0]["root"].as_str().unwrap().to_owned(), tree(&own));
    let note = header["logs"][0]["checkpoint"].as_str().unwrap().replacen(&old, &new, 1);
    header["logs"][0]["checkpoint"] = json!(sign(&note));
    header["logs"][0]["root"] = json!(new);
    format!("{header}\n{records}")
}

/// The note, signed by this key under the same name.
fn sign_note(rig: &Rig, note: &str, key: &str, public_der: &str) -> String {
    let (text, signature_line) = note.split_once("\n\n").unwrap();
    let name = signature_line.split(' ').nth(1).unwrap();
    let (message, signature) = (rig.write("note", format!("{text}\n")), rig.file("note.sig"));
    openssl(&["dgst", "-sha256", "-sign", key, "-out", &signature, &message]).succeeded();
    let mut bytes = Sha256::digest(fs::read(public_der).unwrap())[..4].to_vec();
    bytes.extend(fs::read(&signature).unwrap());
    format!("{text}\n\n\u{2014} {name} {}\n", Base64::encode_string(&bytes))
}

/// The root of RFC 6962 over these lines, as base64.
fn tree(lines: &[&str]) -> String {
    let leaves: Vec<_> = lines.iter().map(|line| hash(&[&[0], line.as_bytes()])).collect();
    Base64::encode_string(&node(&leaves))
}

fn node(leaves: &[Vec<u8>]) -> Vec<u8> {
    match leaves {
        [] => hash(&[]),
        [leaf] => leaf.clone(),
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            hash(&[&[1], &node(left), &node(right)])
        }
    }
}

fn hash(parts: &[&[u8]]) -> Vec<u8> {
    Sha256::digest(parts.concat()).to_vec()
}
