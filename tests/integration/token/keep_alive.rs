//! A token that nobody uses: what its module drops is made anew before somebody needs it, and where it is is known.

use super::{shim::Shim, table::set_forward};
use crate::support::Rig;
use keyward::token::{Failing, Standing, Token, TokenError};
use std::{fs, time::Duration};
use tokio::task::yield_now;

const EVERY: Duration = Duration::from_secs(60);

fn idle_token(rig: &Rig, name: &str) -> (Shim, Token) {
    let mut shim = Shim::new(rig, name);
    shim.settings.keep_alive = Some(EVERY);
    let token = shim.token(None);
    (shim, token)
}

async fn until(what: impl Fn() -> bool) {
    while !what() {
        yield_now().await;
    }
}

#[tokio::test]
async fn what_a_module_has_dropped_is_there_again_before_the_next_request() {
    let rig = Rig::new();
    let (shim, token) = idle_token(&rig, "idle");
    token.keks().await.unwrap();
    let worker = shim.worker();
    shim.set("C_GetSessionInfo reset times=1\nC_Login log\nC_FindObjectsFinal log");

    set_forward(EVERY).await;
    // Public keys, private keys, KEKs.
    until(|| shim.happened("C_FindObjectsFinal") == 3).await;
    token.keks().await.unwrap();

    assert_eq!(shim.happened("C_Login"), 1, "the request did not have to log in");
    assert_eq!(shim.worker(), worker);
    assert_eq!(token.standing(), Standing::Serving);
    token.close().await;
}

#[tokio::test]
async fn a_token_that_goes_away_is_known_to_be_away_and_one_that_comes_back_to_be_back() {
    let rig = Rig::new();
    let (shim, token) = idle_token(&rig, "away");
    let before = token.standing();
    token.keks().await.unwrap();
    let serving = token.standing();
    let (tokens, away) = (rig.path("away.tokens"), rig.path("elsewhere"));

    fs::rename(&tokens, &away).unwrap();
    set_forward(EVERY).await;
    until(|| matches!(token.standing(), Standing::Failing(Failing { error: TokenError::TokenAbsent { .. }, .. })))
        .await;
    fs::rename(&away, &tokens).unwrap();
    set_forward(EVERY).await;
    until(|| token.standing() == Standing::Serving).await;

    assert_eq!((before, serving), (Standing::Unknown, Standing::Serving));
    assert_eq!(token.figures().met.workers, 2);
    assert!(shim.worker().is_some());
    token.close().await;
}

#[tokio::test]
async fn a_worker_that_hangs_while_nobody_asks_anything_is_replaced_before_somebody_does() {
    let rig = Rig::new();
    let (shim, token) = idle_token(&rig, "hanging");
    token.keks().await.unwrap();
    let hanging = shim.worker();
    shim.set("C_GetSessionInfo hang=3600 times=1");

    set_forward(EVERY).await;
    until(|| shim.log().len() == 1).await;
    set_forward(EVERY).await;
    until(|| token.figures().met.workers == 2).await;
    token.keks().await.unwrap();

    assert_ne!(shim.worker(), hanging);
    token.close().await;
}
