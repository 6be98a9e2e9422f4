//! The service as systemd starts it, without systemd: sockets, notifications, credentials, limits.

use crate::support::{
    Rig,
    service::{Service, set_http},
};
use rustix::process::Signal;
use std::{
    fs,
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
    time::Duration,
};

/// Where systemd would hear of the service.
fn listener_of_notifications(rig: &Rig) -> UnixDatagram {
    let socket = UnixDatagram::bind(rig.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket
}

fn next(socket: &UnixDatagram) -> String {
    let mut text = [0; 1_024];
    let length = socket.recv(&mut text).unwrap();
    String::from_utf8_lossy(&text[..length]).into_owned()
}

#[test]
fn the_service_tells_systemd_of_start_reload_and_stop() {
    let rig = Rig::new();
    set_http(&rig, "");
    let notifications = listener_of_notifications(&rig);
    let mut command = rig.command(&["serve", "-o", "json"]);
    command.env("NOTIFY_SOCKET", rig.path("notify"));

    let service = Service::spawn(&rig, command);
    assert_eq!(next(&notifications), "READY=1\n");

    service.signal(Signal::HUP);
    let reloading = next(&notifications);
    let since_boot = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().trim_end();
    assert!(since_boot.parse::<u64>().unwrap() > 0, "{reloading}");
    assert_eq!(next(&notifications), "READY=1\n");

    assert_eq!(service.stop().code(), Some(0));
    assert_eq!(next(&notifications), "STOPPING=1\n");
}

#[test]
fn sockets_of_systemd_are_served_and_named_and_stay() {
    let rig = Rig::new();
    // Where the packaged unit has it, and elsewhere.
    for theirs in [rig.directory().join("keyward.sock"), rig.path("systemd.sock")] {
        let mut command = Command::new("python3");
        command.arg(super::source("tests/integration/package/activate.py")).arg(&theirs);
        let serve = rig.command(&["serve", "-o", "json"]);
        command.arg(serve.get_program()).args(serve.get_args());

        let service = Service::spawn(&rig, command);

        assert_eq!(service.socket(), theirs);
        assert_ne!(service.address(), "127.0.0.1:8443", "the address of the settings");
        assert_eq!(service.at_socket(&[], "/api/v1/keys").0, 200);
        assert_eq!(service.at_listener(&[], "/api/v1/keys").0, 401);
        assert_eq!(service.stop().code(), Some(0));
        assert!(theirs.exists(), "the next connection there starts the service again");
        fs::remove_file(theirs).unwrap();
    }
}

#[test]
fn a_socket_that_the_service_made_goes_with_it() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let ours = service.socket().to_owned();

    assert_eq!(ours, rig.directory().join("keyward.sock"));
    assert_eq!(service.stop().code(), Some(0));
    assert!(!ours.exists());
}

#[test]
fn the_pin_comes_from_a_credential_of_systemd() {
    let rig = Rig::new();
    let settings = rig.directory().join("keyward.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::create_dir(rig.path("credentials")).unwrap();
    fs::rename(rig.directory().join("softhsm/pin"), rig.path("credentials/keyward.pin")).unwrap();
    fs::write(&settings, text.replace("pin_file = \"softhsm/pin\"", "pin_credential = \"keyward.pin\"")).unwrap();
    set_http(&rig, "");

    let mut command = rig.command(&["serve", "-o", "json"]);
    command.env("CREDENTIALS_DIRECTORY", rig.path("credentials"));
    let service = Service::spawn(&rig, command);
    let key = r#"{"label":"web","algorithm":"p256","policy":"token-only"}"#;
    let generated = service.at_socket(&["--json", key], "/api/v1/keys");
    service.stop();
    let without = rig.refused(&["key", "generate", "api", "--algorithm", "p256"], 7, "pin-unreadable");

    assert_eq!(generated.1["presence"], "present", "{generated:?}");
    assert!(without["detail"].as_str().unwrap().contains("CREDENTIALS_DIRECTORY"), "{without}");
}

#[test]
fn the_service_dumps_no_core_and_takes_all_descriptors_that_it_may_have() {
    let rig = Rig::new();
    set_http(&rig, "");
    let serve = rig.command(&["serve", "-o", "json"]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sc unlimited 2>/dev/null; ulimit -Sn 128; exec \"$0\" \"$@\""]);
    command.arg(serve.get_program()).args(serve.get_args()).stdin(Stdio::null());

    let service = Service::spawn(&rig, command);
    let limits = fs::read_to_string(format!("/proc/{}/limits", service.pid().as_raw_pid())).unwrap();

    let limit = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(limit("Max core file size"), ["0", "0"]);
    let files = limit("Max open files");
    assert_ne!(files[0], "128");
    assert_eq!(files[0], files[1]);
}
