//! Start, reload, drain.

use crate::support::{
    Rig,
    service::{Service, curl, set_http},
};
use rustix::process::Signal;
use std::fs;

#[test]
fn a_ready_service_names_its_listeners_its_ca_and_its_process() {
    let rig = Rig::new();
    let service = Service::start(&rig);

    let ready = service.ready();

    assert_eq!(ready["event"], "ready");
    assert_eq!(ready["socket"], rig.directory().join("keyward.sock").to_str().unwrap());
    assert!(service.url().starts_with("https://127.0.0.1:"), "{ready}");
    let root = service.at_socket(&[], "/api/v1/instance").1["root_sha256"].clone();
    assert_eq!(service.ca_sha256(), root);
    assert_eq!(ready["pid"], service.pid().as_raw_nonzero().get());
}

#[test]
fn the_user_who_ran_init_is_known_at_the_socket_and_nobody_is_at_the_listener() {
    let rig = Rig::new();
    let service = Service::start(&rig);

    let (at_socket, _) = service.at_socket(&[], "/api/v1/keys");
    let (at_listener, problem) = service.at_listener(&[], "/api/v1/keys");

    assert_eq!(at_socket, 200);
    assert_eq!((at_listener, problem["code"].as_str().unwrap()), (401, "caller-unidentified"));
    assert_eq!(problem["status"], 401);
}

#[test]
fn a_service_that_is_asked_to_end_finishes_what_was_begun() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let socket = service.socket().to_owned();
    let body = r#"{"label":"slow","algorithm":"rsa-4096","policy":"token-only"}"#;
    let at = ["--unix-socket", socket.to_str().unwrap()];
    let request = [&at[..], &["-H", "content-type: application/json", "--data", body]].concat();
    let asked = std::thread::scope(|scope| {
        let asked = scope.spawn(|| curl(&request, "http://localhost/api/v1/keys"));
        // The request has begun when its intent is in the log.
        while !intends(&service) {
            std::thread::yield_now();
        }
        service.signal(Signal::TERM);
        asked.join().unwrap()
    });

    let ended = service.stop_waiting();

    assert_eq!(asked.0, 201, "{}", asked.1);
    assert!(ended.success());
    assert!(!socket.exists());
    assert_eq!(rig.json(&["key", "show", "slow"])["id"], asked.1["id"]);
}

fn intends(service: &Service) -> bool {
    let (_, page) =
        service.at_socket(&[], "/api/v1/audit/records?log=management&event=key.generate&order=newest&limit=1");
    page["items"].as_array().is_some_and(|items| items.iter().any(|item| item["object"]["label"] == "slow"))
}

#[test]
fn what_a_killed_service_left_does_not_stop_the_next_one() {
    let rig = Rig::new();
    Service::start(&rig).kill();
    assert!(rig.directory().join("keyward.sock").exists());

    let service = Service::start(&rig);

    assert_eq!(service.at_socket(&[], "/api/v1/instance").0, 200);
    assert!(service.stop().success());
}

#[test]
fn two_services_cannot_have_one_instance() {
    let rig = Rig::new();
    let service = Service::start(&rig);

    rig.refused(&["serve"], 7, "instance-in-use");

    assert_eq!(service.at_socket(&[], "/api/v1/instance").0, 200);
}

#[test]
fn an_address_that_is_taken_is_an_error_that_names_it() {
    let (first, second) = (Rig::new(), Rig::new());
    let service = Service::start(&first);
    let address = service.address();
    set_http(&second, "");
    let settings = second.directory().join("keyward.toml");
    let text = fs::read_to_string(&settings).unwrap().replace("127.0.0.1:0", address);
    fs::write(&settings, text).unwrap();

    let problem = second.refused(&["serve"], 10, "listener-unavailable");

    assert!(problem["detail"].as_str().unwrap().contains(address), "{problem}");
}

#[test]
fn a_reload_takes_new_names_into_the_certificate_and_keeps_connections() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let resolve = format!("keys.example:{}:127.0.0.1", service.address().rsplit_once(':').unwrap().1);
    let url = service.url().replace("127.0.0.1", "keys.example");
    let ca = rig.directory().join("tls/ca.pem");
    let ask = || curl(&["--cacert", ca.to_str().unwrap(), "--resolve", &resolve], &format!("{url}/api/v1/keys")).0;
    assert_eq!(ask(), 0, "the name is not in the certificate yet");

    set_http(&rig, "names = [\"keys.example\"]");
    service.signal(Signal::HUP);
    let mut answers = std::iter::repeat_with(ask).take(200);

    assert!(answers.any(|status| status == 401));
}

#[test]
fn settings_that_do_not_hold_together_are_not_taken_over_by_a_reload() {
    let rig = Rig::new();
    let service = Service::start(&rig);

    fs::write(rig.directory().join("keyward.toml"), "nonsense").unwrap();
    service.signal(Signal::HUP);

    assert_eq!(service.at_socket(&[], "/api/v1/instance").0, 200);
    assert_eq!(service.at_listener(&[], "/api/v1/instance").0, 401);
}

#[test]
fn a_service_starts_without_its_token_and_says_what_is_missing() {
    let rig = Rig::new();
    // The certificate of the listener is made with the token, once.
    Service::start(&rig).stop();
    fs::rename(rig.directory().join("softhsm/tokens"), rig.path("away")).unwrap();

    let service = Service::start(&rig);
    let (status, problem) = service.at_socket(&[], "/api/v1/token");
    fs::remove_dir_all(rig.directory().join("softhsm/tokens")).ok();
    fs::rename(rig.path("away"), rig.directory().join("softhsm/tokens")).unwrap();
    let back =
        std::iter::repeat_with(|| service.at_socket(&[], "/api/v1/token").0).take(2_000).any(|status| status == 200);

    assert_eq!((status, problem["code"].as_str().unwrap()), (503, "token-absent"), "{problem}");
    assert!(back, "the token is back, and the service does not see it");
}

#[test]
fn without_the_token_at_its_first_start_a_service_answers_at_the_socket_and_later_at_the_listener() {
    let rig = Rig::new();
    let (tokens, away) = (rig.directory().join("softhsm/tokens"), rig.path("away"));
    fs::rename(&tokens, &away).unwrap();
    let service = Service::start(&rig);
    let before = (service.at_socket(&[], "/api/v1/instance").0, service.at_listener(&[], "/api/v1/instance").0);

    fs::remove_dir_all(&tokens).ok();
    fs::rename(&away, &tokens).unwrap();
    service.signal(Signal::HUP);
    let mut answers = std::iter::repeat_with(|| service.at_listener(&[], "/api/v1/instance").0).take(1_000);

    assert_eq!(before, (200, 0));
    assert!(answers.any(|status| status == 401));
}
