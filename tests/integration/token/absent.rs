//! A token that is away, and a module that is none.

use crate::support::{Rig, pkcs11::module_line};
use std::fs;

#[test]
fn a_token_that_is_away_is_said_to_be_away_and_works_again_when_it_is_back() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    let message = rig.write("message", "m");
    let out = rig.file("out");
    let sign = ["key", "sign", "web", "--in", &message, "--out", &out];
    let before = rig.json(&["key", "list"]);
    let (tokens, away) = (rig.directory().join("softhsm/tokens"), rig.directory().join("softhsm/away"));
    fs::rename(&tokens, &away).unwrap();

    for arguments in [
        &sign[..],
        &["key", "generate", "other", "--algorithm", "p256"],
        &["key", "destroy", "web", "--yes"],
        &["key", "csr", "web", "--subject", "CN=x", "--out", &out],
        &["cert", "self-sign", "web", "--subject", "CN=x", "--out", &out],
    ] {
        let problem = rig.refused(arguments, 8, "token-absent");
        assert!(problem["detail"].as_str().unwrap().contains("token `keyward`"), "{problem}");
        // A signature that is not made for want of a token is counted, not recorded.
        let is_recorded = rig.last_record()["code"] == "token-absent";
        assert_eq!(is_recorded, arguments != sign, "{arguments:?}");
        assert!(!rig.path("out").exists(), "{arguments:?}");
    }
    let while_away = rig.json(&["key", "list"]);
    let status = rig.json(&["status"]);
    let seen_away = rig.json(&["key", "show", "web"])["presence"].clone();
    fs::rename(&away, &tokens).unwrap();

    assert_eq!(while_away, before);
    assert_eq!(status["token_problem"]["code"], "token-absent");
    rig.json(&sign);
    assert_eq!(rig.json(&["status"])["token"]["keys"]["present"], 3);
    assert_eq!(seen_away, "token-absent");
    assert_eq!(rig.json(&["key", "list"]), before);
}

#[test]
fn an_empty_token_folder_is_an_absent_token_and_another_label_too() {
    let rig = Rig::new();
    let settings = rig.directory().join("keyward.toml");
    let right = fs::read_to_string(&settings).unwrap();
    let (tokens, away) = (rig.directory().join("softhsm/tokens"), rig.directory().join("softhsm/away"));

    fs::rename(&tokens, &away).unwrap();
    fs::create_dir(&tokens).unwrap();
    rig.refused(&["token", "show"], 8, "token-absent");
    fs::remove_dir(&tokens).unwrap();
    fs::rename(&away, &tokens).unwrap();
    fs::write(&settings, right.replace("label = \"keyward\"", "label = \"another\"")).unwrap();
    let problem = rig.refused(&["token", "show"], 8, "token-absent");

    assert!(problem["detail"].as_str().unwrap().contains("(tokens there: keyward)"), "{problem}");
}

#[test]
fn a_module_that_is_missing_or_no_pkcs11_library_is_named() {
    let rig = Rig::new();
    let settings = rig.directory().join("keyward.toml");
    let right = fs::read_to_string(&settings).unwrap();
    let missing = rig.file("libnothing.so");
    let text = rig.write("text", "this is no library");
    // keyward itself is an ELF file, but no library.
    let program = env!("CARGO_BIN_EXE_keyward").to_owned();
    let libc = libc_path();
    let before = rig.objects();

    for module in [missing, text, program, libc] {
        fs::write(&settings, right.replace(&module_line(&right), &format!("module = {module:?}"))).unwrap();
        for arguments in [&["token", "show"][..], &["key", "generate", "web", "--algorithm", "p256"]] {
            let problem = rig.refused(arguments, 8, "module-unusable");
            assert!(problem["detail"].as_str().unwrap().contains(&module), "{problem}");
        }
        assert_eq!(rig.json(&["key", "list"])["items"].as_array().unwrap().len(), 2);
    }
    fs::write(&settings, right).unwrap();

    assert_eq!(rig.objects(), before);
    rig.key("web", "p256", "token-only");
}

/// A shared library that is there and is no PKCS#11 module: the C library of this process.
fn libc_path() -> String {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let path = maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|path| path.contains("/libc.so"));
    path.unwrap().to_owned()
}
