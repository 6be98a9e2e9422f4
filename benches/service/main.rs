//! Measures the service beside bare `C_Sign`: in one run, turn about, on the same cores, clients included.
//!
//! `scripts/bench` builds and runs this. Everything happens on rigs in a temporary directory. What is measured stands
//! in `plan.rs`, what is to be reached in `goals.rs`; `docs/performance.md` says how to read it.
#![expect(clippy::print_stdout, reason = "a table for who runs it")]
#![expect(clippy::print_stderr, reason = "progress, and why a run ended")]

mod anchor;
mod carrier;
mod cells;
mod compare;
mod fairness;
mod figures;
mod goals;
mod http1;
mod instance;
mod instructions;
mod life;
mod load;
mod many_keys;
mod plan;
mod plot;
mod report;
mod run;
mod soak;
mod usage;
mod workload;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What a step of the bench gives back.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    // `cargo bench` adds its own flag.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [anchor::COMMAND, module] => anchor::answer(Path::new(module)),
        ["quick"] => run::quick(),
        ["full"] => run::full(),
        ["page"] => run::page_again(),
        ["cells", cells @ ..] if !cells.is_empty() => run::cells(cells),
        ["instructions"] => run::instructions(),
        ["soak"] => run::soak(soak::SECONDS),
        ["soak", seconds] => seconds.parse().map_err(Into::into).and_then(run::soak),
        ["compare", old, new] => compare::print(Path::new(old), Path::new(new)),
        ["compare"] => compare::print(&results("quick.previous"), &results("quick")),
        _ => Err("quick, full, page, cells ALGORITHM/DIGESTS/CONNECTIONS…, instructions, soak [SECONDS], or compare [OLD NEW]"
            .into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Where the results of a kind of run are kept: beside the binaries.
fn results(name: &str) -> PathBuf {
    let target = Path::new(KEYWARD).ancestors().nth(2).unwrap_or(Path::new("target"));
    target.join("bench").join(format!("{name}.json"))
}

/// The release build of the product.
const KEYWARD: &str = env!("CARGO_BIN_EXE_keyward");
