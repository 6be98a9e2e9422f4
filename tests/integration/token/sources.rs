//! Where a PIN can come from: a descriptor, a program, a person at the terminal.

use super::faults::children;
use crate::support::{
    Rig, run,
    service::{Service, set_http},
};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

const GENERATE: [&str; 5] = ["key", "generate", "web", "--algorithm", "p256"];

/// Names another source of the PIN than the rig's file, which stays where it is.
pub(super) fn set_source(rig: &Rig, source: &str) {
    let settings = rig.directory().join("keyward.toml");
    let text = fs::read_to_string(&settings).unwrap();
    assert!(text.contains("pin_file = \"softhsm/pin\""), "{text}");
    fs::write(&settings, text.replace("pin_file = \"softhsm/pin\"", source)).unwrap();
}

/// The command behind a shell that opens descriptors for it.
fn behind_shell(command: &Command, descriptors: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec \"$0\" \"$@\" {descriptors}")]);
    shell.arg(command.get_program()).args(command.get_args()).env("NO_COLOR", "1");
    shell
}

/// The files that a process has open.
fn open_files(pid: i32) -> Vec<PathBuf> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok()).collect()
}

/// A program of the test's.
fn program(rig: &Rig, script: &str) -> String {
    let path = rig.write("pin-program", format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_pin_that_came_through_a_descriptor_serves_every_worker_and_no_process_has_it_open() {
    let rig = Rig::new();
    let key = rig.key("web", "p256", "token-only");
    set_source(&rig, "pin_fd = 7");
    set_http(&rig, "");
    let pin = rig.write("pin-for-the-service", rig.pin());

    let service = Service::spawn(&rig, behind_shell(&rig.command(&["serve", "-o", "json"]), &format!("7<{pin}")));
    let parent = service.pid().as_raw_pid();
    rig.assert_signs("web", &rig.public_key("web"));
    let first = children(parent);
    let open: Vec<_> = [&first[..], &[parent]].concat().into_iter().flat_map(open_files).collect();
    rustix::process::kill_process(rustix::process::Pid::from_raw(first[0]).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
    rig.assert_signs("web", &rig.public_key("web"));

    assert_eq!((first.len(), key["presence"].as_str()), (1, Some("present")));
    assert!(!open.is_empty() && !open.contains(&PathBuf::from(&pin)), "{open:?}");
    assert_ne!(children(parent), first);
}

#[test]
fn a_descriptor_that_nobody_has_opened_is_no_pin_although_keyward_opens_files_of_its_own() {
    let rig = Rig::new();
    for number in 3..10 {
        let settings = rig.directory().join("keyward.toml");
        let text = fs::read_to_string(&settings).unwrap();
        let source = text.lines().find(|line| line.starts_with("pin_f")).unwrap().to_owned();
        fs::write(&settings, text.replace(&source, &format!("pin_fd = {number}"))).unwrap();

        // What the test's own process was started with is not for keyward.
        let closed = "3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-";
        let ended = run(&mut behind_shell(rig.command(&["-o", "json"]).args(GENERATE), closed));

        let problem = ended.json();
        assert_eq!((ended.code, problem["code"].as_str()), (7, Some("pin-unreadable")));
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains(&format!("descriptor {number}")) && detail.contains("was not started with it"),
            "{detail}"
        );
    }
    assert_eq!(rig.json(&["key", "list"])["items"].as_array().unwrap().len(), 2);
}

#[test]
fn a_program_prints_the_pin_and_what_it_says_goes_to_the_log_without_it() {
    let rig = Rig::new();
    let pin_file = rig.pin_file();
    let path = program(&rig, &format!("cat {0}; echo \"it is $(cat {0}), $1, $2\" >&2", pin_file.display()));
    set_source(&rig, &format!("pin_command = [{path:?}, \"$HOME;id\", \"two words\"]"));

    let generated = run(rig.command(&GENERATE).env("KEYWARD_LOG", "warn")).succeeded();

    assert!(generated.stderr.contains("it is [PIN], $HOME;id, two words"), "{}", generated.stderr);
    assert!(!generated.stderr.contains(&rig.pin()), "{}", generated.stderr);
}

#[test]
fn a_program_that_fails_or_that_others_can_write_gives_no_pin_and_nothing_is_sent() {
    let rig = Rig::new();
    let path = program(&rig, "echo 0000; exit 3");
    set_source(&rig, &format!("pin_command = [{path:?}]"));

    let failed = rig.refused(&GENERATE, 7, "pin-unreadable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o757)).unwrap();
    let open = rig.refused(&GENERATE, 7, "pin-unreadable");
    fs::remove_file(&path).unwrap();
    let gone = rig.refused(&GENERATE, 7, "pin-unreadable");

    let detail = |problem: &serde_json::Value| problem["detail"].as_str().unwrap().to_owned();
    assert!(detail(&failed).contains(&path) && detail(&failed).contains("exit status: 3"), "{failed}");
    assert!(detail(&open).contains("mode 0757, other users can write it"), "{open}");
    assert!(detail(&gone).contains("No such file"), "{gone}");
    assert_eq!(rig.pkcs11(&["flags"]).to_string().matches("COUNT_LOW").count(), 0);
}

#[test]
fn without_a_service_a_command_asks_the_person_at_its_terminal_and_only_if_it_needs_the_token() {
    let rig = Rig::new();
    set_source(&rig, "pin_prompt = true");
    let binary = env!("CARGO_BIN_EXE_keyward");
    let directory = rig.directory();
    let at_terminal = |prompt: &str, command: &[&str]| {
        let pin = rig.pin();
        let mut all = vec![prompt, &pin, binary, "--dir", directory.to_str().unwrap()];
        all.extend(command);
        rig.python("token/terminal.py", &all)
    };

    let listed = at_terminal("", &["key", "list"]).succeeded();
    let generated = at_terminal("PIN of token keyward: ", &GENERATE).succeeded();
    let elsewhere = rig.refused(&["key", "destroy", "web", "--yes"], 7, "token-sealed");

    assert!(!listed.stdout.contains("PIN"), "{}", listed.stdout);
    assert!(!generated.stdout.contains(&rig.pin()), "{}", generated.stdout);
    assert_eq!(generated.stdout.matches("PIN of token").count(), 1, "{}", generated.stdout);
    assert!(elsewhere["advice"].as_str().unwrap().contains("keyward token unlock"), "{elsewhere}");
    assert!(Path::new(&rig.public_key("web")).exists());
}
