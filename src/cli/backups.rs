//! `keyward backup`.

use super::{
    exit::CliError,
    files,
    output::{Output, day, lines, minute, put_line, second, table},
};
use crate::backup::api::{
    BackupView, CoverageAnswer, DrillAnswer, DrillQuery, DrillResult, Light, RestoreAnswer, RestoreQuery,
};
use crate::base::fault::Kind;
use crate::ceremony::api::RecoverRequest;
use crate::client::Client;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

#[derive(Subcommand)]
pub(super) enum Backup {
    /// Wrap every key, and store the archive; exit 10 if a key that should be in it is not
    Run,
    /// Every backup, the newest first
    List,
    /// One backup
    Show {
        /// Its number or id
        id: String,
    },
    /// Check hashes and signature of an archive; needs no instance, no token and no KEK
    Verify {
        /// The archive
        file: PathBuf,
    },
    /// Put keys back; each signs before it counts. The same restore again goes on where it was
    #[command(after_help = "Examples:
  keyward backup restore latest
  keyward backup restore latest --key web
  keyward --dir new backup restore keyward-0190b2a1-20260102T030405Z-000001.tar --share-file share-provisional.txt")]
    Restore(Restore),
    /// Prove each key of an archive: unwrap it for a moment, sign, compare, destroy; a signed report
    Drill {
        /// The archive, or `latest`
        archive: String,
    },
    /// For each key, whether it could be lost today
    Coverage,
}

#[derive(Args)]
pub(super) struct Restore {
    /// The archive, or `latest`
    archive: String,
    /// Only this key, by label or id; may be given again
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// Share file of the ceremony secret; may be given again, until the quorum is there
    #[arg(long = "share-file", value_name = "FILE")]
    share_files: Vec<PathBuf>,
    /// Fingerprint of the root that the archive must lead to, as share sheets print it
    #[arg(long, value_name = "SHA256")]
    root_fingerprint: Option<String>,
    /// Take an archive although a newer one is known
    #[arg(long)]
    older_than_known: bool,
}

pub(super) async fn run(backup: Backup, client: &Client, output: Output) -> Result<(), CliError> {
    match backup {
        Backup::Run => make(client, output).await,
        Backup::List => {
            let row = |backup: &BackupView| {
                [
                    backup.sequence.to_string(),
                    backup.state.to_string(),
                    minute(backup.created_at),
                    backup.keys_wrapped.to_string(),
                    backup.name.clone(),
                ]
            };
            output.answer(&client.backups().await?, |page| {
                table(["NO", "STATE", "WHEN", "KEYS", "ARCHIVE"], page.items.iter().map(row));
            });
            Ok(())
        }
        Backup::Show { id } => {
            output.answer(&client.backup(&id).await?, show);
            Ok(())
        }
        // Needs no instance, so it was handled before one was opened.
        Backup::Verify { file } => verify(&file, output),
        Backup::Restore(restore) => put_back(restore, client, output).await,
        Backup::Drill { archive } => drill(&archive, client, output).await,
        Backup::Coverage => {
            output.answer(&client.coverage().await?, cover);
            Ok(())
        }
    }
}

async fn make(client: &Client, output: Output) -> Result<(), CliError> {
    let command = client.run_backup().await?;
    let progress = output.progress("wrapping");
    let backup: BackupView = client.outcome(command, |view| progress.show(view)).await?;
    drop(progress);
    output.answer(&backup, show);
    judge(backup.state, Kind::Unavailable)
}

/// `backup verify`, without an instance.
pub(super) fn verify(file: &Path, output: Output) -> Result<(), CliError> {
    let answer = crate::backup::offline::verify(&files::read(file)?).map_err(|error| CliError::fault(&error))?;
    output.answer(&answer, |answer| {
        lines([
            ("valid", "yes: every hash and the signature hold".to_owned()),
            ("archive", answer.archive.name.clone()),
            ("number", answer.archive.sequence.to_string()),
            ("sha256", answer.archive.sha256.clone()),
            ("instance", answer.instance.clone()),
            ("root SHA-256", answer.root_sha256.clone()),
            ("keys", answer.keys.to_string()),
            ("not covered", answer.not_covered.to_string()),
        ]);
    });
    Ok(())
}

async fn put_back(restore: Restore, client: &Client, output: Output) -> Result<(), CliError> {
    let latest = restore.archive == "latest";
    let archive = if latest { Vec::new() } else { files::read(Path::new(&restore.archive))? };
    let mut recovery = None;
    if !restore.share_files.is_empty() {
        let texts = restore.share_files.iter().map(|path| files::read_text(path).map(Zeroizing::new));
        let request = RecoverRequest { shares: texts.collect::<Result<_, _>>()? };
        recovery = Some(client.put_together(&request).await?.recovery);
    }
    let query = RestoreQuery {
        latest,
        keys: (!restore.keys.is_empty()).then(|| restore.keys.join(",")),
        recovery,
        root_fingerprint: restore.root_fingerprint,
        older_than_known: restore.older_than_known,
    };
    let command = client.restore(&query, archive).await?;
    let progress = output.progress("restoring");
    let answer: RestoreAnswer = client.outcome(command, |view| progress.show(view)).await?;
    drop(progress);
    output.answer(&answer, show_restore);
    match answer.keks.as_str() {
        "imported" => {
            output.say("New backups open with the share file that was given, not with the one that `init` wrote.")
        }
        "kek-pending" => {
            output.say("The KEKs are not in the token: run `keyward ceremony recover` before the next backup.")
        }
        _ => {}
    }
    judge(answer.state, Kind::Unavailable)
}

async fn drill(archive: &str, client: &Client, output: Output) -> Result<(), CliError> {
    let latest = archive == "latest";
    let bytes = if latest { Vec::new() } else { files::read(Path::new(archive))? };
    let command = client.drill(&DrillQuery { latest }, bytes).await?;
    let progress = output.progress("proving");
    let answer: DrillAnswer = client.outcome(command, |view| progress.show(view)).await?;
    drop(progress);
    output.answer(&answer, show_drill);
    judge(answer.state, Kind::Unavailable)
}

fn judge(state: Light, kind: Kind) -> Result<(), CliError> {
    if state == Light::Red { Err(CliError::Outcome(kind)) } else { Ok(()) }
}

fn show(backup: &BackupView) {
    let mut said = vec![
        ("number", backup.sequence.to_string()),
        ("state", backup.state.to_string()),
        ("archive", backup.name.clone()),
        ("sha256", backup.sha256.clone()),
        ("size", format!("{} bytes", backup.size_bytes)),
        ("when", second(backup.created_at)),
        ("keys", backup.keys_wrapped.to_string()),
        ("KEKs", backup.keks.iter().map(|kek| format!("{} {}", kek.purpose, kek.kcv)).collect::<Vec<_>>().join(", ")),
    ];
    said.extend(backup.destinations.iter().map(|stored| ("stored at", format!("{} ({})", stored.path, stored.name))));
    said.extend(backup.not_covered.iter().map(|key| ("not covered", format!("{} ({})", key.label, key.reason))));
    lines(said);
}

fn show_restore(answer: &RestoreAnswer) {
    lines([
        ("archive", answer.archive.name.clone()),
        ("state", answer.state.to_string()),
        ("restored", answer.restored.len().to_string()),
        ("already there", answer.already_there.len().to_string()),
        ("stay destroyed", answer.skipped_destroyed.len().to_string()),
        ("failed", answer.failed.len().to_string()),
        ("KEKs", answer.keks.clone()),
    ]);
    for failure in &answer.failed {
        put_line!("failed: {} ({}): {}", failure.label, failure.code, failure.detail);
    }
}

fn show_drill(answer: &DrillAnswer) {
    lines([
        ("archive", answer.archive.name.clone()),
        ("state", answer.state.to_string()),
        ("proved", format!("{} of {}", answer.keys_proved, answer.keys_total)),
        ("report", answer.report.file.clone()),
        ("signature", answer.report.signature_file.clone()),
    ]);
    for key in answer.keys.iter().filter(|key| key.result != DrillResult::Proved) {
        put_line!("{}: {} ({})", key.result, key.label, key.code);
    }
}

fn cover(answer: &CoverageAnswer) {
    let rows = answer.items.iter().map(|key| {
        let backup = key.last_backup.as_ref();
        [
            key.label.to_string(),
            key.state.to_string(),
            key.reason.clone(),
            backup.map_or_else(String::new, |backup| format!("{} of {}", backup.sequence, day(backup.at))),
            key.last_proof.as_ref().map_or_else(String::new, |proof| day(proof.at)),
        ]
    });
    table(["KEY", "STATE", "WHY", "LAST BACKUP", "LAST PROOF"], rows);
    let summary = &answer.summary;
    put_line!(
        "\n{} green, {} amber, {} red, {} token-only",
        summary.green,
        summary.amber,
        summary.red,
        summary.token_only
    );
}
