//! Clients that are slow, silent, many, or speak something else.

use crate::support::{
    Rig,
    service::{Service, curl, set_http},
};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    process::Command,
    time::{Duration, Instant},
};

/// Sends raw bytes to the socket and gives everything that comes back until the service closes.
fn raw(service: &Service, bytes: &str) -> String {
    let mut stream = UnixStream::connect(service.socket()).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    // A service that closes at once may reset what it did not read.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_key_is_made_and_recorded_although_its_client_left() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let phase = || {
        let path = "/api/v1/audit/records?log=management&event=key.generate&order=newest&limit=1";
        let (_, page) = service.at_socket(&[], path);
        let newest = page["items"][0].clone();
        (newest["object"]["label"] == "slow").then(|| newest["phase"].as_str().unwrap().to_owned())
    };
    let until = |wanted: &str| {
        let begun = Instant::now();
        while phase().as_deref() != Some(wanted) {
            assert!(begun.elapsed() < Duration::from_secs(60), "there is no {wanted}");
        }
    };

    let body = r#"{"label":"slow","algorithm":"rsa-4096","policy":"token-only"}"#;
    let head = "POST /api/v1/keys HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ";
    let mut stream = UnixStream::connect(service.socket()).unwrap();
    write!(stream, "{head}{}\r\n\r\n{body}", body.len()).unwrap();
    until("intent");
    drop(stream);

    until("result");
    assert_eq!(service.at_socket(&[], "/api/v1/keys/slow").0, 200);
}

#[test]
fn plain_http_at_the_tls_port_is_told_to_use_https() {
    let rig = Rig::new();
    let service = Service::start(&rig);

    let mut stream = TcpStream::connect(service.address()).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);

    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with("This is an HTTPS port: use https:// with it.\n"), "{answer}");
}

#[test]
fn tls_1_2_is_refused_and_1_3_is_not() {
    let rig = Rig::new();
    let service = Service::start(&rig);

    let old = service.at_listener(&["--tls-max", "1.2"], "/api/v1/keys");
    let new = service.at_listener(&["--tlsv1.3"], "/api/v1/keys");

    assert_eq!((old.0, new.0), (0, 401));
}

#[test]
fn both_versions_of_http_give_the_same_answer() {
    let rig = Rig::new();
    let service = Service::start(&rig);

    let first = service.at_listener(&["--http1.1"], "/api/v1/keys");
    let second = service.at_listener(&["--http2"], "/api/v1/keys");

    assert_eq!((first.0, second.0), (401, 401));
    assert_eq!(first.1["code"], second.1["code"]);
}

#[test]
fn a_request_of_two_lengths_is_not_taken_for_two_requests() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let hidden = "GET /api/v1/keys HTTP/1.1\r\nHost: b\r\n\r\n";
    let head = "POST /api/v1/keys HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    let shapes = [
        (
            "length and chunks",
            format!("{head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        ("two lengths", format!("{head}Content-Length: 2\r\nContent-Length: 60\r\n\r\n{{}}{hidden}")),
        ("a length of two", format!("{head}Content-Length: 2, 60\r\n\r\n{{}}{hidden}")),
        ("a length with a sign", format!("{head}Content-Length: +2\r\n\r\n{{}}{hidden}")),
        ("chunks in disguise", format!("{head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}")),
        ("chunks, then more", format!("{head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}")),
        ("a space before the colon", format!("{head}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{hidden}")),
        ("a folded header", format!("{head}X: a\r\n Transfer-Encoding: chunked\r\n\r\n{hidden}")),
        ("a bare line feed", "POST /api/v1/keys HTTP/1.1\nHost: a\nContent-Length: 2\n\n{}".to_owned()),
        (
            "a chunk of a strange size",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n0x2\r\n{{}}\r\n0\r\n\r\n{hidden}"),
        ),
    ];

    for (name, bytes) in shapes {
        let answer = raw(&service, &bytes);
        assert!(!answer.contains("HTTP/1.1 200"), "{name}: {answer}");
        let answers = answer.matches("HTTP/1.1 ").count();
        assert!(answers <= 1, "{name}: {answers} answers: {answer}");
    }
    assert_eq!(service.at_socket(&[], "/api/v1/instance").0, 200);
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let long = format!("X-Long: {}", "a".repeat(40_000));

    let over_socket = service.at_socket(&["-H", &long], "/api/v1/instance").0;
    let over_http_2 = service.at_listener(&["--http2", "-H", &long], "/api/v1/instance").0;

    assert!(over_socket == 431 || over_socket == 0, "{over_socket}");
    assert!(over_http_2 == 431 || over_http_2 == 0, "{over_http_2}");
}

#[test]
fn silent_connections_hold_nobody_up_when_there_are_too_many_of_them() {
    let rig = Rig::new();
    let service = Service::start_with(&rig, "connections = 64");
    let mut silent: Vec<TcpStream> = Vec::new();
    let mut slow: Vec<UnixStream> = Vec::new();

    for number in 0..300 {
        silent.push(TcpStream::connect(service.address()).unwrap());
        let mut stream = UnixStream::connect(service.socket()).unwrap();
        // Half a head; the rest never comes.
        let _ = stream.write_all(b"GET /api/v1/instance HTTP/1.1\r\nHost: ");
        slow.push(stream);
        if number % 50 == 0 {
            assert_eq!(service.at_socket(&[], "/api/v1/instance").0, 200);
            assert_eq!(service.at_listener(&[], "/api/v1/instance").0, 401);
        }
    }

    let mut counts = std::iter::repeat_with(|| open_descriptors(&service)).take(100_000);
    assert!(counts.any(|count| count < 64 + 40), "connections that gave way are still open");
}

#[test]
fn ten_thousand_idle_connections_hold_nobody_up() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    // Another process has descriptors of its own: 10,000 of them are more than a test may have.
    let port = service.address().rsplit_once(':').unwrap().1.to_owned();
    let crowds: Vec<_> = (0..10).map(|_| crowd(&port)).collect();

    let answers: Vec<u16> = (0..10).map(|_| service.at_listener(&[], "/api/v1/instance").0).collect();
    let at_socket = service.at_socket(&[], "/api/v1/instance").0;

    assert_eq!(answers, [401; 10]);
    assert_eq!(at_socket, 200);
    for mut crowd in crowds {
        crowd.kill().unwrap();
        crowd.wait().unwrap();
    }
}

/// A process with a thousand connections that say nothing.
fn crowd(port: &str) -> std::process::Child {
    let script = "import socket, sys
held = [socket.create_connection(('127.0.0.1', int(sys.argv[1]))) for _ in range(1000)]
print('there', flush=True)
sys.stdin.read()";
    let mut child = std::process::Command::new("python3")
        .args(["-c", script, port])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    assert_eq!(line, "there\n");
    child
}

fn open_descriptors(service: &Service) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", service.pid().as_raw_nonzero())).unwrap().count()
}

#[test]
fn silent_connections_hold_nobody_up_where_the_system_allows_fewer_than_the_settings() {
    let rig = Rig::new();
    set_http(&rig, "");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 200; exec \"$@\"", "sh"]);
    let serve = rig.command(&["serve", "-o", "json"]);
    command.arg(serve.get_program()).args(serve.get_args());
    serve.get_envs().for_each(|(name, value)| match value {
        Some(value) => drop(command.env(name, value)),
        None => drop(command.env_remove(name)),
    });
    let service = Service::spawn(&rig, command);

    let _silent: Vec<_> = (0..400).map(|_| TcpStream::connect(service.address()).unwrap()).collect();

    assert_eq!(service.at_socket(&["--max-time", "10"], "/api/v1/instance").0, 200);
}

#[test]
fn an_unknown_server_name_gets_the_same_certificate() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let port = service.address().rsplit_once(':').unwrap().1;
    let resolve = format!("other.example:{port}:127.0.0.1");

    let (status, _) =
        curl(&["--insecure", "--resolve", &resolve], &format!("https://other.example:{port}/api/v1/keys"));

    assert_eq!(status, 401);
}
