//! A single request while others send batches.

use crate::{
    Outcome,
    carrier::Carrier,
    figures::{FairnessFigures, Measured, Spread},
    instance::Service,
    load::{self, Load, block_on},
    plan::{BIG_BATCHES, LONE_P256},
};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Alone, beside batches, alone, beside batches.
pub(crate) fn measure(service: &Service, carrier: &Carrier, rounds: usize) -> Outcome<FairnessFigures> {
    let mut idle = Vec::new();
    let mut beside = Vec::new();
    for _ in 0..rounds {
        idle.push(load::measure(service, carrier, LONE_P256, ALONE)?);
        beside.push(block_on(beside_batches(service, carrier))?);
    }
    let ratios = beside.iter().zip(&idle).map(|((single, _), idle)| single.p99_ms / idle.p99_ms);
    Ok(FairnessFigures {
        ratio: Spread::of(ratios),
        idle_p99_ms: Spread::of(idle.iter().map(|measured| measured.p99_ms)),
        beside_p99_ms: Spread::of(beside.iter().map(|(single, _)| single.p99_ms)),
        batch_rate: Spread::of(beside.iter().map(|(_, batches)| batches.rate)),
    })
}

/// What the single client saw, and what the others did.
async fn beside_batches(service: &Service, carrier: &Carrier) -> Outcome<(Measured, Measured)> {
    let batches = Load::start(carrier, BIG_BATCHES).await?;
    // Until all batches queue.
    sleep(SETTLE).await;
    let from = Instant::now();
    let single = Load::start(carrier, LONE_P256).await?.measure(service, BESIDE).await?;
    let to = Instant::now();
    let batches = batches.stop().await?.between(from, to, BIG_BATCHES.digests, |_| Default::default());
    Ok((single, batches))
}

const ALONE: Duration = Duration::from_millis(1_000);
/// Longer, since answers come more slowly and a p99 needs hundreds.
const BESIDE: Duration = Duration::from_millis(2_500);
const SETTLE: Duration = Duration::from_millis(300);
