//! The results of a run, as they are kept.

use crate::{
    Outcome,
    usage::Usage,
    workload::{Algorithm, Workload},
};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

/// Median of the rounds, and the range.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// All of a run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    /// When it ended, UTC.
    pub(crate) taken_at: String,
    /// The command that made it.
    pub(crate) command: String,
    /// Cores, processor and kernel.
    pub(crate) machine: String,
    pub(crate) rounds: usize,
    pub(crate) anchors: Vec<AnchorFigures>,
    pub(crate) cells: Vec<CellFigures>,
    pub(crate) fairness: Option<FairnessFigures>,
    pub(crate) many_keys: Option<ManyKeysFigures>,
    pub(crate) life: Option<LifeFigures>,
    #[serde(default)]
    pub(crate) instructions: Vec<InstructionFigures>,
}

/// Bare `C_Sign`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AnchorFigures {
    pub(crate) algorithm: Algorithm,
    pub(crate) one_thread: Spread,
    pub(crate) two_threads: Spread,
    /// CPU seconds per 1,000 signatures, two threads.
    pub(crate) cpu: Spread,
}

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    /// TLS 1.3 with a client certificate.
    MutualTls,
    /// The Unix socket.
    Socket,
}

/// The product under one load.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CellFigures {
    pub(crate) way: Way,
    pub(crate) workload: Workload,
    /// Signatures a second.
    pub(crate) rate: Spread,
    /// To the best bare rate beside it.
    pub(crate) ratio: Spread,
    pub(crate) p50_ms: Spread,
    pub(crate) p99_ms: Spread,
    /// p99 to the queueing bound.
    pub(crate) p99_to_bound: Spread,
    /// CPU seconds per 1,000 signatures.
    pub(crate) server_cpu: Spread,
    pub(crate) worker_cpu: Spread,
    pub(crate) client_cpu: Spread,
    /// Requests answered by 503, of all rounds.
    pub(crate) refused: u64,
}

/// Single requests beside batches of others.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FairnessFigures {
    pub(crate) idle_p99_ms: Spread,
    pub(crate) beside_p99_ms: Spread,
    pub(crate) ratio: Spread,
    /// Of the batches meanwhile.
    pub(crate) batch_rate: Spread,
}

/// Two services, with few and with many keys.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ManyKeysFigures {
    pub(crate) few: u32,
    pub(crate) many: u32,
    pub(crate) cells: Vec<ManyKeysCell>,
}

/// One load on both.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ManyKeysCell {
    pub(crate) workload: Workload,
    pub(crate) few_rate: Spread,
    pub(crate) many_rate: Spread,
    pub(crate) ratio: Spread,
}

/// Starts, ends and rest.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LifeFigures {
    /// Keys in the token.
    pub(crate) keys: u32,
    pub(crate) ready_s: Spread,
    pub(crate) first_signature_s: Spread,
    pub(crate) respawn_s: Spread,
    pub(crate) idle: Vec<IdleFigures>,
}

/// Memory of a service at rest.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct IdleFigures {
    pub(crate) keys: u32,
    pub(crate) server_mib: f64,
    pub(crate) worker_mib: f64,
}

/// Instructions a request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct InstructionFigures {
    pub(crate) workload: Workload,
    pub(crate) server: f64,
    pub(crate) worker: f64,
}

/// What one round of a load gave.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) cpu: Usage,
    pub(crate) refused: u64,
}

impl Spread {
    /// Of these values, if there are any.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (Some(low), Some(high)) = (values.first(), values.last()) else { return Self::default() };
        let upper = values.len() / 2;
        let lower = (values.len() - 1) / 2;
        Self { median: f64::midpoint(values[lower], values[upper]), low: *low, high: *high }
    }
}

impl Results {
    /// Reads what an earlier run has kept.
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Keeps it; the run before stays beside it as `….previous.json`.
    pub(crate) fn write(&self, path: &Path) -> Outcome<()> {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        if path.exists() {
            fs::rename(path, path.with_extension("previous.json"))?;
        }
        Ok(fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }

    /// The cell of a load, if it was measured.
    pub(crate) fn cell(&self, way: Way, workload: Workload) -> Option<&CellFigures> {
        self.cells.iter().find(|cell| cell.way == way && cell.workload == workload)
    }

    /// The cell of a load over TLS, of which goals speak.
    pub(crate) fn main_cell(&self, workload: Workload) -> Option<&CellFigures> {
        self.cell(Way::MutualTls, workload)
    }
}
