//! The same loads on a service with few keys in its token and on one with many, turn about.

use crate::{
    Outcome,
    carrier::Carrier,
    figures::{ManyKeysCell, ManyKeysFigures, Spread},
    instance::Service,
    load,
    plan::{BATCHED_P256, FEW_KEYS, MANY_KEYS, Plan, SINGLE_P256, SINGLE_RSA},
    workload::Workload,
};
use std::time::Duration;

/// A service, and the way to it.
pub(crate) type Side<'a> = (&'a Service, &'a Carrier);

/// Measures both.
pub(crate) fn measure(few: Side<'_>, many: Side<'_>, plan: &Plan) -> Outcome<ManyKeysFigures> {
    let mut cells = Vec::new();
    for workload in [SINGLE_RSA, SINGLE_P256, BATCHED_P256] {
        cells.push(cell(few, many, workload, plan)?);
    }
    Ok(ManyKeysFigures { few: FEW_KEYS, many: MANY_KEYS, cells })
}

fn cell(few: Side<'_>, many: Side<'_>, workload: Workload, plan: &Plan) -> Outcome<ManyKeysCell> {
    // Short windows, many of them: neighbours are then in the same phase of the machine.
    let rounds = plan.rounds * 2;
    let rate =
        |(service, carrier): Side<'_>| -> Outcome<f64> { Ok(load::measure(service, carrier, workload, WINDOW)?.rate) };
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        pairs.push((rate(few)?, rate(many)?));
    }
    Ok(ManyKeysCell {
        workload,
        few_rate: Spread::of(pairs.iter().map(|pair| pair.0)),
        many_rate: Spread::of(pairs.iter().map(|pair| pair.1)),
        ratio: Spread::of(pairs.iter().map(|pair| pair.1 / pair.0)),
    })
}

const WINDOW: Duration = Duration::from_millis(500);
