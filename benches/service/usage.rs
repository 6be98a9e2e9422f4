//! What processes used, as `/proc` has it (`proc_pid_stat(5)`, `proc_pid_status(5)`).

use crate::Outcome;
use std::fs;

/// CPU seconds of a service: of its own process, of its token worker, and of us who call it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) server: f64,
    pub(crate) worker: f64,
    pub(crate) client: f64,
}

impl Usage {
    /// Up to now.
    pub(crate) fn now(server: u32, worker: u32) -> Outcome<Self> {
        let client = cpu_seconds(std::process::id())?;
        Ok(Self { server: cpu_seconds(server)?, worker: cpu_seconds(worker)?, client })
    }

    /// Since an earlier reading, per 1,000 of something.
    pub(crate) fn since(self, before: Self, count: f64) -> Self {
        let each = |now: f64, before: f64| (now - before) * 1_000.0 / count;
        Self {
            server: each(self.server, before.server),
            worker: each(self.worker, before.worker),
            client: each(self.client, before.client),
        }
    }
}

/// User and system time of all threads of a process.
pub(crate) fn cpu_seconds(pid: u32) -> Outcome<f64> {
    let stat = stat(pid)?;
    let ticks = stat.split(' ').skip(11).take(2).map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(f64::from(ticks) / TICKS_PER_SECOND)
}

/// The one child of a process.
pub(crate) fn child(parent: u32) -> Outcome<u32> {
    for entry in fs::read_dir("/proc")?.filter_map(Result::ok) {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that ends while we look is none of ours.
        let Ok(stat) = stat(pid) else { continue };
        if stat.split(' ').nth(1) == Some(&parent.to_string()) {
            return Ok(pid);
        }
    }
    Err("the service has no token worker".into())
}

/// `VmRSS` in MiB.
pub(crate) fn resident_mib(pid: u32) -> Outcome<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: u32 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(f64::from(kib) / 1_024.0)
}

/// The fields from the state on: the name before it may hold anything.
fn stat(pid: u32) -> Outcome<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    Ok(stat.rsplit_once(") ").ok_or("not a stat line")?.1.to_owned())
}

/// `USER_HZ` of Linux.
const TICKS_PER_SECOND: f64 = 100.0;
