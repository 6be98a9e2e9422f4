//! What an operator sees: health, counters, and the log.

use super::{Bench, problem, request};
use crate::base::principal::Role;
use axum::{
    body::Body,
    http::{Request, Response, StatusCode},
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::{
    io,
    sync::{Arc, Mutex},
};
use tower::ServiceExt as _;
use tracing_subscriber::fmt::MakeWriter;

impl Bench {
    async fn stranger(&self, method: &str, path: &str) -> Response<Body> {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn metrics(&self) -> String {
        let answer = self.ask(Role::Auditor, "GET", "/metrics", Body::empty()).await;
        String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }
}

async fn body(answer: Response<Body>) -> Value {
    serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

#[tokio::test]
async fn a_stranger_learns_that_the_process_lives_and_whether_it_signs_and_nothing_else() {
    let bench = Bench::new().await;

    let health = bench.stranger("GET", "/healthz").await;
    let ready = bench.stranger("GET", "/readyz").await;
    let metrics = bench.stranger("GET", "/metrics").await;
    let posted = bench.stranger("POST", "/readyz").await;

    assert_eq!((health.status(), body(health).await), (StatusCode::OK, json!({"status": "ok"})));
    assert_eq!(ready.status(), 503);
    let tokens = json!([{"label": "t", "ready": false, "code": "key-unknown"}]);
    assert_eq!(body(ready).await, json!({"status": "not-ready", "tokens": tokens}));
    assert_eq!(problem(metrics).await, (401, "caller-unidentified".to_owned()));
    assert_eq!(problem(posted).await, (405, "method-unknown".to_owned()));
}

#[tokio::test]
async fn a_process_on_its_way_out_is_alive_and_not_ready() {
    let bench = Bench::new().await;

    bench.services.health.drain();

    assert_eq!(bench.stranger("GET", "/healthz").await.status(), 200);
    assert_eq!(body(bench.stranger("GET", "/readyz").await).await["status"], "draining");
}

#[tokio::test]
async fn metrics_are_for_admins_auditors_and_operators() {
    let bench = Bench::new().await;

    for role in [Role::Approver, Role::RecoveryOfficer, Role::Signer] {
        assert_eq!(bench.problem(role, "GET", "/metrics").await, (403, "role-missing".to_owned()), "{role}");
    }
    for role in [Role::Admin, Role::Auditor, Role::Operator] {
        assert_eq!(bench.problem(role, "GET", "/metrics").await, (200, String::new()), "{role}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_the_route_and_never_by_the_path() {
    let bench = Bench::new().await;
    bench.problem(Role::Admin, "GET", "/api/v1/keys/canary-key").await;
    bench.problem(Role::Admin, "GET", "/api/v1/canary-path").await;
    bench.problem(Role::Admin, "GET", "/canary-path").await;
    bench.stranger("GET", "/api/v1/keys").await;

    let text = bench.metrics().await;

    for line in [
        r#"keyward_http_requests_total{route="/api/v1/keys/{key}",method="GET",status="4xx"} 1"#,
        r#"keyward_http_requests_total{route="none",method="GET",status="4xx"} 2"#,
        r#"keyward_http_request_duration_seconds_count{route="/api/v1/keys"} 1"#,
        r#"keyward_problems_total{code="key-unknown",kind="not-found",caller="identified"} 1"#,
        r#"keyward_problems_total{code="caller-unidentified",kind="denied",caller="unknown"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("canary"), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn signatures_that_were_not_made_are_counted() {
    let bench = Bench::new().await;
    let body = r#"{"algorithm":"ed25519","messages":["AA==","AA=="]}"#;

    bench.ask(Role::Operator, "POST", "/api/v1/keys/web/sign", body).await;

    let line = r#"keyward_signatures_total{algorithm="ed25519",outcome="refused"} 2"#;
    let text = bench.metrics().await;
    assert!(text.contains(line), "{text}");
}

#[tokio::test]
async fn every_answer_names_its_request_and_a_problem_by_the_same_id() {
    let bench = Bench::new().await;
    let answers = [
        bench.ask(Role::Admin, "GET", "/api/v1/keys", Body::empty()).await,
        bench.ask(Role::Admin, "GET", "/api/v1/nothing", Body::empty()).await,
        bench.ask(Role::Signer, "GET", "/api/v1/keys", Body::empty()).await,
        bench.stranger("GET", "/api/v1/keys").await,
        bench.stranger("GET", "/nothing").await,
        bench.stranger("POST", "/healthz").await,
        bench.stranger("GET", "/healthz").await,
    ];

    let mut ids = std::collections::HashSet::new();
    for answer in answers {
        let id = answer.headers()["keyward-request-id"].to_str().unwrap().to_owned();
        let told = body(answer).await["request_id"].clone();
        assert!(told.is_null() || told == id.as_str(), "{told} {id}");
        assert!(ids.insert(id));
    }
}

/// A log that is kept in memory.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Kept {
    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test]
async fn the_log_has_a_line_for_each_request_and_nothing_that_a_client_sent() {
    let log = Kept::default();
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(log.clone());
    let _guard = tracing::subscriber::set_default(subscriber.with_max_level(tracing::Level::TRACE).finish());
    let bench = Bench::new().await;

    let path = "/api/v1/keys/canary-path?canary-query=canary-value";
    bench.ask(Role::Admin, "GET", path, "canary-body").await;
    bench.ask(Role::Operator, "POST", "/api/v1/exports", r#"{"key":"canary-key","passphrase":"canary-phrase"}"#).await;
    let mut shown = request(Role::Operator, "POST", "/api/v1/backups", Body::empty());
    for (name, value) in [("authorization", "Bearer canary-token"), ("idempotency-key", "canary-word")] {
        shown.headers_mut().insert(name, value.parse().unwrap());
    }
    let backup = bench.router.clone().oneshot(shown).await.unwrap();
    let mut stranger = Request::builder().uri("/api/v1/keys").body(Body::empty()).unwrap();
    stranger.headers_mut().insert("authorization", "Bearer canary-token".parse().unwrap());
    bench.router.clone().oneshot(stranger).await.unwrap();

    let lines = log.lines();
    let of_requests: Vec<_> = lines.iter().filter(|line| line["message"] == "request").collect();
    let told = |line: &Value| {
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (text("level"), text("method"), text("route"), line["status"].as_u64().unwrap(), text("principal.id"))
    };
    let line = |level: &str, method: &str, route: &str, status: u64, principal: &str| {
        (level.to_owned(), method.to_owned(), route.to_owned(), status, principal.to_owned())
    };
    assert_eq!(
        of_requests.iter().map(|line| told(line)).collect::<Vec<_>>(),
        [
            line("INFO", "GET", "/api/v1/keys/{key}", 404, "u-1"),
            line("INFO", "POST", "/api/v1/exports", 422, "u-1"),
            line("INFO", "POST", "/api/v1/backups", 202, "u-1"),
            line("DEBUG", "GET", "/api/v1/keys", 401, ""),
        ]
    );
    assert_eq!(of_requests[2]["request.id"], backup.headers()["keyward-request-id"].to_str().unwrap());
    assert!(of_requests[0]["duration_ms"].is_u64());
    let ours: Vec<_> = lines.iter().filter(|line| line["target"].as_str().unwrap().starts_with("keyward")).collect();
    assert!(ours.len() >= of_requests.len());
    assert!(!format!("{ours:?}").contains("canary"), "{ours:?}");
}

#[tokio::test]
async fn every_metric_is_in_the_document_with_its_alert_and_no_other() {
    let bench = Bench::new().await;
    bench.problem(Role::Admin, "GET", "/nothing").await;
    let live: std::collections::BTreeSet<_> = {
        let text = bench.metrics().await;
        text.lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    };
    // What there is only after a backup, a certificate, a checkpoint.
    let later =
        ["keyward_backup_age_seconds", "keyward_certificate_expiry_seconds", "keyward_audit_checkpoint_age_seconds"];
    let live: Vec<_> = live
        .into_iter()
        .chain(later.map(str::to_owned))
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();

    let page = include_str!("../../../docs/metrics.md");
    let named = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut named: Vec<_> = named.map(|line| line.split(['`', '{']).next().unwrap().to_owned()).collect();
    named.sort();

    // A counter's samples end in `_total`, and an info's in `_info`; its name does not.
    let named: Vec<_> =
        named.iter().map(|name| name.trim_end_matches("_total").trim_end_matches("_info").to_owned()).collect();
    assert_eq!(named, live);
}
