//! The command line beside a running service, at its socket.

use super::everything::assert_same_in_process;
use crate::support::{Rig, keyward, run, service::Service};
use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    process::Stdio,
};

#[test]
fn every_command_answers_at_the_socket_as_it_does_in_process() {
    let served = Rig::new();
    let _service = Service::start(&served);

    assert_same_in_process(&served, |arguments| served.keyward(arguments));

    assert_eq!(served.json(&["status"])["directory"], served.directory().to_str().unwrap());
}

#[test]
fn a_service_is_reached_through_a_path_that_no_socket_address_could_hold() {
    let rig = Rig::new();
    let _service = Service::start(&rig);
    let deep = rig.path(&"a-rather-long-name-of-a-directory-".repeat(5));
    symlink(rig.directory(), &deep).unwrap();
    assert!(deep.as_os_str().len() > 108);

    // The service has the lock, so nothing but the socket can answer.
    run(keyward().arg("--dir").arg(&deep).arg("status")).succeeded();
}

#[test]
fn after_a_service_was_killed_the_next_command_works_in_process() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    rig.key("web", "p256", "token-only");
    let socket = service.socket().to_owned();

    service.kill();

    assert!(socket.exists());
    assert_eq!(rig.json(&["key", "show", "web"])["presence"], "present");
    assert_eq!(Service::start(&rig).stop().code(), Some(0));
}

#[test]
fn an_instance_that_is_held_while_nobody_listens_is_in_use() {
    let rig = Rig::new();
    let lock = File::open(rig.directory().join("keyward.lock")).unwrap();
    lock.try_lock().unwrap();

    let problem = rig.refused(&["status"], 7, "instance-in-use");

    assert!(problem["advice"].as_str().unwrap().contains("a service that is just starting"), "{problem}");
    lock.unlock().unwrap();
    rig.json(&["status"]);
}

#[test]
fn what_a_route_does_not_take_is_refused_whole_and_what_it_takes_may_be_large() {
    let rig = Rig::new();
    rig.key("signer", "ed25519", "token-only");
    let _service = Service::start(&rig);
    let sized = |name: &str, size: u64| {
        File::create(rig.path(name)).unwrap().set_len(size).unwrap();
        rig.file(name)
    };
    let (message, archive, more) = (sized("message", 9 << 20), sized("archive", 64 << 20), sized("more", 257 << 20));
    let out = rig.file("out");

    rig.refused(&["key", "sign", "signer", "--in", &message, "--out", &out], 3, "request-too-large");
    rig.refused(&["backup", "drill", &archive], 3, "archive-invalid");
    rig.refused(&["backup", "drill", &more], 3, "request-too-large");

    assert!(!fs::exists(&out).unwrap());
}

#[test]
fn a_closed_pipe_ends_no_command_of_a_service_early() {
    let rig = Rig::new();
    let _service = Service::start(&rig);

    let mut child = rig.command(&["backup", "run"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();

    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(rig.json(&["backup", "list"])["items"][0]["sequence"], 1);
}
