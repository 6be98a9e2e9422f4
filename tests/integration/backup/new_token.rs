//! The token is lost and another one takes its place, under the same instance.

use crate::support::Rig;
use std::fs;

#[test]
fn a_new_token_gets_the_keys_back_and_an_audit_key_of_its_own() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    rig.key("here", "ed25519", "token-only");
    let public_key = rig.public_key("web");
    rig.json(&["backup", "run"]);
    let former = rig.json(&["key", "show", "keyward-audit"]);
    replace_token(&rig);
    let share = rig.directory().join("share-provisional.txt");

    let restored = rig.json(&["backup", "restore", "latest", "--share-file", share.to_str().unwrap()]);

    assert_eq!((&restored["state"], &restored["keks"]), (&"green".into(), &"imported".into()));
    rig.assert_signs("web", &public_key);
    let audit = rig.json(&["key", "show", "keyward-audit"]);
    assert_ne!(audit["id"], former["id"]);
    assert_eq!(
        (&audit["presence"], &rig.json(&["key", "show", "here"])["presence"]),
        (&"present".into(), &"missing".into())
    );
    assert_eq!(rig.json(&["audit", "verify"])["valid"], true);
    let kept = fs::read_dir(rig.directory().join("audit")).unwrap();
    let kept = kept.filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().contains(".before-")).count();
    assert_eq!(kept, 2, "the former key's last word on both logs");
    let ended = rig.keyward(&["-o", "json", "backup", "run"]);
    assert_eq!((ended.code, ended.json()["keys_wrapped"].as_u64()), (0, Some(2)), "{ended:?}");
    assert_eq!(rig.json(&["backup", "drill", "latest"])["state"], "green");
}

/// Another token with the same label and PINs, and nothing in it.
fn replace_token(rig: &Rig) {
    let home = rig.directory().join("softhsm");
    fs::remove_dir_all(home.join("tokens")).unwrap();
    fs::create_dir(home.join("tokens")).unwrap();
    let (pin, so_pin) = (rig.pin(), fs::read_to_string(home.join("so-pin")).unwrap());
    let arguments = ["--init-token", "--free", "--label", "keyward", "--pin", &pin, "--so-pin", &so_pin];
    rig.tool("softhsm2-util", &arguments).succeeded();
}
