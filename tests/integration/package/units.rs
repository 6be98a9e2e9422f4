//! The units, judged by systemd's own programs.

use super::source;
use crate::support::{Ended, run};
use std::{fs, path::Path, process::Command};

/// The units, with a program that is there, and these drop-ins.
fn units(directory: &Path, drop_ins: &[&str]) {
    for name in ["keyward.service", "keyward.socket"] {
        let unit = fs::read_to_string(source("packaging/debian").join(name)).unwrap();
        let unit = unit.replace("/usr/bin/keyward", env!("CARGO_BIN_EXE_keyward"));
        fs::write(directory.join(name), unit).unwrap();
    }
    let target = directory.join("keyward.service.d");
    fs::create_dir(&target).unwrap();
    for name in drop_ins {
        fs::copy(source("packaging/debian/examples").join(name), target.join(name)).unwrap();
    }
}

fn analyze(arguments: &[&str], unit: &Path) -> Ended {
    run(Command::new("systemd-analyze").args(arguments).arg(unit)).succeeded()
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units_and_the_drop_ins() {
    for drop_ins in [&[][..], &["backup-directory.conf", "usb-token.conf"]] {
        let directory = tempfile::tempdir().unwrap();
        units(directory.path(), drop_ins);

        for unit in ["keyward.service", "keyward.socket"] {
            let verified = analyze(&["verify", "--man=no"], &directory.path().join(unit));

            // A line that it cannot read is said, and no failure.
            assert_eq!(verified.stderr, "", "{unit} with {drop_ins:?}");
        }
    }
}

/// systemd's own measure: from 0, shut off from everything, to 10. systemd 252 says 1.2, most of it for the network.
#[test]
fn the_service_is_exposed_to_at_most_a_fifth_of_what_it_could_be() {
    let directory = tempfile::tempdir().unwrap();
    units(directory.path(), &[]);

    let arguments = ["security", "--offline=true", "--threshold=20", "--no-pager"];
    let judged = analyze(&arguments, &directory.path().join("keyward.service"));

    assert!(judged.stdout.contains("Overall exposure level"), "{judged:?}");
}
