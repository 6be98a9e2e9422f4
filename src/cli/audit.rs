//! `keyward audit`.

use super::{
    exit::CliError,
    files::{self, NewFile},
    output::{Output, put_line, second, table},
};
use crate::audit::api::{GivenCheckpoint, Log, ObjectRef, Order, Record, RecordFilter, VerifyReport};
use crate::base::fault::Kind;
use crate::client::Client;
use clap::Subcommand;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Subcommand)]
pub(super) enum Audit {
    /// Records, the newest first
    #[command(after_help = "Examples:
  keyward audit list --event export
  keyward audit list --log signatures --limit 20")]
    List {
        /// management or signatures
        #[arg(long, default_value = "management")]
        log: Log,
        /// How the event begins: `key`, `export.create`
        #[arg(long)]
        event: Option<String>,
        /// Id of the key, backup or other object
        #[arg(long)]
        object: Option<String>,
        /// At most so many, 1 to 1,000
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Go on after this sequence number
        #[arg(long)]
        after: Option<u64>,
    },
    /// Both logs with fresh checkpoints, as JSON Lines
    Export {
        /// Write it to a new file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Check an exported file with the audit certificate, without an instance; or, without a file, the live logs
    #[command(after_help = "Examples:
  keyward audit verify
  keyward audit verify audit.jsonl --cert audit.pem --against last-month.checkpoint")]
    Verify {
        /// An export
        #[arg(requires = "cert")]
        file: Option<PathBuf>,
        /// Certificate of the audit key, then of its CA: audit/audit.pem, as kept elsewhere
        #[arg(long, value_name = "FILE", requires = "file")]
        cert: Option<PathBuf>,
        /// Checkpoint that was kept elsewhere; may be given again
        #[arg(long, value_name = "FILE")]
        against: Vec<PathBuf>,
    },
    /// Sign fresh checkpoints of both logs
    Checkpoint,
}

pub(super) async fn run(audit: Audit, client: &Client, output: Output) -> Result<(), CliError> {
    match audit {
        Audit::List { log, event, object, limit, after } => {
            let filter = RecordFilter { log, order: Order::Newest, after, event, object, limit: Some(limit) };
            output.answer(&client.audit_records(&filter).await?, |page| list(&page.items));
            Ok(())
        }
        Audit::Export { out } => {
            let file = NewFile::create(&out)?;
            let lines = client.audit_export().await?;
            file.finish(&lines)?;
            output.answer(&json!({ "file": out, "size_bytes": lines.len() }), |_| put_line!("{}", out.display()));
            Ok(())
        }
        Audit::Verify { against, .. } => {
            let given = against
                .iter()
                .map(|path| Ok(GivenCheckpoint { name: path.display().to_string(), text: files::read_text(path)? }));
            let given = given.collect::<Result<_, CliError>>()?;
            judge(&client.verify_audit(given).await?, output)
        }
        Audit::Checkpoint => {
            output.answer(&client.checkpoint().await?, |answer| {
                put_line!("{}\n{}", answer.management, answer.signatures);
            });
            Ok(())
        }
    }
}

/// `audit verify FILE`, without an instance.
pub(super) fn verify_file(file: &Path, cert: &Path, against: &[PathBuf], output: Output) -> Result<(), CliError> {
    for path in [file, cert].into_iter().chain(against.iter().map(PathBuf::as_path)) {
        files::check_there(path)?;
    }
    let report = crate::audit::offline::verify_file(file, cert, against).map_err(|error| CliError::fault(&error))?;
    judge(&report, output)
}

fn judge(report: &VerifyReport, output: Output) -> Result<(), CliError> {
    output.answer(report, |report| {
        for log in &report.logs {
            put_line!("{}  {} records, root {}", log.log, log.size, log.root);
        }
        for problem in &report.problems {
            let seq = problem.seq.map_or_else(String::new, |seq| format!(" at {seq}"));
            let log = problem.log.map_or_else(String::new, |log| format!(" in {log}"));
            put_line!("{}{log}{seq}: {}", problem.kind, problem.detail);
        }
        put_line!("{}", if report.valid { "valid" } else { "NOT VALID" });
    });
    if report.valid { Ok(()) } else { Err(CliError::Outcome(Kind::Invalid)) }
}

fn list(records: &[Record]) {
    let rows = records.iter().map(|record| {
        let outcome = record.outcome.map_or_else(|| record.phase.to_string(), |outcome| outcome.to_string());
        let outcome = if record.code.is_empty() { outcome } else { format!("{outcome} ({})", record.code) };
        [
            record.seq.to_string(),
            second(record.time),
            record.event.clone(),
            object(&record.object),
            outcome,
            record.principal.name.clone(),
        ]
    });
    table(["SEQ", "TIME", "EVENT", "OBJECT", "OUTCOME", "WHO"], rows);
}

/// Its label; without one as much of its id as fits.
fn object(object: &ObjectRef) -> String {
    if !object.label.is_empty() {
        return object.label.clone();
    }
    match object.id.char_indices().nth(OBJECT_MOST) {
        Some((at, _)) => format!("{}…", &object.id[..at]),
        None => object.id.clone(),
    }
}

/// Characters of an id without a label: whole in JSON.
const OBJECT_MOST: usize = 23;
