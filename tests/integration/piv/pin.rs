//! The PIN: a wrong one is sent once, the last try never, and the right one again whenever the card forgot it.

use super::{generate, rig_with_card, sign};
use crate::support::service::Service;
use std::fs;

#[test]
fn a_wrong_pin_is_given_to_the_card_once_and_the_tries_left_are_said() {
    let (rig, cards) = rig_with_card("5.7.1");
    generate(&rig, "web", "p256", &[]);
    fs::write(rig.path("yk.pin"), "654321\n").unwrap();
    let before = cards.pins_given(1000);

    let first = sign(&rig, "web");
    let second = sign(&rig, "web");

    assert_eq!(cards.pins_given(1000), before + 1);
    assert!(first.stderr.contains("SW 63C2, 2 tries left"), "{}", first.stderr);
    assert!(second.stderr.contains("(pin-refused"), "{}", second.stderr);
    fs::write(rig.path("yk.pin"), "123456\n").unwrap();
    sign(&rig, "web").succeeded();
}

#[test]
fn the_last_try_of_a_card_is_never_used() {
    let (rig, cards) = rig_with_card("5.4.3");
    generate(&rig, "web", "p256", &[]);
    for wrong in ["111111", "222222"] {
        let verify = cards.piv_tool(1000, &["-a", "verify-pin", "-P", wrong]);
        assert_ne!(verify.code, 0);
    }
    let before = cards.pins_given(1000);

    let ended = sign(&rig, "web");

    assert!(ended.stderr.contains("(pin-final-try"), "{}", ended.stderr);
    assert_eq!(cards.pins_given(1000), before);
}

#[test]
fn a_card_that_forgot_the_pin_under_another_program_is_given_it_again() {
    let (rig, cards) = rig_with_card("5.7.1");
    generate(&rig, "web", "p256", &[]);
    let _service = Service::start(&rig);
    sign(&rig, "web").succeeded();
    let before = cards.pins_given(1000);

    // It selects the application, and resets the card at its end.
    cards.piv_tool(1000, &["-a", "status"]).succeeded();

    sign(&rig, "web").succeeded();
    assert_eq!(cards.pins_given(1000), before + 1);
    sign(&rig, "web").succeeded();
    assert_eq!(cards.pins_given(1000), before + 1);
}

#[test]
fn a_key_that_wants_the_pin_for_each_use_is_given_it_for_each_use() {
    let (rig, cards) = rig_with_card("5.7.1");
    generate(&rig, "code", "p256", &["--purpose", "signing"]);
    let _service = Service::start(&rig);
    sign(&rig, "code").succeeded();
    let before = cards.pins_given(1000);

    sign(&rig, "code").succeeded();
    sign(&rig, "code").succeeded();

    assert_eq!(cards.pins_given(1000), before + 2);
}

#[test]
fn a_pin_that_is_changed_is_the_cards_from_then_on() {
    let (rig, cards) = rig_with_card("5.7.1");
    generate(&rig, "web", "p256", &[]);
    let new = rig.write("new-pin", "87654321\n");
    fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();

    let short = rig.write("short-pin", "12345\n");
    fs::set_permissions(&short, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    rig.refused(&["token", "change-pin", "yk", "--new-pin-file", &short], 3, "pin-unsuitable");
    rig.json(&["token", "change-pin", "yk", "--new-pin-file", &new]);

    sign(&rig, "web").succeeded();
    cards.piv_tool(1000, &["-a", "verify-pin", "-P", "87654321"]).succeeded();
}
