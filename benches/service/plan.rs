//! What is measured, and for how long.

use crate::workload::{Algorithm, Workload};
use std::time::Duration;

/// Loads, and the time that each gets in every round.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// Of bare signing, before and after each load.
    pub(crate) bare: Duration,
    /// Of a load, if its requests are short.
    pub(crate) window: Duration,
    /// Over TLS.
    pub(crate) loads: Vec<Workload>,
    /// Over the socket besides.
    pub(crate) by_socket: Vec<Workload>,
}

impl Plan {
    /// What goals speak of, in three rounds.
    pub(crate) fn quick() -> Self {
        Self {
            rounds: 3,
            bare: Duration::from_millis(400),
            window: Duration::from_millis(800),
            loads: vec![SINGLE_RSA, BATCHED_RSA, SINGLE_P256, BATCHED_P256, SINGLE_ED25519],
            by_socket: Vec::new(),
        }
    }

    /// Every algorithm with every number of digests and connections, in five rounds.
    pub(crate) fn full() -> Self {
        let mut loads = Vec::new();
        for algorithm in Algorithm::ALL {
            for digests in DIGESTS {
                loads.extend(CONNECTIONS.map(|connections| Workload { algorithm, digests, connections }));
            }
        }
        Self {
            rounds: 5,
            bare: Duration::from_millis(500),
            window: Duration::from_secs(1),
            loads,
            by_socket: vec![SINGLE_RSA, BATCHED_RSA, SINGLE_P256, BATCHED_P256, SINGLE_ED25519],
        }
    }

    /// These only.
    pub(crate) fn of(loads: Vec<Workload>) -> Self {
        Self { loads, ..Self::quick() }
    }
}

/// A load by its three numbers.
const fn load(algorithm: Algorithm, digests: u32, connections: u32) -> Workload {
    Workload { algorithm, digests, connections }
}

pub(crate) const SINGLE_RSA: Workload = load(Algorithm::Rsa2048, 1, 32);
pub(crate) const BATCHED_RSA: Workload = load(Algorithm::Rsa2048, 16, 8);
pub(crate) const SINGLE_P256: Workload = load(Algorithm::P256, 1, 32);
pub(crate) const BATCHED_P256: Workload = load(Algorithm::P256, 16, 8);
const SINGLE_ED25519: Workload = load(Algorithm::Ed25519, 1, 32);
/// One client that waits for each answer.
pub(crate) const LONE_RSA: Workload = load(Algorithm::Rsa2048, 1, 1);
pub(crate) const LONE_P256: Workload = load(Algorithm::P256, 1, 1);
/// What others send meanwhile.
pub(crate) const BIG_BATCHES: Workload = load(Algorithm::Rsa2048, 64, 8);

/// Keys in the token of the service that everything is measured on, and of the one beside it.
pub(crate) const FEW_KEYS: u32 = 10;
pub(crate) const MANY_KEYS: u32 = 1_000;

/// Digests a request.
pub(crate) const DIGESTS: [u32; 3] = [1, 16, 64];
pub(crate) const CONNECTIONS: [u32; 4] = [1, 8, 32, 64];
