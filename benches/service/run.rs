//! The kinds of runs.

use crate::{
    Outcome,
    anchor::Anchor,
    carrier::Carrier,
    cells::Rounds,
    fairness,
    figures::Results,
    instance::Instance,
    instructions as callgrind, life, many_keys,
    plan::{FEW_KEYS, MANY_KEYS, Plan},
    plot, report, soak,
};
use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};
use tempfile::TempDir;

/// What goals speak of, within three minutes; printed, and kept as `bench/quick.json`.
pub(crate) fn quick() -> Outcome<()> {
    let results = everything(Plan::quick(), "scripts/bench quick")?;
    keep(&results, "quick")
}

/// Everything; besides, it goes into `docs/performance.md` and its plot.
pub(crate) fn full() -> Outcome<()> {
    let mut results = everything(Plan::full(), "scripts/bench")?;
    if callgrind::is_possible() {
        results.instructions = callgrind::measure()?;
    }
    keep(&results, "full")?;
    page(&results)
}

/// The page and the plot once more, from the last full run.
pub(crate) fn page_again() -> Outcome<()> {
    page(&Results::read(&crate::results("full"))?)
}

/// A few loads, for who works on the path of a request.
pub(crate) fn cells(names: &[&str]) -> Outcome<()> {
    let loads = names.iter().map(|name| name.parse()).collect::<Outcome<Vec<_>>>()?;
    let stage = Stage::set()?;
    let instance = stage.instance("few", FEW_KEYS)?;
    let mut results = Results::default();
    measure_loads(&stage, &instance, Plan::of(loads), &mut results)?;
    finish(&mut results, "scripts/bench cells");
    keep(&results, "cells")
}

/// Instructions a request, counted by callgrind.
pub(crate) fn instructions() -> Outcome<()> {
    let mut results = Results { instructions: callgrind::measure()?, ..Results::default() };
    finish(&mut results, "scripts/bench instructions");
    keep(&results, "instructions")
}

/// Full load while the token worker is killed every five seconds.
pub(crate) fn soak(seconds: u64) -> Outcome<()> {
    let stage = Stage::set()?;
    soak::run(&stage.instance("few", FEW_KEYS)?, seconds)
}

fn page(results: &Results) -> Outcome<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    report::into_page(results, &docs.join("performance.md"))?;
    Ok(fs::write(docs.join("performance.svg"), plot::draw(results))?)
}

fn everything(plan: Plan, command: &str) -> Outcome<Results> {
    let stage = Stage::set()?;
    let few = stage.instance("few", FEW_KEYS)?;
    let (rounds, mut results) = (plan.rounds, Results::default());
    measure_loads(&stage, &few, plan.clone(), &mut results)?;
    let many = stage.instance("many", MANY_KEYS)?;
    {
        let (few_service, many_service) = (few.serve()?, many.serve()?);
        let (few_way, many_way) = (few.carrier(&few_service)?, many.carrier(&many_service)?);
        stage.tell("a single request beside batches");
        results.fairness = Some(fairness::measure(&few_service, &few_way, rounds)?);
        stage.tell("few keys and many keys");
        results.many_keys = Some(many_keys::measure((&few_service, &few_way), (&many_service, &many_way), &plan)?);
    }
    stage.tell("starts, a killed worker, rest");
    results.life = Some(life::measure((&few, FEW_KEYS), (&many, MANY_KEYS), rounds)?);
    finish(&mut results, command);
    Ok(results)
}

fn measure_loads(stage: &Stage, instance: &Instance, plan: Plan, results: &mut Results) -> Outcome<()> {
    let service = instance.serve()?;
    let mut anchor = Anchor::start(&stage.path("anchor"), &instance.module()?)?;
    let ways = [instance.carrier(&service)?, Carrier::Socket(service.socket().to_owned())];
    results.rounds = plan.rounds;
    let mut rounds = Rounds::new(plan);
    for number in 1..=results.rounds {
        stage.tell(&format!("loads beside bare C_Sign, round {number} of {}", results.rounds));
        rounds.measure(&mut anchor, &service, &ways)?;
    }
    (results.anchors, results.cells) = rounds.figures();
    Ok(())
}

fn finish(results: &mut Results, command: &str) {
    let now = time::OffsetDateTime::now_utc();
    results.taken_at =
        now.format(time::macros::format_description!("[year]-[month]-[day] [hour]:[minute] UTC")).unwrap_or_default();
    command.clone_into(&mut results.command);
    results.machine = machine();
}

fn keep(results: &Results, name: &str) -> Outcome<()> {
    let path = crate::results(name);
    results.write(&path)?;
    println!("{}\n{}", report::terminal(results), path.display());
    Ok(())
}

/// Cores, processor, kernel.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let model = model.trim_start_matches(|c: char| c.is_whitespace() || c == ':');
    format!("{cores} cores of {model}, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}

/// A temporary directory that all rigs of a run are in.
struct Stage {
    home: TempDir,
    started: Instant,
}

impl Stage {
    fn set() -> Outcome<Self> {
        Ok(Self { home: tempfile::tempdir()?, started: Instant::now() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn instance(&self, name: &str, keys: u32) -> Outcome<Instance> {
        self.tell(&format!("a rig with {keys} keys"));
        let instance = Instance::make(&self.path(name))?;
        instance.fill(keys)?;
        Ok(instance)
    }

    /// Progress.
    fn tell(&self, what: &str) {
        eprintln!("{:4} s  {what}", self.started.elapsed().as_secs());
    }
}
