//! A key that waits for a finger: whoever waits for the key is told.

use super::{cards::Cards, generate, rig_with_card};
use crate::support::Rig;
use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStderr, Stdio},
};

#[test]
fn whoever_signs_is_told_to_touch_the_yubikey_and_has_the_signature_then() {
    let (rig, cards) = rig_with_card("5.7.1");
    generate(&rig, "web", "p256", &["--touch-policy", "always"]);
    let (mut waiting, _errors) = signing_until_touch(&rig);

    cards.touch(1000);

    assert!(waiting.wait().unwrap().success());
}

#[test]
fn a_touch_that_does_not_come_is_said_so() {
    let (rig, cards) = rig_with_card("5.4.3");
    generate(&rig, "web", "p256", &["--touch-policy", "cached"]);
    let (mut waiting, mut errors) = signing_until_touch(&rig);

    cards.miss_touch(1000);

    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert_eq!(waiting.wait().unwrap().code(), Some(10));
    assert!(rest.contains("was not touched in time") && rest.contains("(touch-missed"), "{rest}");
}

/// Signs, and comes back when the command has said that it waits for a touch.
fn signing_until_touch(rig: &Rig) -> (Child, BufReader<ChildStderr>) {
    let (message, signature) = (rig.write("message", "m"), rig.file("web.sig"));
    let mut command = rig.command(&["key", "sign", "web", "--in", &message, "--out", &signature]);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    assert!(line.starts_with("Waiting for touch: touch the YubiKey") && line.contains("slot 9a"), "{line}");
    (child, errors)
}

#[test]
fn a_key_that_wants_no_touch_is_not_said_to() {
    let (rig, _cards): (Rig, Cards) = rig_with_card("5.7.1");
    generate(&rig, "web", "p256", &[]);

    let ended = super::sign(&rig, "web").succeeded();

    assert!(!ended.stderr.contains("touch"), "{}", ended.stderr);
}
