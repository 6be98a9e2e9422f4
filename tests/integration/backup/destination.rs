//! Destinations that fail while an archive is written.

use super::{archive, column, text};
use crate::support::{Ended, Rig, run};
use serde_json::{Value, json};
use std::{
    fs,
    process::Command,
    time::{Duration, SystemTime},
};

#[test]
fn a_full_disk_fails_the_backup_and_leaves_nothing_half_written() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    archive(&rig);

    // A file system of 8 KiB over the directory, seen by this one command; the archive has more.
    let full = on_mount(&rig, "-o size=8k", "ls -A \"$1\" > \"$2\"");

    assert_failed(&full, "writing");
    assert_eq!(fs::read_to_string(rig.path("listed")).unwrap(), "");
    assert_later_backup_works(&rig, 2);
}

#[test]
fn a_read_only_destination_fails_the_backup() {
    let rig = Rig::new();
    archive(&rig);

    let read_only = on_mount(&rig, "-o ro", "true");

    assert_failed(&read_only, "creating");
    assert_later_backup_works(&rig, 2);
}

#[test]
fn a_destination_below_a_file_fails_the_backup_until_it_is_moved() {
    let rig = Rig::new();
    let settings = rig.directory().join("keyward.toml");
    let (right, file) = (fs::read_to_string(&settings).unwrap(), rig.write("file", "not a directory"));
    let wrong = right.replace("directory = \"backups\"", &format!("directory = \"{file}/backups\""));
    assert_ne!(wrong, right);
    fs::write(&settings, wrong).unwrap();

    let failed = rig.keyward(&["-o", "json", "backup", "run"]);

    assert_failed(&failed, "making");
    assert_eq!(rig.json(&["backup", "list"])["items"], json!([]));
    fs::write(&settings, right).unwrap();
    assert_later_backup_works(&rig, 1);
}

#[test]
fn a_file_that_has_the_name_of_the_archive_is_not_overwritten() {
    let rig = Rig::new();
    let first = archive(&rig);
    let theirs: Vec<_> = (0..60)
        .map(|second| {
            let at = SystemTime::now() + Duration::from_secs(second);
            let date = run(Command::new("date").args(["-u", "+%Y%m%dT%H%M%SZ", "-d", &format!("@{}", seconds(at))]));
            let name = text(&first).replace("-000001.tar", "-000002.tar");
            let stamp = name.rsplit('-').nth(1).unwrap();
            name.replace(stamp, date.succeeded().stdout.trim())
        })
        .collect();
    for name in &theirs {
        fs::write(name, "theirs").unwrap();
    }

    rig.refused(&["backup", "run"], 6, "destination-taken");

    for name in &theirs {
        assert_eq!(fs::read_to_string(name).unwrap(), "theirs");
        fs::remove_file(name).unwrap();
    }
    assert!(no_partial(&rig));
    assert_eq!(rig.json(&["backup", "run"])["sequence"], 2);
}

/// A backup with a file system mounted over the backup directory, in a mount namespace of its own.
fn on_mount(rig: &Rig, options: &str, after: &str) -> Ended {
    let script = format!("mount -t tmpfs {options} none \"$1\"\n\"${{@:3}}\"\ncode=$?\n{after}\nexit $code");
    let (backups, listed) = (rig.directory().join("backups"), rig.file("listed"));
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "bash", "-c", &script, "bash", text(&backups), &listed]);
    let keyward = rig.command(&["-o", "json", "backup", "run"]);
    run(command.arg(keyward.get_program()).args(keyward.get_args()))
}

#[track_caller]
fn assert_failed(ended: &Ended, action: &str) {
    let problem = ended.json();
    assert_eq!((ended.code, &problem["code"]), (10, &json!("destination-failed")), "{ended:?}");
    assert!(problem["detail"].as_str().unwrap().starts_with(action), "{problem}");
}

/// The failure is on record, and the next backup is as if it had not been.
fn assert_later_backup_works(rig: &Rig, sequence: u64) {
    let backup = rig.json(&["backup", "run"]);
    assert_eq!((&backup["state"], &backup["sequence"]), (&json!("green"), &json!(sequence)));
    assert!(no_partial(rig));
    let records = rig.json(&["audit", "list"]);
    let results: Vec<&Value> = records["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|record| record["event"] == "backup.run" && record["phase"] == "result")
        .collect();
    let codes: Vec<_> = results.iter().map(|record| (&record["outcome"], &record["code"])).collect();
    assert!(codes.contains(&(&json!("failed"), &json!("destination-failed"))), "{codes:?}");
    assert_eq!(rig.json(&["audit", "verify"])["valid"], true);
    assert_eq!(column(&rig.json(&["backup", "list"])["items"], "state").len() as u64, sequence);
}

fn no_partial(rig: &Rig) -> bool {
    let backups = fs::read_dir(rig.directory().join("backups")).unwrap();
    backups.map(|entry| entry.unwrap().file_name()).all(|name| name.to_str().unwrap().ends_with(".tar"))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}
