//! What the API and the command line say about the audit logs.

pub use super::merkle::Hash;
pub use super::record::{Log, ObjectRef, Outcome, Phase, Record};

use crate::base::{algorithm::named, ids::InstanceId};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use utoipa::{IntoParams, ToSchema};

named! {
    /// Which end of a log a list begins at.
    #[derive(Default)]
    Order, "order" {
        /// The newest record first.
        #[default]
        Newest = "newest",
        /// The oldest record first.
        Oldest = "oldest",
    }
}

named! {
    /// What is wrong with a log.
    ProblemKind, "audit problem" {
        /// The certificate of the audit key is not one of this instance's CA, or not for checkpoints.
        CertificateNotTrusted = "certificate-not-trusted",
        /// A checkpoint is signed by another key than the certificate's.
        CheckpointByAnotherKey = "checkpoint-by-another-key",
        /// A text that is not a checkpoint.
        CheckpointMalformed = "checkpoint-malformed",
        /// No checkpoint vouches for a log.
        CheckpointMissing = "checkpoint-missing",
        /// A checkpoint of another instance or log.
        CheckpointOfAnotherLog = "checkpoint-of-another-log",
        /// A checkpoint whose signature does not verify.
        CheckpointSignatureInvalid = "checkpoint-signature-invalid",
        /// More problems than are listed.
        FurtherProblems = "further-problems",
        /// The first line of an export cannot be read, or contradicts its checkpoints.
        HeaderInvalid = "header-invalid",
        /// Records are missing at the end.
        LogCut = "log-cut",
        /// The records are not the ones that a checkpoint was signed over.
        LogRewritten = "log-rewritten",
        /// A line that is no record, or not in canonical form.
        RecordMalformed = "record-malformed",
        /// A record is not there.
        RecordMissing = "record-missing",
        /// A record stands behind the last one that the export's checkpoint covers.
        RecordNotCovered = "record-not-covered",
        /// A record stands after one that was written later.
        RecordOutOfOrder = "record-out-of-order",
        /// A record is there twice.
        RecordRepeated = "record-repeated",
        /// The columns of a row say something else than its line.
        RowDiffers = "row-differs",
    }
}

/// Which records to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RecordFilter {
    /// Which log.
    #[param(inline)]
    pub log: Log,
    /// Which end to begin at.
    #[param(inline)]
    pub order: Order,
    /// The sequence number that the list goes on from, not included.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(format = "uint64")]
    pub after: Option<u64>,
    /// How the event begins: `key` or `key.generate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The object's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// At most so many: 100 if not said, never more than 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 0, maximum = 4294967295_u32)]
    pub limit: Option<u32>,
}

/// A page of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordPage {
    /// The records.
    pub items: Vec<Record>,
    /// What to give as `after` for the next page; nothing at the end.
    pub next: Option<u64>,
}

/// Fresh checkpoints of both logs, as signed notes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointAnswer {
    /// Of the management log.
    pub management: String,
    /// Of the signature log.
    pub signatures: String,
}

/// The first line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportHeader {
    /// The format's version: 1.
    pub keyward_audit: u32,
    /// Whose logs these are.
    pub instance: InstanceId,
    /// Both logs, in the order in which their records follow.
    pub logs: Vec<ExportedLog>,
    /// The audit key's certificate, then the CA's; for information: a check is made with a certificate that is already at hand.
    pub certificates_pem: String,
}

/// One log of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedLog {
    /// Which log.
    pub log: Log,
    /// The origin of its checkpoints.
    pub origin: String,
    /// How many records follow.
    pub size: u64,
    /// The Merkle root over them.
    pub root: Hash,
    /// The checkpoint that says so, signed.
    pub checkpoint: String,
}

/// A checkpoint to check a log against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenCheckpoint {
    /// Its file's name, for the report.
    pub name: String,
    /// The signed note.
    pub text: String,
}

/// `POST audit/verify`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// Checkpoints that were kept elsewhere.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub against: Vec<GivenCheckpoint>,
}

/// What a check of the logs found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifyReport {
    /// Whether there is no problem at all.
    pub valid: bool,
    /// The logs as they were found.
    pub logs: Vec<LogHead>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// A log as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogHead {
    /// Which log.
    pub log: Log,
    /// How many lines it has.
    pub size: u64,
    /// The Merkle root over them.
    pub root: Hash,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditProblem)]
pub struct Problem {
    /// What kind of thing.
    pub kind: ProblemKind,
    /// In which log; nothing if it concerns neither or both.
    pub log: Option<Log>,
    /// The first record in doubt.
    pub seq: Option<u64>,
    /// For people.
    pub detail: String,
}

impl RecordFilter {
    pub(super) fn limit(&self) -> u32 {
        self.limit.unwrap_or(100).clamp(1, 1000)
    }

    pub(super) fn start(&self) -> u64 {
        self.after.unwrap_or(match self.order {
            Order::Newest => u64::MAX,
            Order::Oldest => 0,
        })
    }
}

impl VerifyReport {
    pub(super) fn new(logs: Vec<LogHead>, problems: Vec<Problem>) -> Self {
        Self { valid: problems.is_empty(), logs, problems }
    }
}
