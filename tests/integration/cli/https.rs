//! The command line over HTTPS: which server is trusted, and what becomes of the API token.

use super::everything::assert_same_in_process;
use crate::support::{Ended, Rig, run, service::Service};
use serde_json::{Value, json};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::Command,
};

#[test]
fn every_command_answers_over_https_as_it_does_in_process() {
    let served = Rig::new();
    let service = Service::start(&served);
    let token = credential(&served, &["--role", "operator", "--role", "admin"]);
    run(login_command(&served, &service, service.ca_sha256()).args(["--api-token-file", &token])).succeeded();

    assert_same_in_process(&served, |arguments| run(&mut plain_at(&served, service.url(), arguments)));

    let status = run(&mut at(&served, service.url(), &["status"])).succeeded().json();
    assert_eq!((&status["server"], &status["directory"]), (&Value::from(service.url()), &Value::Null));
}

#[test]
fn a_login_with_a_token_says_who_one_is_and_is_all_that_later_commands_need() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let token = credential(&rig, &["--role", "operator"]);
    let secret = fs::read_to_string(&token).unwrap().trim().to_owned();

    let mut command = login_command(&rig, &service, service.ca_sha256());
    let ended = run(command.args(["--api-token-file", &token]).env("KEYWARD_LOG", "trace")).succeeded();

    let caller = &ended.json()["caller"];
    assert_eq!((&caller["principal"]["name"], &caller["keys"]), (&Value::from("cli"), &Value::Null));
    assert_eq!(caller["roles"], json!(["operator"]));
    let login = fs::read_to_string(saved(&rig, &service)).unwrap();
    let listed = run(at(&rig, service.url(), &["key", "list"]).env("KEYWARD_LOG", "trace")).succeeded();
    for text in [&ended.stdout, &ended.stderr, &listed.stdout, &listed.stderr, &login] {
        assert!(!text.contains(&secret), "{text}");
    }
    assert!(listed.stderr.contains("TRACE"), "nothing was logged: {}", listed.stderr);
    let other = token_file(&rig, "kwt_secret", 0o600);
    let mut command = at(&rig, service.url(), &["key", "list"]);
    refused(command.env("KEYWARD_API_TOKEN_FILE", other), 4, "credential-unknown");
}

#[test]
fn a_login_pins_the_ca_and_saves_where_the_token_is_but_not_the_token() {
    let rig = Rig::new();
    let service = Service::start(&rig);

    let answer = login(&rig, &service, service.ca_sha256()).succeeded().json();

    assert_eq!(answer["url"], service.url());
    assert_eq!(answer["ca_sha256"], service.ca_sha256());
    let file = saved(&rig, &service);
    assert_eq!(answer["file"], file.to_str().unwrap());
    let login: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(login["url"], service.url());
    assert_eq!(login["ca_pem"], fs::read_to_string(rig.directory().join("tls/ca.pem")).unwrap());
    assert_eq!(login["api_token_file"], Value::Null);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    refused(&mut at(&rig, service.url(), &["status"]), 4, "caller-unidentified");
}

#[test]
fn a_fingerprint_is_taken_in_every_spelling() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let digits: Vec<_> = service.ca_sha256().as_bytes().chunks(2).map(String::from_utf8_lossy).collect();

    login(&rig, &service, &digits.join(":").to_uppercase()).succeeded();

    assert!(saved(&rig, &service).exists());
    assert_eq!(login(&rig, &service, &service.ca_sha256()[2..]).code, 2);
}

#[test]
fn a_wrong_fingerprint_changes_nothing() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let wrong = "0".repeat(64);

    let ended = login(&rig, &service, &wrong);

    assert_eq!((ended.code, &ended.json()["code"]), (4, &Value::from("server-untrusted")));
    assert!(!rig.path("config").exists());
    login(&rig, &service, service.ca_sha256()).succeeded();
    let before = fs::read(saved(&rig, &service)).unwrap();
    assert_eq!(login(&rig, &service, &wrong).code, 4);
    assert_eq!(fs::read(saved(&rig, &service)).unwrap(), before);
}

#[test]
fn another_server_at_the_address_of_a_login_is_not_trusted() {
    let (rig, other) = (Rig::new(), Rig::new());
    let (service, impostor) = (Service::start(&rig), Service::start(&other));
    login(&rig, &service, service.ca_sha256()).succeeded();
    fs::rename(saved(&rig, &service), saved(&rig, &impostor)).unwrap();
    let token = token_file(&rig, "kwt_secret", 0o600);

    let mut command = at(&rig, impostor.url(), &["key", "list"]);
    let problem = refused(command.env("KEYWARD_API_TOKEN_FILE", token), 4, "server-untrusted");

    assert!(problem["detail"].as_str().unwrap().contains("not of the CA that was pinned"), "{problem}");
    let by_login = refused(&mut login_command(&rig, &impostor, service.ca_sha256()), 4, "server-untrusted");
    assert_eq!(by_login["kind"], "denied");
}

#[test]
fn a_server_nobody_logged_in_to_is_unknown_and_one_that_is_away_cannot_be_reached() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let url = service.url().to_owned();

    let unknown = refused(&mut at(&rig, &url, &["status"]), 4, "server-unknown");

    assert!(unknown["advice"].as_str().unwrap().contains("keyward login URL --ca-sha256 H"), "{unknown}");
    login(&rig, &service, service.ca_sha256()).succeeded();
    service.stop();
    refused(&mut at(&rig, &url, &["status"]), 10, "server-unreachable");
}

#[test]
fn a_token_that_others_can_read_is_refused_and_never_shown() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    login(&rig, &service, service.ca_sha256()).succeeded();

    for mode in [0o644, 0o640, 0o604] {
        let token = token_file(&rig, "kwt_secret", mode);
        let mut command = at(&rig, service.url(), &["status"]);
        let problem = refused(command.env("KEYWARD_API_TOKEN_FILE", &token), 4, "api-token-unusable");
        assert!(problem["detail"].as_str().unwrap().contains(&format!("chmod 600 {token}")), "{problem}");
    }
    let token = token_file(&rig, "two words", 0o600);
    let mut command = at(&rig, service.url(), &["status"]);
    refused(command.env("KEYWARD_API_TOKEN_FILE", &token), 4, "api-token-unusable");
}

#[test]
fn a_token_that_the_server_does_not_know_is_not_saved() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let token = token_file(&rig, "kwt_secret", 0o600);

    let mut command = login_command(&rig, &service, service.ca_sha256());
    let problem =
        refused(command.args(["--api-token-file", &token]).env("KEYWARD_LOG", "trace"), 4, "credential-unknown");

    assert_eq!(problem["kind"], "denied");
    assert!(!saved(&rig, &service).exists());
}

#[test]
fn a_directory_that_is_named_counts_before_a_server_in_the_environment() {
    let rig = Rig::new();
    let nowhere = "https://keys.invalid:8443";

    let named = run(rig.command(&["-o", "json", "status"]).env("KEYWARD_SERVER", nowhere)).succeeded().json();
    let mut both = rig.command(&["-o", "json", "--server", nowhere, "status"]);
    let mut environment = at(&rig, nowhere, &["status"]);
    let mut malformed = crate::support::keyward();

    assert_eq!(named["directory"], rig.directory().to_str().unwrap());
    refused(&mut both, 3, "argument-invalid");
    refused(environment.env("KEYWARD_DIR", rig.directory()), 4, "server-unknown");
    refused(malformed.args(["-o", "json", "status"]).env("KEYWARD_SERVER", "keys.invalid"), 3, "argument-invalid");
}

#[test]
fn a_command_that_works_in_a_directory_does_not_take_a_server() {
    let rig = Rig::new();
    let elsewhere = rig.path("elsewhere");

    for command in ["init", "serve"] {
        let mut named = crate::support::keyward();
        named.args(["-o", "json", "--server", "https://keys.invalid:8443", command]);
        refused(named.env("KEYWARD_DIR", &elsewhere), 3, "argument-invalid");
    }

    assert!(!elsewhere.exists());
}

fn login_command(rig: &Rig, service: &Service, ca_sha256: &str) -> Command {
    let mut command = crate::support::keyward();
    command.args(["-o", "json", "login", service.url(), "--ca-sha256", ca_sha256]);
    command.env("XDG_CONFIG_HOME", rig.path("config"));
    command
}

fn login(rig: &Rig, service: &Service, ca_sha256: &str) -> Ended {
    run(&mut login_command(rig, service, ca_sha256))
}

/// A command with `-o json` for the server at this address, which the environment names.
fn at(rig: &Rig, url: &str, arguments: &[&str]) -> Command {
    let mut command = plain_at(rig, url, arguments);
    command.args(["-o", "json"]);
    command
}

fn plain_at(rig: &Rig, url: &str, arguments: &[&str]) -> Command {
    let mut command = crate::support::keyward();
    command.args(arguments);
    command.env("KEYWARD_SERVER", url).env("XDG_CONFIG_HOME", rig.path("config"));
    command
}

/// The command fails so, and tells nothing of the token, whatever it logs.
#[track_caller]
fn refused(command: &mut Command, exit: i32, code: &str) -> Value {
    let ended = run(command);
    let problem = ended.json();
    assert_eq!((ended.code, problem["code"].as_str().unwrap()), (exit, code), "{ended:?}");
    for text in [&ended.stdout, &ended.stderr] {
        assert!(!text.contains("kwt_secret"), "{text}");
    }
    problem
}

/// A new credential `cli` with these roles; gives the file with its token.
fn credential(rig: &Rig, roles: &[&str]) -> String {
    let path = rig.file("cli.token");
    rig.json(&[&["credential", "add", "cli", "--out", &path], roles].concat());
    path
}

/// The file of a login.
fn saved(rig: &Rig, service: &Service) -> PathBuf {
    rig.path("config/keyward/servers").join(format!("{}.json", service.address()))
}

fn token_file(rig: &Rig, token: &str, mode: u32) -> String {
    let path = rig.write("token", format!("{token}\n"));
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}
