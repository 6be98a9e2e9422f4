//! A new PIN for a token: who serves goes on, and a kill at any point leaves the PIN that the token has.

use super::{
    faults::{children, worker},
    sources::set_source,
};
use crate::support::{Rig, service::Service};
use keyward::{base::secret::Secret, token::Token};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Stdio};
use tokio::task::yield_now;

const NEW: &str = "a-new-pin-of-the-test";

fn beside(rig: &Rig) -> PathBuf {
    rig.directory().join("softhsm/pin.new")
}

/// Puts a PIN where only this user reads it.
fn put(path: &PathBuf, pin: &str) {
    fs::write(path, pin).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Whether the token takes this PIN.
fn takes(rig: &Rig, pin: &str) -> bool {
    let file = rig.write("a-pin", pin);
    rig.python("token/objects.py", &[&rig.module(), "login", &file]).code == 0
}

fn change(rig: &Rig, new: &str) -> Value {
    rig.json(&["token", "change-pin", "--new-pin-file", &rig.write("new-pin", format!("{new}\n"))])
}

#[test]
fn a_new_pin_goes_into_token_and_pin_file_and_who_serves_goes_on() {
    let rig = Rig::new();
    rig.key("web", "p256", "token-only");
    let service = Service::start(&rig);
    rig.assert_signs("web", &rig.public_key("web"));
    let (old, workers) = (rig.pin(), children(service.pid().as_raw_pid()));

    let answer = change(&rig, NEW);

    assert_eq!((answer["token"].as_str(), answer["stored"].as_bool()), (Some("keyward"), Some(true)));
    assert_eq!(rig.pin(), NEW);
    assert_eq!(fs::metadata(rig.pin_file()).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!beside(&rig).exists());
    rig.assert_signs("web", &rig.public_key("web"));
    assert_eq!(children(service.pid().as_raw_pid()), workers, "the worker was not exchanged");
    kill_process(Pid::from_raw(workers[0]).unwrap(), Signal::KILL).unwrap();
    rig.assert_signs("web", &rig.public_key("web"));
    service.stop();
    rig.assert_signs("web", &rig.public_key("web"));
    assert!(takes(&rig, NEW) && !takes(&rig, &old));
    let records = rig.json(&["audit", "list", "--limit", "1000"]).to_string();
    assert!(records.contains("token.change-pin") && !records.contains(NEW), "{records}");
}

#[test]
fn a_pin_that_the_token_does_not_take_changes_nothing() {
    let rig = Rig::new();
    let old = rig.pin();
    let refused = |pin: &str, exit, code| {
        let file = rig.write("new-pin", pin);
        rig.refused(&["token", "change-pin", "--new-pin-file", &file], exit, code)
    };

    let short = refused("12", 3, "pin-unsuitable");

    assert!(short["detail"].as_str().unwrap().contains("it has 2 bytes, and the token takes 4 to 255"), "{short}");
    assert!(!beside(&rig).exists());
    assert_eq!(rig.pin(), old);
    rig.key("web", "p256", "token-only");
}

#[test]
fn a_change_that_was_killed_before_the_token_changed_leaves_the_old_pin() {
    let rig = Rig::new();
    let old = rig.pin();
    put(&beside(&rig), NEW);

    rig.key("web", "p256", "token-only");

    assert_eq!(rig.pin(), old);
    assert!(!beside(&rig).exists());
}

#[test]
fn a_change_that_was_killed_after_the_token_changed_is_brought_to_its_end_with_one_wrong_try() {
    let rig = Rig::new();
    put(&beside(&rig), NEW);
    rig.pkcs11_as_user("set-pin", &[NEW]);

    rig.key("web", "p256", "token-only");

    assert_eq!(rig.pin(), NEW);
    assert!(!beside(&rig).exists());
    assert!(!rig.directory().join("pin-refused").exists());
    rig.key("other", "p256", "token-only");
}

#[test]
fn two_pins_of_which_the_token_takes_neither_are_each_sent_once() {
    let rig = Rig::new();
    put(&beside(&rig), "0001");
    rig.pkcs11_as_user("set-pin", &[NEW]);
    let generate = ["key", "generate", "web", "--algorithm", "p256"];

    rig.refused(&generate, 7, "pin-refused");
    // The flag says whether a wrong PIN came since.
    assert!(takes(&rig, NEW));
    let again = rig.refused(&generate, 7, "pin-refused");

    assert!(again["detail"].as_str().unwrap().contains("not sent again"), "{again}");
    assert!(!rig.pkcs11(&["flags"]).as_array().unwrap().contains(&json!("CKF_USER_PIN_COUNT_LOW")));
    put(&rig.pin_file(), NEW);
    rig.json(&generate);
    assert!(!beside(&rig).exists());
}

#[test]
fn a_kill_while_the_pin_is_changed_leaves_a_rig_that_works() {
    let rig = Rig::new();
    rig.key("web", "p256", "token-only");
    let public_key = rig.public_key("web");
    for round in 0..4 {
        let new = rig.write("new-pin", format!("pin-of-round-{round}"));
        let mut command = rig.command(&["token", "change-pin", "--new-pin-file", &new]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // From here on the token may have either.
        while !beside(&rig).exists() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let _ = child.kill();
        child.wait().unwrap();

        rig.assert_signs("web", &public_key);

        assert!(!beside(&rig).exists());
        assert!(takes(&rig, &rig.pin()), "round {round}");
    }
}

#[tokio::test]
async fn a_worker_that_dies_while_it_changes_the_pin_leaves_the_answer_true() {
    let rig = Rig::new();
    let settings = rig.token_settings(1);
    let executable = settings.executable.clone();
    let token = Token::new(settings, None);
    for round in 0..4 {
        token.describe().await.unwrap();
        let before = rig.pin();
        let new = format!("pin-of-round-{round}");
        let changing = token.change_pin(Secret::new(new.clone().into_bytes()));
        let killing = async {
            while !beside(&rig).exists() && rig.pin() == before {
                yield_now().await;
            }
            if let Some(worker) = worker(&executable) {
                // One that has ended already is as dead.
                let _ = kill_process(worker, Signal::KILL);
            }
        };

        let (changed, ()) = tokio::join!(changing, killing);

        assert_eq!(rig.pin(), if changed.is_ok() { new } else { before }, "{changed:?}");
        token.describe().await.unwrap();
        assert!(takes(&rig, &rig.pin()) && !beside(&rig).exists(), "{changed:?}");
    }
    token.close().await;
}

#[test]
fn a_source_that_keyward_cannot_write_is_named_and_the_service_goes_on_with_the_new_pin() {
    let rig = Rig::new();
    rig.key("web", "p256", "token-only");
    let source = format!("pin_command = [\"/bin/cat\", {:?}]", rig.pin_file());
    set_source(&rig, &source);
    let service = Service::start(&rig);

    let answer = change(&rig, NEW);
    for worker in children(service.pid().as_raw_pid()) {
        kill_process(Pid::from_raw(worker).unwrap(), Signal::KILL).unwrap();
    }
    rig.assert_signs("web", &rig.public_key("web"));

    assert_eq!((answer["source"].as_str(), answer["stored"].as_bool()), (Some("the command /bin/cat"), Some(false)));
    service.stop();
    rig.refused(&["key", "destroy", "web", "--yes"], 7, "pin-refused");
    put(&rig.pin_file(), NEW);
    rig.assert_signs("web", &rig.public_key("web"));
}
