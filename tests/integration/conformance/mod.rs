//! One list of cases that every token runs through keyward's own worker, and the table of what each one can do.
//!
//! A case that a token is not up to must be declared by its probed capabilities; then it does not run, and the table
//! says so. The table is checked in (`table.tsv`), and every run is compared with it, so that a suite that skips is
//! never green. `KEYWARD_UPDATE_DOCS=1` writes it, and `docs/tokens.md` after it.

#![expect(clippy::print_stdout, reason = "whoever runs the suite sees what each token does")]

mod bench;
mod cases;
mod table;

use crate::support::tokens::{TestToken, kryoptic, named, nss, opencryptoki, softhsm, tpm};
use bench::Bench;
use cases::Case;
use table::{Outcome, Table};

#[tokio::test]
async fn softhsm_does_what_the_table_says() {
    Table::compare("softhsm", &run(softhsm().await).await);
}

#[tokio::test]
async fn kryoptic_does_what_the_table_says() {
    Table::compare("kryoptic", &run(kryoptic().await).await);
}

#[tokio::test]
async fn nss_does_what_the_table_says() {
    Table::compare("nss", &run(nss()).await);
}

#[tokio::test]
async fn a_tpm_does_what_the_table_says() {
    Table::compare("tpm", &run(tpm()).await);
}

#[tokio::test]
async fn opencryptoki_does_what_the_table_says() {
    Table::compare("opencryptoki", &run(opencryptoki()).await);
}

/// They have no column: what they can do is printed, and no case may fail.
#[tokio::test]
async fn the_tokens_of_keyward_test_tokens_fail_no_case() {
    for token in named() {
        let name = token.name.clone();
        println!("{}", table::column(&name, &run(token).await));
    }
}

/// Runs every case in order; each has what the ones before it made.
async fn run(token: TestToken) -> Vec<(String, Outcome)> {
    let mut bench = Bench::new(token);
    let mut outcomes = Vec::new();
    for case in Case::all() {
        println!("{}: {case}", bench.name());
        let outcome = case.run(&mut bench).await;
        outcomes.push((case.to_string(), outcome));
    }
    bench.close().await;
    outcomes
}
