//! `keyward init`: all of an instance, or nothing.

use crate::support::{Ended, Rig, assert_verifies, keyward, run};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

#[test]
fn an_instance_that_is_there_stays_as_it_is() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    let before = rig.json(&["status"])["instance"].clone();

    rig.refused(&["init"], 6, "instance-exists");

    assert_eq!(rig.json(&["status"])["instance"], before);
    assert_eq!(rig.json(&["key", "show", "web"])["presence"], "present");
}

#[test]
fn a_production_instance_is_refused_and_nothing_is_made() {
    let home = tempfile::tempdir().unwrap();
    let new = home.path().join("new");

    let ended = init(&new, &["--posture", "production"]);

    assert_eq!((ended.code, ended.json()["kind"].as_str()), (9, Some("unsupported")));
    assert!(!new.exists());
}

#[test]
fn an_init_that_fails_leaves_the_directory_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let (new, there) = (home.path().join("new"), home.path().join("there"));
    let pin = home.path().join("pin");
    fs::write(&pin, "123456").unwrap();
    fs::set_permissions(&pin, Permissions::from_mode(0o600)).unwrap();
    fs::create_dir_all(there.join("tls")).unwrap();
    fs::write(there.join("tls/mine.pem"), "mine").unwrap();
    fs::set_permissions(&there, Permissions::from_mode(0o755)).unwrap();
    let pin = pin.to_str().unwrap();
    let long = "x".repeat(33);
    let softhsm = softhsm(&home);
    let failing: [(&[&str], i32); 3] = [
        (&["--token-module", "/nowhere/libnothing.so", "--token-label", "t", "--token-pin-file", pin], 8),
        (&["--token-module", &softhsm, "--token-label", &long, "--token-pin-file", pin], 8),
        (&["--token-module", &softhsm, "--token-label", "t"], 3),
    ];

    for (arguments, exit) in failing {
        for directory in [&new, &there] {
            let ended = init(directory, arguments);
            assert_eq!(ended.code, exit, "{ended:?}");
            assert!(!ended.json()["advice"].as_str().unwrap().is_empty(), "{ended:?}");
        }
        assert!(!new.exists());
        assert_eq!(names(&there), ["tls"]);
        assert_eq!(names(&there.join("tls")), ["mine.pem"]);
        assert_eq!(fs::metadata(&there).unwrap().permissions().mode() & 0o777, 0o755);
    }
}

#[test]
fn an_empty_directory_becomes_an_instance_that_nobody_else_can_enter() {
    let home = tempfile::tempdir().unwrap();
    let empty = home.path().join("empty");
    fs::create_dir(&empty).unwrap();
    fs::set_permissions(&empty, Permissions::from_mode(0o755)).unwrap();

    let made = init(&empty, &[]).succeeded().json();

    let fields: Vec<_> = made.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["directory", "id", "posture", "root_sha256", "share_file", "token"]);
    assert_eq!(made["directory"].as_str(), empty.to_str());
    let mode = |name: &str| fs::metadata(empty.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    for secret in ["share-provisional.txt", "softhsm/pin", "softhsm/so-pin"] {
        assert_eq!(mode(secret), 0o600, "{secret}");
    }
    for file in ["keyward.toml", "keyward.db", "audit/audit.pem", "audit/management.checkpoint", "tls/ca.pem"] {
        assert!(empty.join(file).exists(), "{file}");
    }
}

#[test]
fn an_instance_works_at_a_path_that_no_socket_address_could_hold() {
    let home = tempfile::tempdir().unwrap();
    let deep = home.path().join("a-rather-long-name-of-a-directory-".repeat(5)).join("instance");
    assert!(deep.as_os_str().len() > 108);
    init(&deep, &[]).succeeded();
    let file = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let (message, signature, public) = (file("message"), file("signature"), file("public"));
    fs::write(&message, "m").unwrap();
    let at = |arguments: &[&str]| run(keyward().arg("--dir").arg(&deep).args(arguments)).succeeded();

    at(&["key", "generate", "web", "--algorithm", "p256"]);
    at(&["key", "sign", "web", "--in", &message, "--out", &signature]);
    at(&["key", "public", "web", "--out", &public]);

    assert_verifies("sha256", &public, &signature, &message);
}

fn init(directory: &Path, arguments: &[&str]) -> Ended {
    run(keyward().arg("--dir").arg(directory).args(["-o", "json", "init"]).args(arguments))
}

/// The module that `init` found by itself for another instance.
fn softhsm(home: &TempDir) -> String {
    let other = home.path().join("other");
    init(&other, &[]).succeeded();
    let status = run(keyward().arg("--dir").arg(&other).args(["-o", "json", "status"])).succeeded().json();
    status["token"]["module"].as_str().unwrap().to_owned()
}

fn names(directory: &PathBuf) -> Vec<String> {
    let entry = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    fs::read_dir(directory).unwrap().map(entry).collect()
}
