//! Whether a service says truly that it can sign.

use crate::support::{Rig, service::Service};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    fs,
    time::{Duration, Instant},
};

/// Until the answer is this one; a look at the token is good for five seconds, so it takes that long at most.
#[track_caller]
fn until(service: &Service, status: u16) -> Value {
    let begun = Instant::now();
    loop {
        let asked = Instant::now();
        let (got, body) = service.at_socket(&[], "/readyz");
        assert!(asked.elapsed() < Duration::from_secs(4), "it took {:?} to say {body}", asked.elapsed());
        if got == status {
            return body;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "still {got}: {body}");
    }
}

fn signal_worker(service: &Service, signal: Signal) {
    for task in fs::read_dir(format!("/proc/{}/task", service.pid().as_raw_nonzero())).unwrap() {
        let children = fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            kill_process(Pid::from_raw(child.parse().unwrap()).unwrap(), signal).unwrap();
        }
    }
}

#[test]
fn a_service_whose_token_signs_is_ready_and_asks_nobody_who_he_is() {
    let rig = Rig::new();
    let service = Service::start(&rig);

    let at_listener = service.at_listener(&[], "/readyz");
    let health = service.at_listener(&[], "/healthz");

    assert_eq!(at_listener, (200, json!({"status": "ready", "tokens": [{"label": "keyward", "ready": true}]})));
    assert_eq!(health, (200, json!({"status": "ok"})));
}

#[test]
fn a_token_that_goes_away_under_a_running_service_is_named_and_is_used_again_when_it_is_back() {
    let rig = Rig::new();
    rig.key("web", "p256", "token-only");
    let service = Service::start(&rig);
    let (tokens, away) = (rig.directory().join("softhsm/tokens"), rig.directory().join("softhsm/away"));
    let body = format!(r#"{{"digests":["{}="]}}"#, "A".repeat(43));
    let request = ["-H", "content-type: application/json", "--data", &body];
    let sign = || service.at_socket(&request, "/api/v1/keys/web/sign");
    assert_eq!(sign().0, 200);

    fs::rename(&tokens, &away).unwrap();
    signal_worker(&service, Signal::KILL);
    let not_ready = until(&service, 503);
    let (status, problem) = sign();
    let health = service.at_socket(&[], "/healthz");
    fs::rename(&away, &tokens).unwrap();
    let ready = until(&service, 200);

    assert_eq!(not_ready["tokens"], json!([{"label": "keyward", "ready": false, "code": "token-absent"}]));
    assert_eq!((status, problem["code"].as_str().unwrap()), (503, "token-absent"));
    assert_eq!(health.0, 200);
    assert_eq!(ready["status"], "ready");
    assert_eq!(sign().0, 200);
}

#[test]
fn a_look_at_the_token_leaves_no_record_in_the_signature_log() {
    let rig = Rig::new();
    let service = Service::start(&rig);

    until(&service, 200);

    let (_, page) = service.at_socket(&[], "/api/v1/audit/records?log=signatures");
    assert_eq!(page["items"], json!([]));
}

#[test]
fn a_token_that_hangs_is_not_ready_after_two_seconds() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    until(&service, 200);

    // As if its module hung.
    signal_worker(&service, Signal::STOP);
    let not_ready = until(&service, 503);
    let ready = until(&service, 200);

    assert_eq!(not_ready["tokens"][0]["code"], "token-timeout");
    assert_eq!(ready["status"], "ready", "a worker that hangs is replaced without being asked for");
}
