//! One instance, one process; and a directory without an instance.

use crate::support::{Rig, keyward, run};
use std::fs::File;

#[test]
fn an_instance_that_another_process_works_with_is_refused_until_it_is_free() {
    let rig = Rig::new();
    let lock = File::options().write(true).open(rig.directory().join("keyward.lock")).unwrap();
    lock.try_lock().unwrap();

    for arguments in [&["key", "list"][..], &["key", "generate", "web", "--algorithm", "p256"], &["status"]] {
        let problem = rig.refused(arguments, 7, "instance-in-use");
        assert!(problem["detail"].as_str().unwrap().contains(rig.directory().to_str().unwrap()), "{problem}");
    }
    drop(lock);

    assert_eq!(rig.json(&["key", "list"])["items"].as_array().unwrap().len(), 2);
}

#[test]
fn a_directory_without_an_instance_is_refused_and_stays_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let empty = home.path().to_str().unwrap();
    let missing = home.path().join("missing");

    for directory in [empty, missing.to_str().unwrap()] {
        for command in [&["key", "list"][..], &["status"], &["doctor"], &["backup", "list"]] {
            let ended = run(keyward().args(["-o", "json", "--dir", directory]).args(command));

            let problem = ended.json();
            assert_eq!((ended.code, problem["code"].as_str()), (5, Some("instance-missing")), "{command:?}");
            assert!(problem["detail"].as_str().unwrap().contains(directory), "{problem}");
            assert!(problem["advice"].as_str().unwrap().contains("keyward init"), "{problem}");
        }
    }
    assert_eq!(home.path().read_dir().unwrap().count(), 0);
}
