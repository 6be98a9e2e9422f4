//! What the worker's process shows to the rest of the machine.

use crate::support::Rig;
use std::{
    fs,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{MetadataExt as _, PermissionsExt as _},
            net::UnixStream,
            process::CommandExt as _,
        },
    },
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A worker that has hardened itself and waits for its first request.
fn waiting_worker(uid: u32) -> (tempfile::TempDir, Child, UnixStream) {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let executable = home.path().join("keyward");
    fs::copy(env!("CARGO_BIN_EXE_keyward"), &executable).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new(executable);
    command.arg("token-worker").env_clear().stdin(Stdio::from(OwnedFd::from(theirs))).uid(uid);
    (home, command.spawn().unwrap(), ours)
}

/// What is to be expected of a process that starts beside us.
fn within_ten_seconds(mut holds: impl FnMut() -> bool) -> bool {
    let polls = 1_000;
    (0..polls).any(|_| {
        holds() || {
            std::thread::sleep(Duration::from_millis(10));
            false
        }
    })
}

/// The kernel gives the files of a process that forbids dumps and ptrace to root, whoever runs it.
#[test]
fn a_worker_forbids_core_dumps_and_being_traced() {
    let own = fs::metadata("/proc/self").unwrap().uid();
    // Root's processes belong to root anyway, so that only another user shows the difference.
    let uid = if own == 0 { 65_534 } else { own };
    let (_home, mut worker, socket) = waiting_worker(uid);
    let file = |name: &str| format!("/proc/{}/{name}", worker.id());

    let hardened = within_ten_seconds(|| fs::metadata(file("environ")).is_ok_and(|environ| environ.uid() == 0));
    let limits = fs::read_to_string(file("limits")).unwrap();
    drop(socket);

    assert!(hardened, "the files of the worker in /proc belong to the user who runs it");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..], ["0", "0", "bytes"]);
    assert_eq!(worker.wait().unwrap().code(), Some(0), "the end of its socket is the end of a worker");
}

#[tokio::test]
async fn a_workers_environment_and_arguments_hold_no_secret() {
    let rig = Rig::new();
    let settings = rig.token_settings(1);
    let executable = settings.executable.to_str().unwrap().to_owned();
    let token = keyward::token::Token::new(settings, None);
    token.describe().await.unwrap();

    let worker = super::faults::worker(rig.path("worker").as_path()).unwrap().as_raw_pid();
    let arguments = fs::read(format!("/proc/{worker}/cmdline")).unwrap();
    // Only root may read it; where the tests run as another user, nobody of this user can.
    let environment = fs::read(format!("/proc/{worker}/environ"));
    token.close().await;

    assert_eq!(arguments, format!("{executable}\0token-worker\0").as_bytes());
    if let Ok(environment) = environment {
        let conf = rig.directory().join("softhsm/softhsm2.conf");
        assert_eq!(environment, format!("SOFTHSM2_CONF={}\0", conf.display()).as_bytes());
    }
}
