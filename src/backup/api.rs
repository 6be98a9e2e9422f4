//! Requests and answers about backups.

use crate::base::{
    algorithm::named,
    custody::{KekPurpose, KeyPolicy},
    ids::{BackupId, DrillId, KekId, KeyId, KeyLabel},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use utoipa::{IntoParams, ToSchema};

named! {
    /// How good a backup, a drill or a key's coverage is.
    Light, "state" {
        /// As it should be.
        Green = "green",
        /// It works, and something should be done.
        Amber = "amber",
        /// Keys could be lost.
        Red = "red",
        /// Nothing is expected: the key never leaves its token.
        TokenOnly = "token-only",
    }
}

/// A KEK as backups name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KekRef {
    /// Its id.
    pub id: KekId,
    /// What it wraps.
    pub purpose: KekPurpose,
    /// Six hex digits.
    #[schema(pattern = "^[0-9a-f]{6}$")]
    pub kcv: String,
}

/// A key that an archive does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotCovered {
    /// The key.
    pub id: KeyId,
    /// Its label.
    pub label: KeyLabel,
    /// Why: `token-only`, or the code of what went wrong.
    pub reason: String,
}

/// Where an archive lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoredAt {
    /// Name of the destination.
    pub name: String,
    /// Path there.
    pub path: String,
    /// `green`, or `red` if it could not be stored.
    pub state: Light,
    /// Code of what went wrong; empty if nothing did.
    pub code: String,
}

/// One backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupView {
    /// Its id.
    pub id: BackupId,
    /// Counts up within an instance, also over restores.
    pub sequence: u64,
    /// Red if a key that should be in it is not.
    pub state: Light,
    /// When.
    pub created_at: Timestamp,
    /// File name of the archive.
    pub name: String,
    /// Lower-case hex SHA-256 of the archive.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
    /// Under which KEKs.
    pub keks: Vec<KekRef>,
    /// Keys in it.
    pub keys_wrapped: usize,
    /// Keys not in it.
    pub not_covered: Vec<NotCovered>,
    /// Where it lies.
    pub destinations: Vec<StoredAt>,
}

/// What `backup verify` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifyAnswer {
    /// Whether every hash and the signature hold.
    pub valid: bool,
    /// Which archive.
    pub archive: ArchiveRef,
    /// Whose.
    pub instance: String,
    /// SHA-256 of the instance's root certificate, which the signature leads to.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub root_sha256: String,
    /// Keys in it.
    pub keys: usize,
    /// Keys that the backup did not cover.
    pub not_covered: usize,
    /// Under which KEKs.
    pub keks: Vec<KekRef>,
}

/// An archive, named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ArchiveRef {
    /// File name.
    pub name: String,
    /// Its number.
    pub sequence: u64,
    /// Lower-case hex SHA-256.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub sha256: String,
}

/// `POST restores`: the options beside the archive in the body.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RestoreQuery {
    /// Take the newest archive at the destination; the body is empty then.
    #[serde(default)]
    pub latest: bool,
    /// Only these keys, by label or id, separated by commas; all if absent.
    pub keys: Option<String>,
    /// Of a recovery that was put together from shares.
    pub recovery: Option<String>,
    /// SHA-256 of the root certificate that the archive must lead to; needed by an empty instance.
    pub root_fingerprint: Option<String>,
    /// Take an archive although a newer one is known.
    #[serde(default)]
    pub older_than_known: bool,
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreAnswer {
    /// From which archive.
    pub archive: ArchiveRef,
    /// Red if a key failed.
    pub state: Light,
    /// Keys put back and proved by a signature.
    pub restored: Vec<KeyLabel>,
    /// Keys that were there already, with the same public key.
    pub already_there: Vec<KeyLabel>,
    /// Keys that were destroyed, and stay so; a living one among them was destroyed now.
    pub skipped_destroyed: Vec<String>,
    /// Keys that could not be put back.
    pub failed: Vec<RestoreFailure>,
    /// `in-token`, `imported`, or `kek-pending` when the SO PIN was not at hand.
    pub keks: String,
}

/// A key that could not be put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreFailure {
    /// The key.
    pub id: KeyId,
    /// Its label.
    pub label: KeyLabel,
    /// Code of what went wrong.
    pub code: String,
    /// What went wrong.
    pub detail: String,
}

/// `POST drills`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DrillQuery {
    /// Take the newest archive at the destination; the body is empty then.
    #[serde(default)]
    pub latest: bool,
}

named! {
    /// What a drill found of one key.
    DrillResult, "drill result" {
        /// Its copy signed.
        Proved = "proved",
        /// Its copy did not.
        Failed = "failed",
        /// It is not in the archive.
        Skipped = "skipped",
    }
}

/// One key in a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrilledKey {
    /// The key.
    pub id: KeyId,
    /// Its label.
    pub label: String,
    /// What was found.
    pub result: DrillResult,
    /// `signature`; null if it was not proved.
    pub proof: Option<String>,
    /// Code of what went wrong; empty if nothing did.
    pub code: String,
}

/// A drill and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrillAnswer {
    /// Its id.
    pub id: DrillId,
    /// Which archive.
    pub archive: ArchiveRef,
    /// `online`: with the KEKs in the token.
    pub mode: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Red if a key was not proved.
    pub state: Light,
    /// Keys in the archive.
    pub keys_total: usize,
    /// Keys proved.
    pub keys_proved: usize,
    /// Each key.
    pub keys: Vec<DrilledKey>,
    /// The signed report.
    pub report: ReportFiles,
}

/// Where a drill's report lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportFiles {
    /// JSON: this answer without `report`.
    pub file: String,
    /// Detached CMS by the audit key.
    pub signature_file: String,
}

/// How well one key is covered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CoverageView {
    /// The key.
    pub id: KeyId,
    /// Its label.
    pub label: KeyLabel,
    /// What may leave.
    pub policy: KeyPolicy,
    /// The verdict.
    pub state: Light,
    /// Why.
    pub reason: String,
    /// Newest archive it is in.
    pub last_backup: Option<LastBackup>,
    /// Newest drill that proved it.
    pub last_proof: Option<LastProof>,
}

/// The newest archive a key is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastBackup {
    /// Number of the backup.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
}

/// The newest drill that proved a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastProof {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub drill: DrillId,
}

/// Keys by verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CoverageSummary {
    /// Backed up and proved.
    pub green: usize,
    /// Not proved, or too long ago.
    pub amber: usize,
    /// In no backup.
    pub red: usize,
    /// Never leave their token.
    pub token_only: usize,
}

/// `GET coverage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CoverageAnswer {
    /// Every key.
    pub items: Vec<CoverageView>,
    /// Keys by verdict.
    pub summary: CoverageSummary,
    /// Always null: all keys are on one page.
    pub next: Option<String>,
}
