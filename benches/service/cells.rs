//! Loads beside the anchor: bare, product, bare, product, bare.

use crate::{
    Outcome,
    anchor::{Anchor, Bare},
    carrier::Carrier,
    figures::{AnchorFigures, CellFigures, Measured, Spread, Way},
    instance::Service,
    load,
    plan::Plan,
    workload::{Algorithm, Workload},
};
use std::time::Duration;

/// What the rounds gave so far.
pub(crate) struct Rounds {
    plan: Plan,
    anchors: Vec<(Algorithm, Rates)>,
    cells: Vec<(Way, Workload, Vec<Round>)>,
}

#[derive(Default)]
struct Rates {
    one_thread: Vec<Bare>,
    two_threads: Vec<Bare>,
}

/// One load, and the best of the bare rates beside it.
struct Round {
    measured: Measured,
    bare: f64,
}

impl Rounds {
    /// None yet.
    pub(crate) fn new(plan: Plan) -> Self {
        let anchors = Algorithm::ALL.into_iter().filter(|algorithm| uses(&plan, *algorithm));
        Self { anchors: anchors.map(|algorithm| (algorithm, Rates::default())).collect(), plan, cells: Vec::new() }
    }

    /// One more round of everything.
    pub(crate) fn measure(&mut self, anchor: &mut Anchor, service: &Service, ways: &[Carrier]) -> Outcome<()> {
        let Self { plan, anchors, cells } = self;
        for (algorithm, rates) in anchors {
            let one = anchor.bare(*algorithm, 1, plan.bare)?;
            let mut before = anchor.bare(*algorithm, 2, plan.bare)?;
            rates.one_thread.push(one);
            rates.two_threads.push(before);
            for (carrier, workload) in loads(plan, ways, *algorithm) {
                let window = window(plan.window, workload, before.rate);
                let measured = load::measure(service, carrier, workload, window)?;
                let after = anchor.bare(*algorithm, 2, plan.bare)?;
                rates.two_threads.push(after);
                // Two threads on one P-256 key can be slower than one, when they wait for each other's locks.
                let bare = before.rate.max(after.rate).max(one.rate);
                before = after;
                note(cells, carrier.way(), workload, Round { measured, bare });
            }
        }
        Ok(())
    }

    /// Their medians and ranges.
    pub(crate) fn figures(&self) -> (Vec<AnchorFigures>, Vec<CellFigures>) {
        let anchors = self.anchors.iter().map(|(algorithm, rates)| AnchorFigures {
            algorithm: *algorithm,
            one_thread: Spread::of(rates.one_thread.iter().map(|bare| bare.rate)),
            two_threads: Spread::of(rates.two_threads.iter().map(|bare| bare.rate)),
            cpu: Spread::of(rates.two_threads.iter().map(|bare| bare.cpu)),
        });
        let cells = self.cells.iter().map(|(way, workload, rounds)| figures(*way, *workload, rounds));
        (anchors.collect(), cells.collect())
    }
}

fn uses(plan: &Plan, algorithm: Algorithm) -> bool {
    plan.loads.iter().chain(&plan.by_socket).any(|workload| workload.algorithm == algorithm)
}

/// The loads of an algorithm, each with its way. The first way is the one that is measured, the second the socket.
fn loads<'a>(
    plan: &'a Plan,
    ways: &'a [Carrier],
    algorithm: Algorithm,
) -> impl Iterator<Item = (&'a Carrier, Workload)> + 'a {
    let sets = ways.iter().zip([&plan.loads, &plan.by_socket]);
    let all = sets.flat_map(|(way, loads)| loads.iter().map(move |workload| (way, *workload)));
    all.filter(move |(_, workload)| workload.algorithm == algorithm)
}

/// Long enough for every connection to have a few answers.
fn window(shortest: Duration, workload: Workload, bare: f64) -> Duration {
    shortest.max(Duration::from_secs_f64(workload.queueing_bound_ms(bare) * 3.0 / 1_000.0))
}

fn note(cells: &mut Vec<(Way, Workload, Vec<Round>)>, way: Way, workload: Workload, round: Round) {
    match cells.iter_mut().find(|cell| cell.0 == way && cell.1 == workload) {
        Some((_, _, rounds)) => rounds.push(round),
        None => cells.push((way, workload, vec![round])),
    }
}

fn figures(way: Way, workload: Workload, rounds: &[Round]) -> CellFigures {
    let spread = |value: fn(&Measured) -> f64| Spread::of(rounds.iter().map(|round| value(&round.measured)));
    let bound = |round: &Round| workload.queueing_bound_ms(round.bare);
    CellFigures {
        way,
        workload,
        rate: spread(|measured| measured.rate),
        ratio: Spread::of(rounds.iter().map(|round| round.measured.rate / round.bare)),
        p50_ms: spread(|measured| measured.p50_ms),
        p99_ms: spread(|measured| measured.p99_ms),
        p99_to_bound: Spread::of(rounds.iter().map(|round| round.measured.p99_ms / bound(round))),
        server_cpu: spread(|measured| measured.cpu.server),
        worker_cpu: spread(|measured| measured.cpu.worker),
        client_cpu: spread(|measured| measured.cpu.client),
        refused: rounds.iter().map(|round| round.measured.refused).sum(),
    }
}
