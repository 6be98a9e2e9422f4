//! Exporting both logs as JSON Lines that can be checked without this instance.

use super::{
    Audit,
    api::{ExportHeader, ExportedLog},
    blocking,
    canonical::to_canonical,
    checkpoint::{CheckpointFault, SignedCheckpoint},
    db,
    error::AuditError,
    record::Log,
    segments::LogLines,
};
use crate::base::signing::Signer;

/// An export that is read piece by piece, so that no log need fit into memory for its sake.
///
/// Whoever gathers the pieces holds the whole: the API does, since an answer whose status has gone out could
/// not say any more that a log cannot be read.
pub struct Export {
    audit: Audit,
    header: Option<String>,
    management: Progress,
    signatures: Progress,
    /// Away while a thread reads it.
    lines: Option<LogLines>,
}

#[derive(Clone, Copy)]
struct Progress {
    done: u64,
    size: u64,
}

impl Audit {
    /// Signs fresh checkpoints, and exports exactly the records that they cover.
    ///
    /// # Errors
    /// As for [`Audit::checkpoint`].
    pub async fn export(&self, signer: &dyn Signer, certificates_pem: &str) -> Result<Export, AuditError> {
        let answer = self.checkpoint(signer).await?;
        let unreadable = |fault: CheckpointFault| unencodable(&fault);
        let management = exported(Log::Management, answer.management).map_err(unreadable)?;
        let signatures = exported(Log::Signatures, answer.signatures).map_err(unreadable)?;
        let sizes = (management.size, signatures.size);
        let header = ExportHeader {
            keyward_audit: VERSION,
            instance: self.writer().instance,
            logs: vec![management, signatures],
            certificates_pem: certificates_pem.to_owned(),
        };
        let value = serde_json::to_value(&header).map_err(|cause| unencodable(&cause))?;
        let line = to_canonical(&value).map_err(|cause| unencodable(&cause))? + "\n";
        Ok(Export {
            audit: self.clone(),
            header: Some(line),
            management: Progress { done: 0, size: sizes.0 },
            signatures: Progress { done: 0, size: sizes.1 },
            lines: Some(LogLines::open(&self.0.directory)?),
        })
    }
}

impl Export {
    /// The next piece, made of whole lines; nothing at the end.
    ///
    /// # Errors
    /// A log cannot be read.
    pub async fn next_piece(&mut self) -> Result<Option<Vec<u8>>, AuditError> {
        if let Some(header) = self.header.take() {
            return Ok(Some(header.into_bytes()));
        }
        let mut piece = self.management_piece().await?;
        if piece.is_empty() {
            piece = self.signatures_piece().await?;
        }
        Ok((!piece.is_empty()).then_some(piece))
    }

    async fn management_piece(&mut self) -> Result<Vec<u8>, AuditError> {
        let mut piece = Vec::new();
        if self.management.done < self.management.size {
            for row in db::rows(&self.audit.0.db, self.management.done, self.management.size).await? {
                self.management.done = row.seq.cast_unsigned();
                push_line(&mut piece, row.line.as_bytes());
            }
        }
        Ok(piece)
    }

    async fn signatures_piece(&mut self) -> Result<Vec<u8>, AuditError> {
        let Some(lines) = self.lines.take() else {
            return Ok(Vec::new());
        };
        let mut progress = self.signatures;
        let (piece, lines, progress) = blocking(move || {
            let piece = read_piece(&mut progress, lines)?;
            Ok((piece.0, piece.1, progress))
        })
        .await?;
        self.signatures = progress;
        self.lines = Some(lines);
        Ok(piece)
    }
}

fn read_piece(progress: &mut Progress, mut lines: LogLines) -> Result<(Vec<u8>, LogLines), AuditError> {
    let mut piece = Vec::new();
    while progress.done < progress.size
        && piece.len() < PIECE_BYTES
        && let Some(line) = lines.next_line()?
    {
        progress.done += 1;
        push_line(&mut piece, &line);
    }
    Ok((piece, lines))
}

fn push_line(piece: &mut Vec<u8>, line: &[u8]) {
    piece.extend_from_slice(line);
    piece.push(b'\n');
}

fn exported(log: Log, checkpoint: String) -> Result<ExportedLog, CheckpointFault> {
    let note = SignedCheckpoint::parse(&checkpoint)?;
    let head = note.unverified();
    Ok(ExportedLog { log, origin: head.origin.clone(), size: head.size, root: head.root, checkpoint })
}

fn unencodable(cause: &dyn std::fmt::Display) -> AuditError {
    AuditError::RecordUnencodable { event: "audit.export".to_owned(), cause: cause.to_string() }
}

/// The export format's version.
pub(super) const VERSION: u32 = 1;

const PIECE_BYTES: usize = 256 << 10;
