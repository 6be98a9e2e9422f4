//! `docs/api.md` is run as it is written: a reader's commands against a service.

use crate::support::{Rig, run, service::Service};
use std::process::Command;

#[test]
fn the_documented_walk_through_works_from_its_first_line_to_its_last() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let script = rig.write("api.sh", runnable(include_str!("../../../docs/api.md")));
    let reader = rig.path("reader");
    std::fs::create_dir(&reader).unwrap();

    let mut bash = Command::new("bash");
    bash.args(["-eu", "-o", "pipefail", &script]).current_dir(&reader);
    let ended = run(bash.env("DIR", rig.directory()).env("URL", service.url()));

    assert_eq!(ended.code, 0, "stdout: {}\nstderr: {}", ended.stdout, ended.stderr);
    assert!(ended.stdout.matches("Verified OK").count() == 3 && ended.stdout.contains("5 keys"), "{}", ended.stdout);
}

/// The blocks that are marked to be run, in their order.
fn runnable(page: &str) -> String {
    page.split("\n```sh run\n").skip(1).map(|rest| rest.split_once("\n```").unwrap().0.to_owned() + "\n").collect()
}
