//! What does not leave, and that every refusal is recorded.

use super::{certified_key, rig_with_passphrase};
use crate::support::{Rig, service::Service};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn a_key_leaves_only_if_its_policy_and_its_approvals_let_it() {
    let (rig, passphrase) = rig_with_passphrase();
    rig.key("kept", "p256", "token-only");
    rig.key("copied", "p256", "backup-only");
    let shared = ["--algorithm", "p256", "--policy", "exportable", "--approvals", "1"];
    rig.json(&[&["key", "generate", "shared"], &shared[..]].concat());
    let out = rig.file("out.pem");

    for (label, code) in [("kept", "policy-forbids"), ("copied", "policy-forbids"), ("shared", "approvals-missing")] {
        let create = ["export", "create", label, "--format", "pem", "--out", &out, "--passphrase-file", &passphrase];
        let problem = rig.refused(&create, 4, code);

        assert!(problem["detail"].as_str().unwrap().contains(label), "{problem}");
        assert_refused(&rig, &out, label, "denied", code);
        assert_eq!(last_record(&rig)["request_id"], problem["request_id"]);
    }
}

#[test]
fn a_pkcs12_file_needs_a_certificate_and_a_pem_file_does_not() {
    let (rig, passphrase) = rig_with_passphrase();
    rig.key("bare", "p256", "exportable");
    let out = rig.file("bare.out");
    let create =
        |format| ["export", "create", "bare", "--format", format, "--out", &out, "--passphrase-file", &passphrase];

    rig.refused(&create("pkcs12"), 3, "certificate-missing");

    assert_refused(&rig, &out, "bare", "failed", "certificate-missing");
    assert_eq!(rig.json(&create("pem"))["certificates"], json!([]));
    assert!(!fs::read_to_string(&out).unwrap().contains("CERTIFICATE"));
}

#[test]
fn a_passphrase_that_readers_cannot_use_or_that_is_not_there_is_refused() {
    let (rig, _) = rig_with_passphrase();
    certified_key(&rig, "web", "p256");
    let out = rig.file("web.out");
    let create = |format| ["export", "create", "web", "--format", format, "--out", &out, "--passphrase-file"];

    for text in ["", "\n", "seven77", "pässwörter 7", "with a\ttab", "two lines\nof it"] {
        let file = rig.write("unsuitable", text);
        for format in ["pkcs12", "pem"] {
            rig.refused(&[&create(format)[..], &[&file]].concat(), 3, "passphrase-unsuitable");
            assert_refused(&rig, &out, "web", "failed", "passphrase-unsuitable");
        }
    }
    rig.refused(&["export", "create", "web", "--format", "pem", "--out", &out], 3, "argument-invalid");
    rig.refused(&[&create("pem")[..], &[&rig.file("nowhere")]].concat(), 5, "file-missing");
    assert!(!Path::new(&out).exists());
    let windows = rig.write("windows", "eight ~8\r\n");
    rig.json(&[&create("pem")[..], &[&windows]].concat());
}

#[test]
fn a_passphrase_never_stands_on_the_command_line() {
    let (rig, _) = rig_with_passphrase();
    let out = rig.file("web.out");

    let ended =
        rig.keyward(&["export", "create", "web", "--format", "pem", "--out", &out, "--passphrase", "correct 77"]);

    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("unexpected argument '--passphrase'"), "{ended:?}");
}

#[test]
fn a_profile_is_for_pkcs12_only_and_unknown_words_are_a_wrong_command_line() {
    let (rig, passphrase) = rig_with_passphrase();
    certified_key(&rig, "web", "p256");
    let out = rig.file("web.out");
    let create = ["export", "create", "web", "--out", &out, "--passphrase-file", &passphrase, "--format"];

    rig.refused(&[&create[..], &["pem", "--profile", "modern"]].concat(), 3, "profile-misplaced");
    assert_refused(&rig, &out, "web", "failed", "profile-misplaced");

    for wrong in [&["pkcs7"][..], &["pkcs12", "--profile", "rc2"]] {
        assert_eq!(rig.keyward(&[&create[..], wrong].concat()).code, 2);
    }
    rig.refused(&["export", "show", "nothing"], 5, "export-unknown");
    assert!(!Path::new(&out).exists());
}

#[test]
fn nothing_that_can_be_read_gives_a_private_key() {
    let (rig, passphrase) = rig_with_passphrase();
    certified_key(&rig, "web", "p256");
    let out = rig.file("web.pem");
    let create = ["export", "create", "web", "--format", "pem", "--out", &out, "--passphrase-file", &passphrase];
    let export = rig.json(&create)["id"].as_str().unwrap().to_owned();
    let archive = rig.json(&["backup", "run"])["destinations"][0]["path"].as_str().unwrap().to_owned();
    let certificate = rig.json(&["key", "show", "web"])["certificates"][0].as_str().unwrap().to_owned();
    let exported = rig.file("audit.jsonl");
    rig.json(&["audit", "export", "--out", &exported]);
    // Each route that is read, and the command that reads it; the two that print nothing have written a file.
    let routes: &[(&str, &[&str])] = &[
        ("/audit/export", &[]),
        ("/audit/records", &["audit", "list", "--limit", "1000"]),
        ("/backups", &["backup", "list"]),
        ("/backups/{sequence}", &["backup", "show", "1"]),
        ("/backups/{sequence}/archive", &[]),
        ("/certificates", &["cert", "list"]),
        ("/certificates/{id}", &["cert", "show", &certificate]),
        ("/commands/{id}", &["backup", "drill", "latest"]),
        ("/coverage", &["backup", "coverage"]),
        ("/exports", &["export", "list"]),
        ("/exports/{id}", &["export", "show", &export]),
        ("/instance", &["status"]),
        ("/keks", &["kek", "list"]),
        ("/keys", &["key", "list"]),
        ("/keys/{key}", &["key", "show", "web"]),
        ("/keys/{key}/public", &["key", "public", "web"]),
        ("/token", &["status"]),
        ("/tokens", &["token", "list"]),
        ("/tokens/{token}/objects", &["token", "scan"]),
        ("/tokens/{token}", &["token", "show", "keyward"]),
    ];

    // Routes that no command reads, or not with such an answer: at the socket.
    let at_socket = [
        ("/credentials", "/api/v1/credentials"),
        ("/credentials/{credential}", "/api/v1/credentials/ci"),
        ("/docs", "/api/v1/docs"),
        ("/docs/script.js", "/api/v1/docs/script.js"),
        ("/docs/style.css", "/api/v1/docs/style.css"),
        ("/healthz", "/healthz"),
        ("/metrics", "/metrics"),
        ("/openapi.json", "/api/v1/openapi.json"),
        ("/readyz", "/readyz"),
        ("/whoami", "/api/v1/whoami"),
    ];

    let known: BTreeSet<_> = routes.iter().map(|(route, _)| *route).chain(at_socket.map(|(route, _)| route)).collect();
    let all = routes_that_are_read();
    assert_eq!(all.iter().map(String::as_str).collect::<BTreeSet<_>>(), known, "a new route: read it here too");
    for (_, command) in routes.iter().filter(|(_, command)| !command.is_empty()) {
        for arguments in [command.to_vec(), [&["-o", "json"], *command].concat()] {
            let ended = rig.keyward(&arguments).succeeded();
            assert!(!ended.stdout.contains("PRIVATE") && !ended.stderr.contains("PRIVATE"), "{ended:?}");
        }
    }
    rig.json(&["credential", "add", "ci", "--role", "signer", "--out", &rig.file("ci.token")]);
    let service = Service::start(&rig);
    for (_, path) in at_socket {
        let socket = service.socket().to_str().unwrap();
        let url = format!("http://localhost{path}");
        let answer = rig.tool("curl", &["--silent", "--fail", "--unix-socket", socket, &url]).succeeded();
        assert!(!answer.stdout.contains("PRIVATE KEY--"), "{path}");
    }
    for file in [exported, archive] {
        assert!(!String::from_utf8_lossy(&fs::read(&file).unwrap()).contains("PRIVATE KEY--"), "{file}");
    }
}

/// The paths that routes.rs answers to GET.
fn routes_that_are_read() -> Vec<String> {
    let text = include_str!("../../../src/http/routes.rs");
    let route = |line: &str| {
        let (path, handlers) = line.trim().strip_prefix(".route(\"")?.split_once('"')?;
        handlers.contains(" get(").then(|| path.to_owned())
    };
    text.lines().filter_map(route).collect()
}

/// No file, no export, and a record that says why.
#[track_caller]
fn assert_refused(rig: &Rig, out: &str, label: &str, outcome: &str, code: &str) {
    assert!(!Path::new(out).exists());
    assert_eq!(rig.json(&["export", "list"])["items"], json!([]));
    let record = last_record(rig);
    let said = [&record["event"], &record["outcome"], &record["code"], &record["object"]["label"]];
    assert_eq!(said, [&json!("export.create"), &json!(outcome), &json!(code), &json!(label)]);
}

fn last_record(rig: &Rig) -> Value {
    rig.json(&["audit", "list", "--limit", "1"])["items"][0].clone()
}
