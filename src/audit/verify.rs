//! Checking a log line by line: positions, canonical form, and the Merkle root wherever a checkpoint says one.

use super::{
    Writer,
    api::{GivenCheckpoint, LogHead, Problem, ProblemKind},
    checkpoint::{Checkpoint, CheckpointFault, SignedCheckpoint},
    error::AuditError,
    merkle::{Frontier, Hash},
    record::{Log, NotARecord, Record},
};
use crate::base::{algorithm::KeyAlgorithm, ids::InstanceId};
use crate::pki::{PkiError, certificate::Certificate, public_key::PublicKey};
use std::collections::BTreeMap;

/// A head that a log must have had.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) size: u64,
    pub(super) root: Hash,
    /// Who says so, for the report.
    pub(super) source: String,
}

/// The checkpoints whose signature is good, and what they say.
pub(super) struct Witnesses<'a> {
    instance: InstanceId,
    key: &'a PublicKey,
    heard: Vec<(Log, Expected)>,
}

/// The problems of one log; the first hundred are kept.
#[derive(Debug, Default)]
pub(super) struct Problems {
    kept: Vec<Problem>,
    more: u64,
}

/// One log while its lines pass.
pub(super) struct LogCheck {
    log: Log,
    frontier: Frontier,
    /// Sorted by size; those before `confirmed` have been compared.
    expected: std::iter::Peekable<std::vec::IntoIter<Expected>>,
    /// Up to here the records are those that a checkpoint covers.
    confirmed: u64,
    next_seq: u64,
    /// The gaps: their first number, and their last.
    missing: BTreeMap<u64, u64>,
    problems: Problems,
}

/// The key that checkpoints are checked with: the first certificate's, issued by the second's if there is one.
pub(super) fn audit_key(certificates: &[u8], problems: &mut Problems) -> Result<PublicKey, AuditError> {
    let chain = Certificate::chain_from_bytes(certificates).map_err(AuditError::Certificate)?;
    let Some(leaf) = chain.first() else {
        let cause = "there is none in it".to_owned();
        return Err(AuditError::Certificate(PkiError::CertificateMalformed { cause }));
    };
    let key = leaf.public_key().clone();
    let broken = chain.windows(2).any(|pair| !pair[0].is_issued_by(&pair[1]));
    if broken {
        let detail = "the audit key's certificate was not issued by the CA that follows it".to_owned();
        problems.add(ProblemKind::CertificateNotTrusted, None, None, detail);
    }
    if key.algorithm() != KeyAlgorithm::P256 {
        let detail = format!("checkpoints are signed with a P-256 key, the certificate has {}", key.algorithm());
        problems.add(ProblemKind::CertificateNotTrusted, None, None, detail);
    }
    Ok(key)
}

/// The head of a log as this process has it in memory.
pub(super) fn remembered(frontier: &Frontier) -> Expected {
    Expected { size: frontier.size(), root: frontier.root(), source: "the memory of the running instance".to_owned() }
}

impl<'a> Witnesses<'a> {
    pub(super) const fn new(instance: InstanceId, key: &'a PublicKey) -> Self {
        Self { instance, key, heard: Vec::new() }
    }

    /// Takes a checkpoint's word, if it is one of this instance and signed by the key.
    pub(super) fn hear(&mut self, given: &GivenCheckpoint, problems: &mut Problems) {
        let read = self.read(given);
        self.take(given, read, problems);
    }

    /// Takes a checkpoint's word, if it is also the one of this log: it vouches for no other.
    pub(super) fn hear_of(&mut self, log: Log, given: &GivenCheckpoint, problems: &mut Problems) -> Option<Checkpoint> {
        let read = self.read(given).and_then(|(of, checkpoint)| {
            if of == log {
                return Ok((of, checkpoint));
            }
            let detail = format!("{}: it is of `{}`, not of the {log} log", given.name, checkpoint.origin);
            Err(Problem { kind: ProblemKind::CheckpointOfAnotherLog, log: Some(log), seq: None, detail })
        });
        self.take(given, read, problems)
    }

    fn take(
        &mut self,
        given: &GivenCheckpoint,
        read: Result<(Log, Checkpoint), Problem>,
        problems: &mut Problems,
    ) -> Option<Checkpoint> {
        match read {
            Ok((log, checkpoint)) => {
                let source = format!("the checkpoint of {}", given.name);
                self.heard.push((log, Expected { size: checkpoint.size, root: checkpoint.root, source }));
                Some(checkpoint)
            }
            Err(problem) => {
                problems.push(problem);
                None
            }
        }
    }

    /// What a log has to agree with.
    pub(super) fn about(&self, log: Log) -> Vec<Expected> {
        self.heard.iter().filter(|(of, _)| *of == log).map(|(_, head)| head.clone()).collect()
    }

    fn read(&self, given: &GivenCheckpoint) -> Result<(Log, Checkpoint), Problem> {
        let note = SignedCheckpoint::parse(&given.text).map_err(|fault| fault_of(given, None, &fault))?;
        let named = &note.unverified().origin;
        let Some(log) = Writer::log_of(self.instance, named) else {
            let detail = format!("{}: it is of `{named}`, not of a log of instance {}", given.name, self.instance);
            return Err(Problem { kind: ProblemKind::CheckpointOfAnotherLog, log: None, seq: None, detail });
        };
        let checkpoint = note.verify(self.key).map_err(|fault| fault_of(given, Some(log), &fault))?;
        Ok((log, checkpoint.clone()))
    }
}

fn fault_of(given: &GivenCheckpoint, log: Option<Log>, fault: &CheckpointFault) -> Problem {
    let kind = match fault {
        CheckpointFault::AnotherKey { .. } => ProblemKind::CheckpointByAnotherKey,
        CheckpointFault::Malformed(_) => ProblemKind::CheckpointMalformed,
        CheckpointFault::SignatureInvalid => ProblemKind::CheckpointSignatureInvalid,
    };
    Problem { kind, log, seq: None, detail: format!("{}: {fault}", given.name) }
}

impl LogCheck {
    pub(super) fn new(log: Log, mut expected: Vec<Expected>) -> Self {
        expected.sort_by_key(|head| head.size);
        let mut check = Self {
            log,
            frontier: Frontier::default(),
            expected: expected.into_iter().peekable(),
            confirmed: 0,
            next_seq: 1,
            missing: BTreeMap::new(),
            problems: Problems::default(),
        };
        check.compare_roots();
        check
    }

    /// How many lines have passed.
    pub(super) const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Takes the next line of this log.
    pub(super) fn line(&mut self, line: &[u8], record: &Result<Record, NotARecord>) {
        match record {
            Ok(record) if record.log == self.log => self.position(record.seq),
            Ok(_) => self.malformed("it is a record of the other log"),
            Err(fault) => self.malformed(fault),
        }
        self.frontier.push(line);
        self.compare_roots();
    }

    /// Something that is wrong with the record that passed last.
    pub(super) fn last_differs(&mut self, detail: &str) {
        let (log, seq) = (Some(self.log), Some(self.frontier.size()));
        self.problems.add(ProblemKind::RowDiffers, log, seq, detail.to_owned());
    }

    /// All lines have passed; there should be `size`.
    pub(super) fn finish(mut self, size: u64, problems: &mut Problems) -> LogHead {
        let log = Some(self.log);
        for (first, last) in std::mem::take(&mut self.missing) {
            let detail = format!("records {first} to {last} of the {} log are missing", self.log);
            self.problems.add(ProblemKind::RecordMissing, log, Some(first), detail);
        }
        let found = self.frontier.size();
        for head in self.expected.by_ref() {
            let detail = format!("{} covers {} records, the {} log has {found}", head.source, head.size, self.log);
            self.problems.add(ProblemKind::LogCut, log, Some(found + 1), detail);
        }
        if size > found {
            let detail = format!("the {} log should have {size} records, it has {found}", self.log);
            self.problems.add(ProblemKind::LogCut, log, Some(found + 1), detail);
        }
        if size < found {
            let detail = format!("no checkpoint covers the {} log's records from {} on", self.log, size + 1);
            self.problems.add(ProblemKind::RecordNotCovered, log, Some(size + 1), detail);
        }
        problems.append(self.problems);
        LogHead { log: self.log, size: found, root: self.frontier.root() }
    }

    fn malformed(&mut self, fault: impl std::fmt::Display) {
        let seq = self.next_seq;
        self.problems.add(ProblemKind::RecordMalformed, Some(self.log), Some(seq), format!("record {seq}: {fault}"));
        self.next_seq += 1;
    }

    fn position(&mut self, seq: u64) {
        if seq >= self.next_seq {
            if seq > self.next_seq {
                self.missing.insert(self.next_seq, seq - 1);
            }
            self.next_seq = seq + 1;
            return;
        }
        let (kind, what) = match self.take_missing(seq) {
            true => (ProblemKind::RecordOutOfOrder, "stands after a later one"),
            false => (ProblemKind::RecordRepeated, "is there again"),
        };
        self.problems.add(kind, Some(self.log), Some(seq), format!("record {seq} of the {} log {what}", self.log));
    }

    /// Whether the record had been missed; then it no longer is.
    fn take_missing(&mut self, seq: u64) -> bool {
        let Some((&first, &last)) = self.missing.range(..=seq).next_back().filter(|(_, last)| **last >= seq) else {
            return false;
        };
        self.missing.remove(&first);
        self.missing.extend((first < seq).then(|| (first, seq - 1)));
        self.missing.extend((seq < last).then(|| (seq + 1, last)));
        true
    }

    fn compare_roots(&mut self) {
        // Heads of one size may contradict each other, so none of them counts before all were heard.
        let before = self.confirmed;
        while let Some(head) = self.expected.next_if(|head| head.size == self.frontier.size()) {
            if head.root == self.frontier.root() {
                self.confirmed = head.size;
                continue;
            }
            let first = before + 1;
            let detail = format!(
                "the {} log is not the one that {} covers: something in records {first} to {} was changed",
                self.log, head.source, head.size
            );
            self.problems.add(ProblemKind::LogRewritten, Some(self.log), Some(first), detail);
        }
    }
}

impl Problems {
    pub(super) fn add(&mut self, kind: ProblemKind, log: Option<Log>, seq: Option<u64>, detail: String) {
        self.push(Problem { kind, log, seq, detail });
    }

    pub(super) fn push(&mut self, problem: Problem) {
        if self.kept.len() < KEPT { self.kept.push(problem) } else { self.more += 1 }
    }

    fn append(&mut self, other: Self) {
        self.kept.extend(other.kept);
        self.more += other.more;
    }

    pub(super) fn into_vec(mut self) -> Vec<Problem> {
        if self.more > 0 {
            let detail = format!("{} more problems are not listed", self.more);
            self.kept.push(Problem { kind: ProblemKind::FurtherProblems, log: None, seq: None, detail });
        }
        self.kept
    }
}

const KEPT: usize = 100;

#[cfg(test)]
mod tests {
    use super::super::testing::record;
    use super::*;

    #[test]
    fn a_flood_of_problems_is_summed_up() {
        let mut problems = Problems::default();
        let mut check = LogCheck::new(Log::Management, Vec::new());

        for _ in 0..1_000 {
            check.line(b"x", &Record::from_line(b"x"));
        }
        check.finish(1_000, &mut problems);

        let problems = problems.into_vec();
        assert_eq!(problems.len(), 101);
        assert_eq!(problems[100].detail, "900 more problems are not listed");
    }

    #[test]
    fn a_hundred_thousand_gaps_are_filled_again_without_looking_through_all_of_them() {
        let gaps: u64 = 100_000;
        let mut check = LogCheck::new(Log::Management, Vec::new());

        for gap in 1..=gaps {
            check.line(b"x", &Ok(record(2 * gap)));
        }
        for gap in (1..=gaps).rev() {
            check.line(b"x", &Ok(record(2 * gap - 1)));
        }
        let mut problems = Problems::default();
        check.finish(2 * gaps, &mut problems);

        let problems = problems.into_vec();
        let out_of_order = problems.iter().filter(|problem| problem.kind == ProblemKind::RecordOutOfOrder).count();
        assert_eq!((out_of_order, problems.len()), (100, 101));
        assert_eq!(problems[100].detail, "99900 more problems are not listed");
    }
}
