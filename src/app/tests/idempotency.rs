//! Requests under an `Idempotency-Key`.

use super::{Bench, endless, polled_once, problem, request};
use crate::base::principal::Role;
use axum::{
    body::Body,
    http::{Response, header},
};
use http_body_util::BodyExt as _;
use sqlx::Row as _;
use tower::ServiceExt as _;

impl Bench {
    async fn ask_as(&self, key: &str, role: Role, path: &str, body: impl Into<Body>) -> Response<Body> {
        let mut request = request(role, "POST", path, body.into());
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let row = sqlx::query(sql).fetch_one(self.services.keys.db.reader()).await.unwrap();
        row.get(0)
    }
}

async fn text(answer: Response<Body>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

const BACKUPS: &str = "/api/v1/backups";
const RESTORES: &str = "/api/v1/restores";

#[tokio::test]
async fn a_request_that_is_sent_twice_is_done_once_and_answered_twice() {
    let bench = Bench::new().await;

    let first = bench.ask_as("k-1", Role::Operator, BACKUPS, Body::empty()).await;
    let again = bench.ask_as("k-1", Role::Operator, BACKUPS, Body::empty()).await;

    assert_eq!((first.status().as_u16(), again.status().as_u16()), (202, 202));
    assert!(!first.headers().contains_key("idempotency-replayed"));
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(again.headers()[header::LOCATION], first.headers()[header::LOCATION]);
    assert_eq!(again.headers()[header::CONTENT_TYPE], first.headers()[header::CONTENT_TYPE]);
    assert_eq!(text(again).await, text(first).await);
    assert_eq!(bench.count("SELECT count(*) FROM commands").await, 1);
}

#[tokio::test]
async fn a_key_that_belongs_to_another_request_is_refused() {
    let bench = Bench::new().await;
    bench.ask_as("k-1", Role::Operator, BACKUPS, Body::empty()).await;

    for path in [RESTORES, "/api/v1/backups?x=1", "/api/v1/drills"] {
        let answer = bench.ask_as("k-1", Role::Operator, path, Body::empty()).await;
        assert_eq!(problem(answer).await, (422, "idempotency-key-reused".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_request_that_came_to_nothing_leaves_its_key_free() {
    let bench = Bench::new().await;

    let malformed = bench.ask_as("k-1", Role::Operator, "/api/v1/keys", "{").await;
    let denied = bench.ask_as("k-1", Role::Auditor, BACKUPS, Body::empty()).await;
    let done = bench.ask_as("k-1", Role::Operator, BACKUPS, Body::empty()).await;

    assert_eq!(problem(malformed).await, (422, "request-malformed".to_owned()));
    assert_eq!(problem(denied).await, (403, "role-missing".to_owned()));
    assert_eq!(done.status(), 202);
}

#[tokio::test]
async fn while_the_first_request_is_under_way_a_second_one_waits_its_turn() {
    let bench = Bench::new().await;
    let (sender, body) = endless();
    let mut first = Box::pin(bench.ask_as("k-1", Role::Operator, RESTORES, body));
    while bench.count("SELECT count(*) FROM claims").await == 0 {
        assert!(polled_once(&mut first).await.is_none());
    }

    let second = bench.ask_as("k-1", Role::Operator, RESTORES, Body::empty()).await;

    assert_eq!(second.headers()[header::RETRY_AFTER], "1");
    assert_eq!(problem(second).await, (409, "request-in-progress".to_owned()));
    drop(sender);
    assert_eq!(first.await.status(), 202);
}

#[tokio::test]
async fn a_request_goes_on_when_its_client_leaves_and_is_answered_to_who_asks_again() {
    let bench = Bench::new().await;
    let (sender, body) = endless();
    let mut first = Box::pin(bench.ask_as("k-1", Role::Operator, RESTORES, body));
    while bench.count("SELECT count(*) FROM claims").await == 0 {
        assert!(polled_once(&mut first).await.is_none());
    }

    drop(first);
    drop(sender);
    while bench.count("SELECT count(*) FROM claims WHERE state = 'done'").await == 0 {
        tokio::task::yield_now().await;
    }
    let again = bench.ask_as("k-1", Role::Operator, RESTORES, Body::empty()).await;

    assert_eq!((again.status().as_u16(), again.headers()["idempotency-replayed"].to_str().unwrap()), (202, "true"));
    assert_eq!(bench.count("SELECT count(*) FROM commands").await, 1);
}

#[tokio::test]
async fn another_body_under_the_same_key_is_another_request() {
    let bench = Bench::new().await;
    bench.ask_as("k-1", Role::Operator, RESTORES, "an archive").await;

    let same = bench.ask_as("k-1", Role::Operator, RESTORES, "an archive").await;
    let other = bench.ask_as("k-1", Role::Operator, RESTORES, "another archive").await;

    assert_eq!(same.status(), 202);
    assert_eq!(problem(other).await, (422, "idempotency-key-reused".to_owned()));
}

#[tokio::test]
async fn a_request_whose_process_died_is_not_carried_out_again() {
    let bench = Bench::new().await;
    let now = bench.services.keys.clock.now().as_millis();
    let left = "INSERT INTO claims (principal, idempotency_key, request, state, created_at) VALUES ('u-1', 'k-1', \
                'POST /api/v1/backups', 'running', $1)";
    sqlx::query(left).bind(now).execute(bench.services.keys.db.reader()).await.unwrap();

    let answer = bench.ask_as("k-1", Role::Operator, BACKUPS, Body::empty()).await;

    assert_eq!(problem(answer).await, (409, "request-interrupted".to_owned()));
    assert_eq!(bench.count("SELECT count(*) FROM commands").await, 0);
}

#[tokio::test]
async fn roles_are_judged_before_the_body_of_a_keyed_request_is_read() {
    let bench = Bench::new().await;
    let (_sender, body) = endless();

    let answer = bench.ask_as("k-1", Role::Auditor, RESTORES, body).await;

    assert_eq!(problem(answer).await, (403, "role-missing".to_owned()));
}

#[tokio::test]
async fn a_key_is_one_word_of_1_to_128_visible_characters() {
    let bench = Bench::new().await;

    for key in ["", "two words", &"x".repeat(129)] {
        let answer = bench.ask_as(key, Role::Operator, BACKUPS, Body::empty()).await;
        assert_eq!(problem(answer).await, (422, "request-malformed".to_owned()), "{key}");
    }
    let answer = bench.ask_as(&"~".repeat(128), Role::Operator, BACKUPS, Body::empty()).await;
    assert_eq!(answer.status(), 202);
}

#[tokio::test]
async fn a_signature_is_made_anew_under_whatever_key() {
    let bench = Bench::new().await;

    let answer = bench.ask_as("two words", Role::Operator, "/api/v1/keys/web/sign", r#"{"digests":[]}"#).await;

    assert_eq!(problem(answer).await, (404, "key-unknown".to_owned()));
    assert_eq!(bench.count("SELECT count(*) FROM claims").await, 0);
}

#[tokio::test]
async fn an_api_token_is_told_once_and_kept_nowhere() {
    let bench = Bench::new().await;
    let body = r#"{"name":"ci","roles":["auditor"]}"#;

    let first = bench.ask_as("k-1", Role::Admin, "/api/v1/credentials", body).await;
    let again = bench.ask_as("k-1", Role::Admin, "/api/v1/credentials", body).await;

    assert_eq!(first.status(), 201);
    assert!(text(first).await.contains("kwt_"));
    assert_eq!(problem(again).await, (409, "request-done".to_owned()));
    assert_eq!(bench.count("SELECT count(*) FROM claims WHERE state = 'done' AND answer IS NULL").await, 1);
}
