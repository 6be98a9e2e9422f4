//! Bodies that do not arrive, and queries that cannot be read.

use super::{Bench, endless, polled_once, problem};
use crate::base::principal::Role;
use axum::{body::Body, http::header};
use http_body_util::BodyExt as _;
use std::time::Duration;
use tokio::time::{advance, pause, resume};

#[tokio::test]
async fn a_json_body_has_to_be_there_after_30_seconds_however_steadily_it_drips() {
    let bench = Bench::new().await;
    let (mut sender, body) = endless();
    let mut asked = Box::pin(bench.ask(Role::Operator, "POST", "/api/v1/keys", body));
    pause();
    for _ in 0..29 {
        assert!(polled_once(&mut asked).await.is_none());
        sender.send_data(" ".into()).await.unwrap();
        advance(Duration::from_secs(1)).await;
    }
    assert!(polled_once(&mut asked).await.is_none());

    advance(Duration::from_secs(2)).await;
    resume();
    let answer = asked.await;

    assert_eq!(answer.headers()[header::CONNECTION], "close");
    assert_eq!(problem(answer).await, (408, "body-too-slow".to_owned()));
}

#[tokio::test]
async fn an_archive_may_take_long_and_not_pause_for_30_seconds() {
    let bench = Bench::new().await;
    let (mut sender, body) = endless();
    let mut asked = Box::pin(bench.ask(Role::Operator, "POST", "/api/v1/restores", body));
    pause();
    for _ in 0..10 {
        assert!(polled_once(&mut asked).await.is_none());
        sender.send_data("piece".into()).await.unwrap();
        advance(Duration::from_secs(29)).await;
    }
    assert!(polled_once(&mut asked).await.is_none());

    advance(Duration::from_secs(31)).await;
    resume();
    let answer = asked.await;

    assert_eq!(problem(answer).await, (408, "body-too-slow".to_owned()));
}

#[tokio::test]
async fn an_archive_that_is_too_large_is_said_to_be_so() {
    let bench = Bench::new().await;
    let (mut sender, body) = endless();
    let asked = bench.ask(Role::Operator, "POST", "/api/v1/restores", body);
    let megabytes = async {
        let megabyte = axum::body::Bytes::from(vec![0; 1 << 20]);
        while sender.send_data(megabyte.clone()).await.is_ok() {}
    };

    let (answer, ()) = tokio::join!(asked, megabytes);

    assert_eq!(problem(answer).await, (413, "request-too-large".to_owned()));
}

#[tokio::test]
async fn an_unknown_parameter_is_named_and_a_wrong_value_is_not_repeated() {
    let bench = Bench::new().await;
    let told = async |query: &str| {
        let answer = bench.ask(Role::Operator, "GET", &format!("/api/v1/audit/records?{query}"), Body::empty()).await;
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()["detail"].as_str().unwrap().to_owned()
    };

    assert!(told("limt=1").await.ends_with(" (unknown field `limt`)"));
    // The value of one that is a choice, which serde repeats.
    assert!(!told("order=%3A+unknown+field+%60canary%60").await.contains("canary"));
}
