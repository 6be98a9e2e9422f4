//! The Debian package: the same each time, without a fault that Debian's own check finds, and installed.

use super::source;
use crate::support::{Ended, openssl, run};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;
use std::{
    fs::{self, Permissions},
    io::{BufRead as _, BufReader},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        net::UnixDatagram,
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// A directory that other users may enter.
fn open_directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    directory
}

/// The package of the program under test.
fn package(out: &Path) -> PathBuf {
    let mut command = Command::new(source("scripts/package"));
    command.args(["--binary", env!("CARGO_BIN_EXE_keyward"), "--out"]).arg(out);
    // A test does not wait for the smallest file.
    command.env("DPKG_DEB_COMPRESSOR_TYPE", "gzip").env("DPKG_DEB_COMPRESSOR_LEVEL", "1");
    PathBuf::from(run(command.env("SOURCE_DATE_EPOCH", "1700000000")).succeeded().stdout.trim())
}

fn unpacked(package: &Path, root: &Path) {
    run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(root)).succeeded();
}

/// Programs that need root, also where the tests run as another user.
fn as_root(program: impl AsRef<Path>) -> Command {
    if geteuid().is_root() {
        return Command::new(program.as_ref());
    }
    let mut command = Command::new("sudo");
    command.arg("--non-interactive").arg(program.as_ref());
    command
}

#[test]
fn the_same_program_gives_the_same_package() {
    let (first, second) = (open_directory(), open_directory());

    let (one, other) = (package(first.path()), package(second.path()));

    assert!(fs::read(one).unwrap() == fs::read(other).unwrap(), "two packages of one program differ");
}

#[test]
fn lintian_finds_no_fault() {
    let directory = open_directory();
    let package = package(directory.path());

    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0"]);
    let found = run(lintian.arg(package)).succeeded();

    assert_eq!(found.stdout, "");
}

#[test]
fn every_command_has_a_page_and_every_shell_its_completions() {
    let directory = open_directory();
    let root = directory.path().join("root");

    unpacked(&package(directory.path()), &root);

    let pages = fs::read_dir(root.join("usr/share/man/man1")).unwrap().count();
    assert!(pages > 35, "{pages}");
    for file in [
        "usr/share/man/man1/keyward-key-sign.1.gz",
        "usr/share/bash-completion/completions/keyward",
        "usr/share/fish/vendor_completions.d/keyward.fish",
        "usr/share/zsh/vendor-completions/_keyward",
        "usr/share/doc/keyward/copyright",
    ] {
        assert!(root.join(file).exists(), "{file}");
    }
    let example = fs::read_to_string(root.join("usr/share/doc/keyward/examples/keyward.toml")).unwrap();
    let instance = directory.path().join("instance");
    fs::create_dir(&instance).unwrap();
    fs::write(instance.join("keyward.toml"), example).unwrap();
    keyward::app::settings::Settings::read(&instance).unwrap();
}

/// A root directory with what the package's scripts call, and the package installed in it.
fn install(package: &Path, root: &Path, programs: &[&str]) {
    let minimal_root = source("tests/integration/package/minimal-root.sh");
    run(as_root(minimal_root).arg(root).args(["sh", "cat", "install", "rmdir"]).args(programs)).succeeded();
    dpkg(root, &["--install", package.to_str().unwrap()]);
}

/// What the package depends on is there, but not as packages.
fn dpkg(root: &Path, arguments: &[&str]) -> Ended {
    let mut command = as_root("dpkg");
    run(command.arg("--root").arg(root).arg("--force-depends").args(arguments)).succeeded()
}

#[test]
fn installing_makes_the_user_and_its_directory_and_purging_keeps_keys() {
    let directory = open_directory();
    let package = package(directory.path());
    for programs in [&["systemd-sysusers"][..], &["useradd", "getent"]] {
        let root = directory.path().join(programs[0]);
        install(&package, &root, programs);
        let state = root.join("var/lib/keyward");
        let user = || {
            let users = fs::read_to_string(root.join("etc/passwd")).unwrap();
            let user = users.lines().find(|line| line.starts_with("keyward:")).unwrap().to_owned();
            user.split(':').map(str::to_owned).collect::<Vec<_>>()
        };

        let made = fs::metadata(&state).unwrap();
        assert_eq!(user()[5..], ["/var/lib/keyward", "/usr/sbin/nologin"]);
        assert_eq!((made.mode() & 0o7777, made.uid().to_string()), (0o700, user()[2].clone()));

        run(as_root("sh").args(["-c", "echo key >$0/keyward.db"]).arg(&state)).succeeded();
        let purged = dpkg(&root, &["--purge", "keyward"]);
        assert!(purged.stderr.contains("never destroys keys"), "{purged:?}");
        assert_eq!(run(as_root("cat").arg(state.join("keyward.db"))).succeeded().stdout, "key\n");
        assert_eq!(user()[0], "keyward");
        assert!(!root.join("usr/bin/keyward").exists());
    }
}

/// A user of this machine who is not root.
fn user() -> u32 {
    // nobody
    if geteuid().is_root() { 65_534 } else { geteuid().as_raw() }
}

/// A command as the unit starts it: user, umask, and who is told.
fn as_service(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0077; exec \"$0\" \"$@\""]).arg(home.join("root/usr/bin/keyward"));
    command.arg("--dir").arg(home.join("instance")).args(arguments);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("NOTIFY_SOCKET", home.join("notify"));
    if geteuid().is_root() {
        command.uid(user()).gid(user());
    }
    command
}

/// A service that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_packaged_program_makes_an_instance_serves_it_and_ends_in_order() {
    let directory = open_directory();
    let home = directory.path();
    unpacked(&package(home), &home.join("root"));
    let instance = home.join("instance");
    fs::create_dir(&instance).unwrap();
    std::os::unix::fs::chown(&instance, Some(user()), None).unwrap();
    let notifications = UnixDatagram::bind(home.join("notify")).unwrap();
    fs::set_permissions(home.join("notify"), Permissions::from_mode(0o777)).unwrap();
    notifications.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    run(&mut as_service(home, &["init"])).succeeded();
    run(&mut as_service(home, &["key", "generate", "web", "--algorithm", "p256"])).succeeded();
    let public_key = run(&mut as_service(home, &["-o", "json", "key", "show", "web"])).succeeded().json();
    let settings = instance.join("keyward.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(settings, text + "\n[http]\nlisten = \"127.0.0.1:0\"\n").unwrap();

    let mut service = Running(
        as_service(home, &["serve", "-o", "json"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap(),
    );
    let mut line = String::new();
    BufReader::new(service.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let mut told = [0; 64];
    let length = notifications.recv(&mut told).unwrap();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--json", r#"{"messages":["aGVsbG8="]}"#, "--unix-socket"]);
    curl.args([ready["socket"].as_str().unwrap(), "http://localhost/api/v1/keys/web/sign"]).uid(user());
    let signed = run(&mut curl).succeeded().json();
    let process = format!("/proc/{}", service.0.id());
    let owner = fs::metadata(format!("{process}/environ")).unwrap().uid();
    kill_process(Pid::from_child(&service.0), Signal::TERM).unwrap();
    let ended = service.0.wait().unwrap();

    assert_eq!(&told[..length], b"READY=1\n");
    // The kernel gives the files of a process that cannot be dumped or traced to root, whoever runs it.
    assert_eq!(owner, 0);
    assert_eq!(ended.code(), Some(0));
    let file = |name: &str, bytes: &[u8]| {
        fs::write(home.join(name), bytes).unwrap();
        home.join(name).to_str().unwrap().to_owned()
    };
    let key = file("web.pub", public_key["public_key_pem"].as_str().unwrap().as_bytes());
    let message = file("message", b"hello");
    let base64 = file("signature.base64", signed["signatures"][0].as_str().unwrap().as_bytes());
    let signature = home.join("signature").to_str().unwrap().to_owned();
    openssl(&["base64", "-d", "-A", "-in", &base64, "-out", &signature]).succeeded();
    openssl(&["dgst", "-sha256", "-verify", &key, "-signature", &signature, &message]).succeeded();
    assert_open_to_nobody(&instance);
}

/// Nothing in the instance may be read by others.
fn assert_open_to_nobody(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let metadata = entry.metadata().unwrap();
        assert_eq!(metadata.mode() & 0o077, 0, "{}", entry.path().display());
        if metadata.is_dir() {
            assert_open_to_nobody(&entry.path());
        }
    }
}
