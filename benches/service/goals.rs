//! What is to be reached: the line that must hold now, and the one that the design asks for.

use crate::{
    figures::{CellFigures, Results},
    plan::{BATCHED_P256, BATCHED_RSA, SINGLE_P256, SINGLE_RSA},
};

/// A goal, and how far a run came.
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) sense: Sense,
    /// None where only the design has a line.
    pub(crate) now: Option<f64>,
    pub(crate) design: Option<f64>,
    /// None if this run did not measure it.
    pub(crate) reached: Option<f64>,
    pub(crate) unit: &'static str,
}

/// Which side of a line is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sense {
    AtLeast,
    AtMost,
}

impl Goal {
    /// `pass`, `pass (design: miss)`, `miss`, or that it was not measured.
    pub(crate) fn verdict(&self) -> &'static str {
        let Some(reached) = self.reached else { return "not measured" };
        let holds = |line: Option<f64>| line.is_none_or(|line| self.sense.holds(reached, line));
        match (holds(self.now), holds(self.design)) {
            (false, _) => "MISS",
            (true, true) => "pass",
            (true, false) if self.now.is_none() => "MISS",
            (true, false) => "pass, design missed",
        }
    }
}

impl Sense {
    fn holds(self, reached: f64, line: f64) -> bool {
        match self {
            Self::AtLeast => reached >= line,
            Self::AtMost => reached <= line,
        }
    }

    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::AtLeast => "≥",
            Self::AtMost => "≤",
        }
    }
}

/// All of them, with what a run reached.
pub(crate) fn goals(results: &Results) -> Vec<Goal> {
    let ratio = |load, field: fn(&CellFigures) -> f64| results.main_cell(load).map(field);
    let at_least = |what: &str, now, design, reached| Goal {
        what: what.to_owned(),
        sense: Sense::AtLeast,
        now,
        design,
        reached,
        unit: "",
    };
    let at_most = |what: &str, now, design, reached, unit| Goal {
        what: what.to_owned(),
        sense: Sense::AtMost,
        now,
        design,
        reached,
        unit,
    };
    let mut goals = vec![
        at_least(
            "RSA-2048, 1 digest, 32 connections / bare",
            Some(0.80),
            Some(0.85),
            ratio(SINGLE_RSA, |cell| cell.ratio.median),
        ),
        at_least(
            "RSA-2048, 16 digests, 8 connections / bare",
            Some(0.95),
            Some(0.97),
            ratio(BATCHED_RSA, |cell| cell.ratio.median),
        ),
        at_least(
            "P-256, 16 digests, 8 connections / bare",
            Some(0.80),
            Some(0.85),
            ratio(BATCHED_P256, |cell| cell.ratio.median),
        ),
        at_least(
            "P-256, 1 digest, 32 connections / Parsec",
            None,
            Some(2.0),
            ratio(SINGLE_P256, |cell| cell.rate.median / PARSEC_P256),
        ),
        at_least(
            "P-256, 1 digest, 32 connections / OpenBao",
            None,
            Some(1.2),
            ratio(SINGLE_P256, |cell| cell.rate.median / OPENBAO_P256),
        ),
        at_most(
            "RSA-2048, 1 digest, 32 connections: p99 / queueing bound",
            Some(2.5),
            Some(2.0),
            ratio(SINGLE_RSA, |cell| cell.p99_to_bound.median),
            "",
        ),
        at_most(
            "single P-256 beside 64-digest RSA batches: p99 / p99 alone",
            None,
            Some(10.0),
            results.fairness.as_ref().map(|fairness| fairness.ratio.median),
            "",
        ),
    ];
    let many = results.many_keys.as_ref();
    for load in [SINGLE_RSA, SINGLE_P256, BATCHED_P256] {
        let cell = many.and_then(|many| many.cells.iter().find(|cell| cell.workload == load));
        let what = format!("{load}: rate with 1,000 keys / with 10");
        goals.push(at_least(&what, Some(0.95), None, cell.map(|cell| cell.ratio.median)));
    }
    let life = results.life.as_ref();
    let idle = life.and_then(|life| life.idle.iter().map(|idle| idle.server_mib + idle.worker_mib).reduce(f64::max));
    goals.extend([
        at_most("cold start to ready, 1,000 keys", Some(1.0), Some(1.0), life.map(|life| life.ready_s.median), " s"),
        at_most("worker killed to first signature", Some(1.0), Some(1.0), life.map(|life| life.respawn_s.median), " s"),
        at_most("idle memory of service and worker, 1,000 keys", Some(60.0), Some(50.0), idle, " MiB"),
    ]);
    goals
}

/// Signatures a second of Parsec 1.5.0 over SoftHSM, tuned, at its best number of clients. Like the next, measured
/// once, on two cores with AVX-512 IFMA, and not part of a run: on another machine these two ratios mean little.
const PARSEC_P256: f64 = 8_219.0;
/// Of `OpenBao` 2.7.2 with the key in its memory, at 32 connections, without TLS.
const OPENBAO_P256: f64 = 12_601.0;
