//! Two runs beside each other.

use crate::{Outcome, figures::Results};
use comfy_table::{Table, presets};
use std::path::Path;

/// Prints what both have measured: ratios to the anchor, tails, CPU.
pub(crate) fn print(old: &Path, new: &Path) -> Outcome<()> {
    let (old, new) = (Results::read(old)?, Results::read(new)?);
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["load", "what", "old", "new", "new/old"]);
    for after in &new.cells {
        let Some(before) = old.cell(after.way, after.workload) else { continue };
        let cpu = |cell: &crate::figures::CellFigures| cell.server_cpu.median + cell.worker_cpu.median;
        for (what, before, after_value) in [
            ("rate / bare", before.ratio.median, after.ratio.median),
            ("p99 / bound", before.p99_to_bound.median, after.p99_to_bound.median),
            ("CPU s per 1,000", cpu(before), cpu(after)),
        ] {
            table.add_row([
                after.workload.to_string(),
                what.to_owned(),
                format!("{before:.3}"),
                format!("{after_value:.3}"),
                format!("{:.2}", after_value / before),
            ]);
        }
    }
    println!("old: {}\nnew: {}\n{table}", old.taken_at, new.taken_at);
    Ok(())
}
