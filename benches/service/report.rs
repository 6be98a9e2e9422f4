//! Results as people read them: on a terminal, and as the middle of `docs/performance.md`.

use crate::{
    Outcome,
    figures::{CellFigures, Results, Spread, Way},
    goals::{Goal, goals},
};
use comfy_table::{Table, presets};
use std::{fmt::Write as _, fs, path::Path};

/// A heading, the names of its columns, and rows.
struct Section {
    heading: String,
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

/// Every table, one below the other.
pub(crate) fn terminal(results: &Results) -> String {
    let mut text = format!("{}, {}: {}\n", results.taken_at, results.command, results.machine);
    for section in sections(results) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(section.columns).add_rows(section.rows);
        // Writing to a string does not fail.
        let _ = write!(text, "\n{}\n{}\n", section.heading, table);
    }
    text
}

/// Puts the tables between the two markers of the page, and leaves its prose alone.
pub(crate) fn into_page(results: &Results, page: &Path) -> Outcome<()> {
    let text = fs::read_to_string(page)?;
    let missing = || format!("{} has no `{BEGIN}` … `{END}`", page.display());
    let (before, rest) = text.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(fs::write(page, format!("{before}{BEGIN}\n{}{END}{after}", markdown(results)))?)
}

fn markdown(results: &Results) -> String {
    let mut text = format!(
        "\nTaken {} by `{}` in {} rounds on {}.\n",
        results.taken_at, results.command, results.rounds, results.machine
    );
    for section in sections(results) {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let columns: Vec<String> = section.columns.iter().map(|&column| column.to_owned()).collect();
        let _ = write!(text, "\n### {}\n\n{}", section.heading, line(&columns));
        text += &line(&vec!["---".to_owned(); columns.len()]);
        text.extend(section.rows.iter().map(|row| line(row)));
    }
    text.push('\n');
    text
}

fn sections(results: &Results) -> Vec<Section> {
    let all = [goals_of(results), anchors(results), cells(results, Way::MutualTls), cells(results, Way::Socket)];
    let rest = [fairness(results), many_keys(results), life(results), memory(results), instructions(results)];
    all.into_iter().chain(rest).filter(|section| !section.rows.is_empty()).collect()
}

fn goals_of(results: &Results) -> Section {
    let line = |goal: &Goal, line: Option<f64>| {
        line.map_or_else(|| "-".to_owned(), |line| format!("{} {line}{}", goal.sense.sign(), goal.unit))
    };
    let row = |goal: Goal| {
        let reached = goal.reached.map_or_else(|| "-".to_owned(), |reached| format!("{reached:.2}{}", goal.unit));
        let verdict = goal.verdict().to_owned();
        vec![goal.what.clone(), reached, line(&goal, goal.now), line(&goal, goal.design), verdict]
    };
    let measured = goals(results).into_iter().filter(|goal| goal.reached.is_some());
    Section {
        heading: "Goals".to_owned(),
        columns: &["goal", "reached", "now", "design", "verdict"],
        rows: measured.map(row).collect(),
    }
}

fn anchors(results: &Results) -> Section {
    let row = |anchor: &crate::figures::AnchorFigures| {
        vec![
            anchor.algorithm.name().to_owned(),
            whole(anchor.one_thread),
            whole(anchor.two_threads),
            format!("{:.3}", anchor.cpu.median),
        ]
    };
    Section {
        heading: "Anchor: bare C_SignInit and C_Sign, signatures a second".to_owned(),
        columns: &["key", "1 thread", "2 threads", "CPU s per 1,000"],
        rows: results.anchors.iter().map(row).collect(),
    }
}

fn cells(results: &Results, way: Way) -> Section {
    let row = |cell: &CellFigures| {
        vec![
            cell.workload.algorithm.name().to_owned(),
            cell.workload.digests.to_string(),
            cell.workload.connections.to_string(),
            whole(cell.rate),
            fine(cell.ratio),
            format!("{:.2}", cell.p50_ms.median),
            format!("{:.2}", cell.p99_ms.median),
            format!("{:.2}", cell.p99_to_bound.median),
            format!("{:.3}", cell.server_cpu.median),
            format!("{:.3}", cell.worker_cpu.median),
            format!("{:.3}", cell.client_cpu.median),
            cell.refused.to_string(),
        ]
    };
    Section {
        heading: format!("Product, {}", way_name(way)),
        columns: &[
            "key",
            "digests",
            "conns",
            "signatures/s",
            "ratio",
            "p50 ms",
            "p99 ms",
            "p99/bound",
            "CPU serve",
            "worker",
            "client",
            "503s",
        ],
        rows: results.cells.iter().filter(|cell| cell.way == way).map(row).collect(),
    }
}

fn fairness(results: &Results) -> Section {
    let row = |fairness: &crate::figures::FairnessFigures| {
        vec![fine(fairness.idle_p99_ms), fine(fairness.beside_p99_ms), fine(fairness.ratio), whole(fairness.batch_rate)]
    };
    Section {
        heading: "One connection with single P-256 requests, beside 8 that send 64-digest RSA batches".to_owned(),
        columns: &["p99 alone, ms", "p99 beside, ms", "ratio", "RSA signatures/s meanwhile"],
        rows: results.fairness.iter().map(row).collect(),
    }
}

fn many_keys(results: &Results) -> Section {
    let cells = results.many_keys.iter().flat_map(|many| &many.cells);
    let row = |cell: &crate::figures::ManyKeysCell| {
        vec![cell.workload.to_string(), whole(cell.few_rate), whole(cell.many_rate), fine(cell.ratio)]
    };
    Section {
        heading: "Keys in the token: signatures a second with 10 and with 1,000".to_owned(),
        columns: &["load", "10 keys", "1,000 keys", "ratio"],
        rows: cells.map(row).collect(),
    }
}

fn life(results: &Results) -> Section {
    let row = |life: &crate::figures::LifeFigures| {
        vec![life.keys.to_string(), fine(life.ready_s), fine(life.first_signature_s), fine(life.respawn_s)]
    };
    Section {
        heading: "Start, and a worker that is killed, seconds".to_owned(),
        columns: &["keys", "start to ready", "start to first signature", "killed to first signature"],
        rows: results.life.iter().map(row).collect(),
    }
}

fn memory(results: &Results) -> Section {
    let row = |idle: &crate::figures::IdleFigures| {
        let (server, worker) = (idle.server_mib, idle.worker_mib);
        vec![idle.keys.to_string(), format!("{server:.1}"), format!("{worker:.1}"), format!("{:.1}", server + worker)]
    };
    Section {
        heading: "Resident memory after 10 s at rest, MiB".to_owned(),
        columns: &["keys", "serve", "worker", "both"],
        rows: results.life.iter().flat_map(|life| &life.idle).map(row).collect(),
    }
}

fn instructions(results: &Results) -> Section {
    let row = |figures: &crate::figures::InstructionFigures| {
        vec![
            figures.workload.to_string(),
            format!("{:.0}", figures.server / 1_000.0),
            format!("{:.0}", figures.worker / 1_000.0),
        ]
    };
    Section {
        heading: "Thousand instructions a request".to_owned(),
        columns: &["load", "serve", "worker"],
        rows: results.instructions.iter().map(row).collect(),
    }
}

const fn way_name(way: Way) -> &'static str {
    match way {
        Way::MutualTls => "TLS 1.3 with client certificates",
        Way::Socket => "Unix socket",
    }
}

fn whole(spread: Spread) -> String {
    format!("{:.0} ({:.0}-{:.0})", spread.median, spread.low, spread.high)
}

fn fine(spread: Spread) -> String {
    format!("{:.2} ({:.2}-{:.2})", spread.median, spread.low, spread.high)
}

const BEGIN: &str = "<!-- scripts/bench: begin -->";
const END: &str = "<!-- scripts/bench: end -->";
