//! Instructions a request, counted by callgrind: those of a run with 1,000 requests more, less those of one without.
//!
//! Unlike times they do not depend on what else the machine does. What a start and an end cost falls out.

use crate::{
    KEYWARD, Outcome,
    figures::InstructionFigures,
    instance::{Instance, Service},
    load::block_on,
    plan::{LONE_P256, LONE_RSA},
    workload::Workload,
};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Whether valgrind is here.
pub(crate) fn is_possible() -> bool {
    let asked = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// Counts for one single request of each kind.
pub(crate) fn measure() -> Outcome<Vec<InstructionFigures>> {
    if !is_possible() {
        return Err(
            "instructions are counted by callgrind, and there is no valgrind here; install the package valgrind".into(),
        );
    }
    let home = tempfile::tempdir()?;
    let instance = Instance::make(&home.path().join("rig"))?;
    let mut figures = Vec::new();
    for workload in [LONE_RSA, LONE_P256] {
        eprintln!("callgrind counts {workload}");
        let (without, with) = (count(&instance, workload, FIRST)?, count(&instance, workload, FIRST + COUNTED)?);
        let each = |with: u64, without: u64| (with as f64 - without as f64) / f64::from(COUNTED);
        figures.push(InstructionFigures {
            workload,
            server: each(with.server, without.server),
            worker: each(with.worker, without.worker),
        });
    }
    Ok(figures)
}

/// Instructions of two processes.
#[derive(Default)]
struct Counted {
    server: u64,
    worker: u64,
}

fn count(instance: &Instance, workload: Workload, requests: u32) -> Outcome<Counted> {
    let counts = tempfile::tempdir()?;
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind", "--trace-children=yes"]);
    command.arg(format!("--callgrind-out-file={}/%p", counts.path().display()));
    let service = Service::start(command.arg(KEYWARD).args(instance.serving()), instance.directory())?;
    block_on(async {
        let mut connection = instance.carrier(&service)?.connect().await?;
        let request = workload.request();
        for _ in 0..requests {
            let answer = connection.exchange(&request).await?;
            if answer.status != 200 {
                return Err(String::from_utf8_lossy(answer.body).into());
            }
        }
        Ok(())
    })?;
    service.stop()?;
    read(counts.path())
}

/// What callgrind left: a file for each process.
fn read(directory: &Path) -> Outcome<Counted> {
    let mut counted = Counted::default();
    for entry in fs::read_dir(directory)? {
        let text = fs::read_to_string(entry?.path())?;
        let field = |name| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let instructions = field("summary:").or(field("totals:")).ok_or("no totals of callgrind")?.parse::<u64>()?;
        if field("cmd:").is_some_and(|command| command.contains("token-worker")) {
            counted.worker += instructions;
        } else {
            counted.server += instructions;
        }
    }
    if counted.worker == 0 { Err("the worker left no counts".into()) } else { Ok(counted) }
}

/// Requests before those that are counted, so that everything was done once.
const FIRST: u32 = 100;
const COUNTED: u32 = 1_000;
