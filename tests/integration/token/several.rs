//! Several tokens in one instance: each has a worker and a PIN of its own, and one that is away troubles no other.

use crate::support::{Rig, service::Service};
use serde_json::{Value, json};
use std::{fs, path::Path};

#[test]
fn a_key_is_made_in_the_token_that_is_named_and_signs_there() {
    let rig = Rig::new();
    rig.further_token("annex");
    let before = rig.all_objects();

    let key =
        rig.json(&["key", "generate", "web", "--algorithm", "p256", "--policy", "token-only", "--token", "annex"]);

    assert_eq!((&key["token"], &key["enforcement"]), (&json!("annex"), &json!("token")));
    assert_eq!(rig.all_objects(), before);
    rig.assert_signs("web", &rig.public_key("web"));
    rig.json(&["cert", "self-sign", "web", "--subject", "CN=web", "--out", &rig.file("web.crt")]);
    assert_eq!(rig.json(&["token", "show", "annex"])["keys"]["present"], 1);
    assert_eq!(rig.json(&["token", "show"])["keys"]["present"], 2);
    assert_eq!(rig.json(&["key", "destroy", "web", "--yes"])["objects"], 3);
}

#[test]
fn keks_are_in_the_instances_own_token_so_a_key_of_another_one_is_token_only() {
    let rig = Rig::new();
    rig.further_token("annex");

    let generate = ["key", "generate", "web", "--algorithm", "p256", "--token", "annex"];
    let problem = rig.refused(&generate, 6, "kek-missing");

    assert!(problem["detail"].as_str().unwrap().contains("`annex` has no KEKs, which are in `keyward`"), "{problem}");
    rig.refused(&["key", "generate", "web", "--algorithm", "p256", "--token", "attic"], 5, "token-unknown");
    rig.key("web", "p256", "backup-only");
    rig.json(&["key", "generate", "kept", "--algorithm", "p256", "--policy", "token-only", "--token", "annex"]);
    assert_eq!(rig.json(&["backup", "run"])["state"], "green");
}

#[test]
fn two_tokens_of_one_label_are_refused_by_the_settings() {
    let rig = Rig::new();
    rig.further_token("annex");
    let settings = rig.directory().join("keyward.toml");
    let twice = fs::read_to_string(&settings).unwrap().replace("label = \"annex\"", "label = \"keyward\"");
    fs::write(&settings, twice).unwrap();

    let ended = rig.keyward(&["key", "list"]);

    assert_eq!(ended.code, 3);
    assert!(ended.stderr.contains("two tokens have the label `keyward`"), "{}", ended.stderr);
}

#[test]
fn a_token_that_is_pulled_makes_its_own_keys_absent_and_they_come_back_by_themselves() {
    let rig = Rig::new();
    rig.further_token("annex");
    rig.key("home", "p256", "backup-only");
    rig.json(&["key", "generate", "away", "--algorithm", "p256", "--policy", "token-only", "--token", "annex"]);
    let public_keys = [rig.public_key("home"), rig.public_key("away")];
    let service = Service::start(&rig);
    rig.assert_signs("away", &public_keys[1]);
    let (plugged, pulled) = (rig.path("annex/tokens"), rig.path("annex/pulled"));

    fs::rename(&plugged, &pulled).unwrap();
    let sign = ["key", "sign", "away", "--in", &rig.write("m", "m"), "--out", &rig.file("m.sig")];
    rig.refused(&sign, 8, "token-absent");
    wait_for_presence(&rig, "token-absent");

    rig.assert_signs("home", &public_keys[0]);
    assert_eq!(rig.json(&["key", "show", "home"])["presence"], "present");
    let (status, ready) = service.at_socket(&[], "/readyz");
    assert_eq!((status, &ready["status"]), (200, &json!("ready")), "{ready}");
    assert_eq!(ready["tokens"][1], json!({ "label": "annex", "ready": false, "code": "token-absent" }));
    assert_eq!(states(&rig), [("keyward".to_owned(), json!(null)), ("annex".to_owned(), json!("token-absent"))]);

    fs::rename(&pulled, &plugged).unwrap();
    wait_for_presence(&rig, "present");
    rig.assert_signs("away", &public_keys[1]);
    assert_eq!(states(&rig)[1].1, json!(null));
    assert!(service.stop().success());
}

#[test]
fn a_token_that_comes_back_with_another_key_under_the_same_id_does_not_sign_with_it() {
    let rig = Rig::new();
    let conf = rig.further_token("annex");
    let generate = ["key", "generate", "away", "--algorithm", "p256", "--policy", "token-only", "--token", "annex"];
    let id = rig.json(&generate)["id"].as_str().unwrap().replace('-', "");
    let service = Service::start(&rig);
    rig.assert_signs("away", &rig.public_key("away"));
    let (plugged, pulled) = (rig.path("annex/tokens"), rig.path("annex/pulled"));
    fs::rename(&plugged, &pulled).unwrap();
    let sign = ["key", "sign", "away", "--in", &rig.write("m", "m"), "--out", &rig.file("m.sig")];
    rig.refused(&sign, 8, "token-absent");

    replace(&conf, &pulled, &plugged, &id);
    wait_for_presence(&rig, "missing");

    rig.refused(&sign, 6, "key-mismatch");
    assert_eq!(rig.json(&["token", "show", "annex"])["keys"]["replaced"], json!(["away"]));
    drop(service);
}

/// The code of each token's problem, by label.
fn states(rig: &Rig) -> Vec<(String, Value)> {
    let tokens = rig.json(&["token", "list"]);
    let state = |token: &Value| (token["label"].as_str().unwrap().to_owned(), token["problem"]["code"].clone());
    tokens["items"].as_array().unwrap().iter().map(state).collect()
}

/// Waits until the service has noticed what became of the key `away`.
#[track_caller]
fn wait_for_presence(rig: &Rig, wanted: &str) {
    let mut seen = Value::Null;
    for _ in 0..1_000 {
        seen = rig.json(&["key", "show", "away"])["presence"].clone();
        if seen == wanted {
            return;
        }
    }
    panic!("the presence stays {seen}");
}

/// Plugs the token in again, with another key pair in the place of the one with this id.
fn replace(conf: &Path, pulled: &Path, plugged: &Path, id: &str) {
    use crate::support::run;
    use std::process::Command;
    fs::rename(pulled, plugged).unwrap();
    let base = ["--module", "/usr/lib/softhsm/libsofthsm2.so", "--login", "--pin", "123456", "--token-label", "annex"];
    let tool = |arguments: &[&str]| {
        run(Command::new("pkcs11-tool").args(base).args(arguments).env("SOFTHSM2_CONF", conf)).succeeded();
    };
    tool(&["--delete-object", "--type", "privkey", "--id", id]);
    tool(&["--delete-object", "--type", "pubkey", "--id", id]);
    tool(&["--keypairgen", "--key-type", "EC:prime256v1", "--id", id, "--label", "away"]);
}
