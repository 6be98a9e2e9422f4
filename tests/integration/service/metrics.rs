//! What a running service counts.

use crate::support::{Rig, run, service::Service};
use std::process::Command;

fn scrape(service: &Service) -> String {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--unix-socket"]).arg(service.socket()).arg("http://localhost/metrics");
    run(&mut curl).succeeded().stdout
}

#[track_caller]
fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{sample} is not in\n{text}")).parse().unwrap()
}

#[test]
fn what_a_service_did_is_in_its_metrics() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    rig.keyward(&["backup", "run"]).succeeded();
    let service = Service::start(&rig);
    let body = format!(r#"{{"digests":["{0}=","{0}="]}}"#, "A".repeat(43));
    let request = ["-H", "content-type: application/json", "--data", &body];
    assert_eq!(service.at_socket(&request, "/api/v1/keys/web/sign").0, 200);
    assert_eq!(service.at_socket(&["-X", "POST"], "/api/v1/audit/checkpoint").0, 200);
    assert_eq!(service.at_listener(&[], "/api/v1/keys").0, 401);

    let text = scrape(&service);

    assert_eq!(value(&text, r#"keyward_signatures_total{algorithm="ecdsa-sha256",outcome="ok"}"#), 2.0);
    let signed = r#"keyward_http_requests_total{route="/api/v1/keys/{key}/sign",method="POST",status="2xx"}"#;
    assert_eq!(value(&text, signed), 1.0);
    assert_eq!(value(&text, r#"keyward_token_up{token="keyward"}"#), 1.0);
    assert_eq!(value(&text, r#"keyward_token_queue_length{token="keyward",lane="single"}"#), 0.0);
    assert_eq!(value(&text, r#"keyward_token_worker_starts_total{token="keyward"}"#), 1.0);
    assert_eq!(value(&text, r#"keyward_audit_records_total{log="signatures"}"#), 1.0);
    assert_eq!(value(&text, r#"keyward_audit_write_failures_total{log="signatures"}"#), 0.0);
    assert!((0.0..60.0).contains(&value(&text, r#"keyward_audit_checkpoint_age_seconds{log="management"}"#)));
    assert!((0.0..60.0).contains(&value(&text, "keyward_backup_age_seconds")));
    // The key and the CA: in a backup, and not proved.
    assert_eq!(value(&text, r#"keyward_backup_coverage_keys{state="amber"}"#), 2.0);
    assert_eq!(value(&text, r#"keyward_backup_coverage_keys{state="red"}"#), 0.0);
    let ten_years = 3_652.0 * 86_400.0;
    assert!((ten_years - 600.0..=ten_years).contains(&value(&text, "keyward_certificate_expiry_seconds")));
    let unknown = r#"keyward_problems_total{code="caller-unidentified",kind="denied",caller="unknown"}"#;
    assert_eq!(value(&text, unknown), 1.0);
    // The one that asks.
    assert!(value(&text, "keyward_connections_open") >= 1.0);
    assert!(value(&text, "process_resident_memory_bytes") > 1e6);
    assert!(value(&text, "process_open_fds") > 5.0);
    assert!(value(&text, "process_start_time_seconds") > 1.7e9);
}

#[test]
fn a_service_logs_json_lines_with_the_id_of_the_request() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let body = r#"{"label":"web","algorithm":"p256","policy":"token-only"}"#;
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--include", "--unix-socket"]).arg(service.socket());
    curl.args(["-H", "content-type: application/json", "--data", body, "http://localhost/api/v1/keys"]);

    let answer = run(&mut curl).succeeded().stdout;

    let id = answer.lines().find_map(|line| line.strip_prefix("keyward-request-id: ")).unwrap().trim();
    let log = std::fs::read_to_string(rig.path("serve.log")).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = lines.iter().find(|line| line["request.id"] == id).unwrap_or_else(|| panic!("{id} is not in {log}"));
    assert_eq!((line["level"].as_str(), line["route"].as_str()), (Some("INFO"), Some("/api/v1/keys")));
    assert_eq!(line["status"], 201);
    assert!(line["principal.id"].as_str().unwrap().starts_with("uid:"), "{line}");
    assert!(!log.contains("\"web\""), "{log}");
}
